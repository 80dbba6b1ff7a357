"""The exercises of lesson 9, What a score means."""

from collections.abc import Callable

import numpy as np


def exercise_1(new_auc: float, matching: np.ndarray, mismatched: np.ndarray) -> str | None:
    """The AUC after a change that keeps the order."""
    new_auc = float(new_auc)
    if not 0 <= new_auc <= 1:
        return f"Expected a number between 0 and 1; got {new_auc}."
    auc = (np.asarray(matching)[:, None] > np.asarray(mismatched)).mean()
    if abs(new_auc - auc) < 0.005:
        return None
    if abs(new_auc - auc / 2) < 0.01 or abs(new_auc - auc / 2 - 0.3) < 0.01:
        return "The scores were changed, not the AUC. Who wins a duel after both scores have changed in the same way?"
    return f"Too {'high' if new_auc > auc else 'low'}. How many duels change their winner?"


def exercise_2(auc_of: Callable[[np.ndarray, np.ndarray], float]) -> str | None:
    """The probability that a positive beats a negative, ties counted as half."""
    if not callable(auc_of):
        return f"Expected a function of two arrays; got {type(auc_of).__name__}."
    cases = [
        ((0.3, 0.5), (0.1, 0.2), 1.0),
        ((0.11, 0.13, 0.16, 0.18), (0.02, 0.08, 0.12, 0.15), 13 / 16),
        ((0.1,), (0.2, 0.3, 0.4), 0.0),
        ((0.2, 0.4), (0.2, 0.1), 3.5 / 4),
    ]
    for positives, negatives, right in cases:
        given = float(auc_of(np.array(positives), np.array(negatives)))
        if abs(given - right) > 1e-6:
            return f"For the scores {positives} and {negatives}, expected {right:.4g}; got {given:.4g}."
    return None
