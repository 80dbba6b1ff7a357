"""The exercises of lesson 6, Compare images with text."""

from collections.abc import Callable

import numpy as np


def exercise_1(found: int, table: np.ndarray) -> str | None:
    """How many captions find their own drawing."""
    own = np.arange(len(table))
    right, other = ((table.argmax(axis=axis) == own).sum() for axis in (1, 0))
    if int(found) == right:
        return None
    return (
        "That many drawings find their caption; look along the rows instead."
        if found == other
        else (f"Expected the number of rows whose highest cell is on the diagonal; got {found}.")
    )


def exercise_2(best_few: Callable) -> str | None:
    """The positions of the highest scores, ties in order."""
    if not callable(best_few):
        return f"Expected a function of scores and k; got {type(best_few).__name__}."
    cases = {
        (0.1, 0.9, 0.5): (2, [1, 2]),
        (-0.2, -0.1, -0.3): (1, [1]),
        (0.3, 0.7, 0.3, 0.7): (3, [1, 3, 0]),
    }
    for scores, (k, right) in cases.items():
        given = np.asarray(best_few(np.array(scores), k)).tolist()
        if given != right:
            return f"For the scores {list(scores)} and k = {k}, expected {right}; got {given}."
    return None
