"""The exercises of lesson 20, Make it fast."""

import math
from collections.abc import Callable, Mapping

SCALES = (8, 4, 2, 1)
TIMES = {"decode": 60.0, "resize": 20.0, "encode": 20.0}


def exercise_1(size: tuple[int, int], full: tuple[int, int], enough: int) -> str | None:
    """Check the size that a JPEG file is decoded at."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        return f"Expected a tuple, (width, height); got {size!r}."
    width, height = size
    scale = next(scale for scale in SCALES if min(full) / scale >= enough)
    if (width, height) == (full[0] // scale, full[1] // scale):
        return None
    if (width, height) not in {(full[0] // scale, full[1] // scale) for scale in SCALES}:
        return f"Expected 1/1, 1/2, 1/4 or 1/8 of {full[0]} × {full[1]}; got {width} × {height}."
    return f"Your shorter side is {min(size)}" + (
        f", below the {enough} that were asked for." if min(size) < enough else "; a smaller one would do."
    )


def exercise_2(speedup: Callable[[Mapping[str, float], Mapping[str, float]], float]) -> str | None:
    """How many times as fast the whole becomes when some of its stages do."""
    if not callable(speedup):
        return f"Expected a function of stages and faster; got {type(speedup).__name__}."
    for faster, after in (
        ({"encode": 10.0}, 82.0),
        ({"decode": 4.0, "resize": 2.0}, 45.0),
        ({}, 100.0),
    ):
        given, right = float(speedup(dict(TIMES), dict(faster))), sum(TIMES.values()) / after
        if math.isclose(given, right, rel_tol=1e-6):
            continue
        if math.isclose(given, 1 / right, rel_tol=1e-6):
            return "That is the time after divided by the time before. How many times as fast is the inverse."
        if math.isclose(given, math.prod(faster.values()), rel_tol=1e-6):
            return "Only some of the stages become faster. What about the time of the others?"
        return (
            f"With the stages {TIMES} and faster {faster}, expected {after:g} ms after {sum(TIMES.values()):g} ms; "
            f"got a speedup of {given:.2f}."
        )
    return None
