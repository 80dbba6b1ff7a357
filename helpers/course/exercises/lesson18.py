"""The exercises of lesson 18, Adapt it to your images."""

import math
from collections.abc import Callable, Sequence

import numpy as np

PAIRS, EACH = 60, 6
AS_GOOD_AS_EQUAL = 0.01  # ln 55 - ln 54 is 0.018


def exercise_1(guessing: float) -> str | None:
    """Check the loss of guessing when equal captions are left out."""
    answer = float(guessing)
    if abs(answer - math.log(PAIRS - EACH + 1)) < AS_GOOD_AS_EQUAL:
        return None
    if abs(answer - math.log(PAIRS)) < AS_GOOD_AS_EQUAL / 2:
        return "That is the loss when equal captions count as wrong answers."
    if abs(answer - math.log(PAIRS - EACH)) < AS_GOOD_AS_EQUAL / 2:
        return "An image's own caption is a candidate as well."
    return f"Expected the logarithm of the number of candidates that each image has; got {answer:.2f}."


def exercise_2(best_alpha: Callable[[Sequence[float], Sequence[float], Sequence[float], float], float]) -> str | None:
    """The mixture that is worth most; of equals the one with the smallest alpha."""
    if not callable(best_alpha):
        return f"Expected a function of alphas, new, old, and weight; got {type(best_alpha).__name__}."
    alphas, new, old = [0.0, 0.25, 0.5, 1.0], [0.25, 0.5, 0.75, 1.0], [1.0, 1.0, 0.5, 0.0]
    backwards = tuple(values[::-1] for values in (alphas, new, old))
    for case, weight, right in (
        ((alphas, new, old), 2, 0.25),
        ((alphas, new, old), 0.25, 1.0),
        ((alphas, new, old), 0, 1.0),
        ((alphas, new, old), 0.5, 0.25),
        (backwards, 0.5, 0.25),
    ):
        given = float(best_alpha(list(case[0]), list(case[1]), list(case[2]), weight))
        if not math.isclose(given, right):
            worth = np.array(case[1]) + weight * np.array(case[2])
            return (
                f"For the alphas {case[0]} and weight {weight}, the mixtures are worth {worth.round(3).tolist()}; "
                f"got alpha {given:g}."
            )
    return None
