"""The exercises of lesson 10, Choose a threshold."""

import numpy as np

DOGS, OTHERS, RECALL, FPR = 40, 19_960, 0.90, 0.01
ALARMED, TOLERANCE = 0.05, 0.02


def exercise_1(precision: float) -> str | None:
    """The precision of a rare hit."""
    found, alarms = DOGS * RECALL, OTHERS * FPR
    right = found / (found + alarms)
    if not 0 <= precision <= 1:
        return f"{precision} is no share between 0 and 1."
    if abs(precision - right) < 0.005:
        return None
    if precision > 0.5:
        return f"Of the images without a dog, {alarms:.0f} lie above the threshold, too."
    return f"Too {'high' if precision > right else 'low'}: divide the dogs found by all that lie above the threshold."


def exercise_2(threshold: float, best_wrong: np.ndarray) -> str | None:
    """A threshold that a wrong caption passes in 5 % of the images."""
    share = float((best_wrong > float(threshold)).mean())
    if abs(share - ALARMED) <= TOLERANCE:
        return None
    wanted = "lower" if share < ALARMED else "higher"
    return f"With yours, {share:.0%} of the images have a wrong caption above it: choose a {wanted} one."
