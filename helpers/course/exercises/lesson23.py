"""The exercises of lesson 23, After CLIP: which encoder today?."""

import math
from collections.abc import Callable, Sequence

Model = tuple[str, float, float]

CASES: tuple[tuple[list[Model], str], ...] = (
    ([("A", 15, 63.0), ("B", 41, 68.0), ("C", 41, 76.0), ("D", 175, 75.0)], "A C"),
    ([("large", 175, 81.0), ("small", 15, 69.0), ("middle", 41, 76.0)], "small middle large"),
    ([("A", 15, 70.0), ("B", 41, 70.0)], "A"),
    ([("A", 41, 70.0), ("B", 41, 70.0), ("C", 50, 60.0)], "A B"),
    ([], ""),
)


def exercise_1(yes_from: float) -> str | None:
    """Check the cosine at which a scale of 100 and a bias of -10 give one half."""
    found = float(yes_from)
    if math.isclose(found, 0.1, abs_tol=1e-3):
        return None
    if math.isclose(found, -0.1, abs_tol=1e-3):
        return "The bias is negative, so the scaled cosine must be positive to balance it."
    if math.isclose(found, 0.5, abs_tol=1e-3):
        return "One half is the probability. For which cosine is the logit 0?"
    if abs(found) > 1:
        return f"Expected a cosine, between -1 and 1; got {found:g}. Divide by the scale."
    return f"At a cosine of {found:g}, the logit is {100 * found - 10:.1f}. It must be 0."


def exercise_2(frontier: Callable[[list[Model]], Sequence[str]]) -> str | None:
    """The models that no other one beats, those with the least work first."""
    if not callable(frontier):
        return f"Expected a function of a list of tuples; got {type(frontier).__name__}."
    for models, names in CASES:
        right, found = names.split(), list(frontier(list(models)))
        if found == right:
            continue
        if sorted(found) == sorted(right):
            return f"For {models}, these are the right names; put those with the least work first. Got {found}."
        if more := [name for name in found if name not in right]:
            return f"For {models}, your list holds {more[0]!r}, which another model beats."
        return f"For {models}, your list {found} lacks a model that no other one beats."
    return None
