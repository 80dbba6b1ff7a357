"""The exercises of lesson 10, Choose a threshold."""

from collections.abc import Callable

import numpy as np

DOGS, OTHERS, RECALL, FPR = 40, 19_960, 0.90, 0.01
TOLERANCE = 0.02


def exercise_1(precision: float) -> str | None:
    """The precision of a search for something rare."""
    precision = float(precision)
    found, alarms = DOGS * RECALL, OTHERS * FPR
    right = found / (found + alarms)
    if not 0 <= precision <= 1:
        return f"Expected a number between 0 and 1; got {precision}."
    if abs(precision - right) < 0.005:
        return None
    if precision > 0.5:
        return f"Of the images without a dog, {alarms:.0f} are above the threshold as well."
    return f"Too {'high' if precision > right else 'low'}. Divide the dogs found by all images that are found."


def exercise_2(threshold_for_images: Callable, table: np.ndarray, matches: np.ndarray) -> str | None:
    """A threshold that a mismatched text exceeds in a given fraction of the images."""
    if not callable(threshold_for_images):
        return f"Expected a function of table, matches and asked; got {type(threshold_for_images).__name__}."
    table, matches = np.asarray(table), np.asarray(matches)
    for asked in (0.05, 0.20):
        threshold = float(threshold_for_images(table.copy(), matches.copy(), asked))
        wrong = (table > threshold) & ~matches
        seen = wrong.any(axis=0).mean()
        if abs(seen - asked) > TOLERANCE:
            of_pairs = abs(wrong.sum() / (~matches).sum() - asked) < TOLERANCE / 4
            hint = " It is the threshold for that fraction of the pairs." if of_pairs else ""
            return f"Asked for {asked:.0%}, yours lets a mismatched text pass in {seen:.0%} of the images.{hint}"
    return None
