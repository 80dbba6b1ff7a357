"""The exercises of lesson 24, Capstone: a search that keeps its promise."""

from collections.abc import Callable
from math import comb

RISK, PRECISION = 0.05, 0.95
CASES = ((48, 50, 139), (10, 10, 40), (18, 20, 25), (7, 10, 10), (0, 5, 30), (3, 3, 400))


def exercise_1(looks_needed: int) -> str | None:
    """Check the number of looks without a mistake that a promise of 95 % takes."""
    found = float(looks_needed)
    if found < 1 or found != int(found):
        return f"Expected a number of looks; got {looks_needed}."
    promised = RISK ** (1 / found)
    if promised < PRECISION:
        return f"After {found:.0f} looks without a mistake, you may promise {promised:.2%} only."
    if RISK ** (1 / (found - 1)) >= PRECISION:
        return f"{found:.0f} looks are enough, but fewer are as well."
    return None


def exercise_2(right_at_least: Callable[[int, int, int], int]) -> str | None:
    """Check the smallest number of right images of a page that the looks do not contradict."""
    if not callable(right_at_least):
        return f"Expected a function of hits, n and total; got {type(right_at_least).__name__}."
    for hits, n, total in CASES:
        found, right = right_at_least(hits, n, total), _smallest(hits, n, total)
        case = f"{hits} of {n} looks right, {total} images"
        if found is None:
            return f"For {case}, your function returned nothing."
        if found == right:
            continue
        if not hits <= found <= total - (n - hits):
            return f"For {case}, between {hits} and {total - (n - hits)} are right for certain; got {found}."
        chance = _at_least(hits, n, total, int(found))
        if chance > RISK:
            return f"For {case}, {found} is not the smallest number: with fewer, the chance is above 5 % as well."
        return f"For {case}, with {found} right the chance of so many hits is only {chance:.1%}."
    return None


def _at_least(hits: int, n: int, total: int, right: int) -> float:
    """The chance of this many hits or more, in n draws without replacement."""
    ways = sum(comb(right, k) * comb(total - right, n - k) for k in range(hits, n + 1))
    return ways / comb(total, n)


def _smallest(hits: int, n: int, total: int) -> int:
    return next(right for right in range(hits, total + 1) if _at_least(hits, n, total, right) > RISK)
