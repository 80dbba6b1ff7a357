"""The exercises of lesson 19, Search your images."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.index.folder_index import UpdateResult


def exercise_1(predicted: Sequence[int], changes: UpdateResult) -> str | None:
    """What an update makes of a copy."""
    if not isinstance(predicted, tuple | list) or len(predicted) != 2:
        return f"Expected two integers, (encoded, known); got {predicted!r}."
    encoded, known = predicted
    if (encoded, known) == (changes.encoded, changes.known):
        return None
    if encoded != changes.encoded:
        return f"Expected another number of encoded images; got {encoded!r}. Is the content of the copy new?"
    return f"Expected another number of known files; got {known!r}. How many paths are new?"


def exercise_2(recall_at_k: Callable[[np.ndarray, np.ndarray, int], float]) -> str | None:
    """The fraction of the matching images among the first k, averaged over the queries."""
    if not callable(recall_at_k):
        return f"Expected a function of scores, relevant, and k; got {type(recall_at_k).__name__}."
    scores = np.array([[0.1, 0.9, 0.5, 0.7], [0.8, -0.2, -0.1, 0.3]])
    relevant = np.array([[False, True, True, True], [False, False, False, True]])
    for k, right in ((1, 1 / 6), (2, 5 / 6), (4, 1.0)):
        given = float(recall_at_k(scores.copy(), relevant.copy(), k))
        if np.isclose(given, right):
            continue
        if np.isclose(given, relevant[[[0], [1]], np.argsort(-scores)[:, :k]].sum() / relevant.sum()):
            return "Each query counts the same, however many images match it. Divide row by row, then average."
        if np.isclose(given, relevant[[[0], [1]], np.argsort(-scores)[:, :k]].mean()):
            return "That is the precision, the matching fraction of the k results. Divide by the matching images."
        return (
            f"For the scores {scores.tolist()}, relevant {relevant.astype(int).tolist()} and k = {k}, "
            f"got {given:.2f}. Count the matching images among the k highest scores of each row."
        )
    return None
