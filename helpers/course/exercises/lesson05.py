"""The exercises of lesson 5, Normalize."""

from collections.abc import Callable

import numpy as np

from helpers.similarity import normalize

TOLERANCE = 0.01


def exercise_1(length: float, features: np.ndarray) -> str | None:
    """The norm of the average of the unit vectors."""
    length = float(length)
    if abs(length - np.linalg.norm(features.mean(axis=0))) < TOLERANCE:
        return "This is the norm of the average of the features as they are; normalize them first."
    right = np.linalg.norm(normalize(features).mean(axis=0))
    if abs(length - right) < TOLERANCE:
        return None
    return f"Got {length:.2f}; the average is {'shorter' if length > right else 'longer'}."


def exercise_2(unit_rows: Callable) -> str | None:
    """Unit vectors, with rows of zeros left as they are."""
    if not callable(unit_rows):
        return f"Expected a function of features; got {type(unit_rows).__name__}."
    features = np.array([[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0]])
    kept = features.copy()
    with np.errstate(all="ignore"):
        given = np.asarray(unit_rows(features), dtype=float)
    if given.shape != features.shape:
        return f"Expected shape (3, 2) for three vectors of two values; got {given.shape}."
    if not np.array_equal(features, kept):
        return "The function changed the array that it was given; return a new one."
    if not np.isfinite(given).all():
        return "The row of zeros became NaN."
    if not np.allclose(given, np.array([[0.6, 0.8], [0, 0], [-1, 0]])):
        return f"Expected [[0.6, 0.8], [0, 0], [-1, 0]] for {features.tolist()}; got {given.round(2).tolist()}."
    return None
