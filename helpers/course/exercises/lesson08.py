"""The exercises of lesson 8, None of these, or several."""

from collections.abc import Callable

import numpy as np

from helpers.similarity import probabilities


def exercise_1(doubled: float, cosines: np.ndarray, logit_scale: float) -> str | None:
    """The probability of a class, the last one, that is on the list twice."""
    doubled = float(doubled)
    if not 0 <= doubled <= 1:
        return f"Expected a probability between 0 and 1; got {doubled}."
    alone, twice = (
        float(probabilities(np.append(cosines, more)[:, None], logit_scale)[len(cosines) - 1, 0])
        for more in (cosines[:0], cosines[-1:])
    )
    if abs(doubled - twice) < 0.02:
        return None
    if abs(doubled - alone) < 0.02:
        return "That is its probability on the list of four. Now an equal competitor has joined."
    return f"Too {'high' if doubled > twice else 'low'}. Both copies must get the same, and all five add up to 1."


def exercise_2(labels_of: Callable) -> str | None:
    """The classes above their own thresholds, highest score first."""
    if not callable(labels_of):
        return f"Expected a function of scores and thresholds; got {type(labels_of).__name__}."
    cases = [
        ((0.30, 0.10, 0.25), (0.20, 0.20, 0.20), [0, 2]),
        ((0.25, 0.22, 0.40), (0.20, 0.30, 0.10), [2, 0]),
        ((0.30, 0.28), (0.35, 0.20), [1]),
        ((0.10, 0.05), (0.20, 0.20), []),
    ]
    for scores, thresholds, right in cases:
        given = np.asarray(labels_of(np.array(scores), np.array(thresholds))).tolist()
        if given != right:
            return f"For the scores {scores} and the thresholds {thresholds}, expected {right}; got {given}."
    return None
