"""The exercises of lesson 20, Make it fast."""

from collections.abc import Mapping, Sequence

BATCH = 4
SCALES = (8, 4, 2, 1)


def exercise_1(order: Sequence[int], lengths: Sequence[int]) -> str | None:
    """Check an order of texts: the places that batches of four take, each as long as its longest text."""
    if sorted(order) != sorted(lengths):
        return f"Your list must hold the same {len(lengths)} numbers as `lengths`, each as often."
    yours, least = _places(order), _places(sorted(lengths))
    return None if yours == least else f"Your order computes {yours} places; it can be done with fewer."


def exercise_2(size: tuple[int, int], full: tuple[int, int], enough: int) -> str | None:
    """Check the size that a JPEG file is decoded at."""
    width, height = size
    scale = next(scale for scale in SCALES if min(full) / scale >= enough)
    if (width, height) == (full[0] // scale, full[1] // scale):
        return None
    if (width, height) not in {(full[0] // scale, full[1] // scale) for scale in SCALES}:
        return f"A JPEG decoder gives 1/1, 1/2, 1/4 or 1/8 of {full[0]} × {full[1]}; yours is none of these."
    return f"Your shorter side is {min(size)}" + (
        f", below the {enough} that were asked for." if min(size) < enough else "; a smaller one would do."
    )


def exercise_3(times: float, before: Mapping[str, float], encode_faster: float) -> str | None:
    """Check how much faster the whole gets when one stage does."""
    after = sum(before.values()) - before["encode"] + before["encode"] / encode_faster
    right = sum(before.values()) / after
    if abs(float(times) - right) < 0.01:
        return None
    return "Too " + ("high" if times > right else "low") + ". Only one of the three stages got faster."


def _places(lengths: Sequence[int]) -> int:
    batches = [lengths[start : start + BATCH] for start in range(0, len(lengths), BATCH)]
    return sum(len(batch) * max(batch) for batch in batches)
