"""The exercises of lesson 7, Zero-shot classification."""

from collections.abc import Callable

import numpy as np

from helpers.similarity import normalize


def exercise_1(repaired: int, similarity: np.ndarray, labels: np.ndarray, thief: int) -> str | None:
    """How many images become right once the class that they were taken for is gone."""
    stolen = (similarity.argmax(axis=0) == thief) & (labels != thief)
    without = similarity.copy()
    without[thief] = -np.inf
    right = without.argmax(axis=0) == labels
    if int(repaired) == right[stolen].sum():
        return None
    if repaired == stolen.sum():
        return "That assumes that the second choice is always right. Look at the second choices."
    if repaired == right.sum():
        return "That counts all images. Count only those that were taken for this class by mistake."
    return f"Expected how many of these {stolen.sum()} images become right; got {repaired}."


def exercise_2(ensemble_of: Callable[[np.ndarray], np.ndarray]) -> str | None:
    """The normalized average of normalized embeddings."""
    if not callable(ensemble_of):
        return f"Expected a function of an array; got {type(ensemble_of).__name__}."
    features = np.random.default_rng(0).normal(0.3, 1, (7, 16)) * np.arange(1, 8)[:, None]
    given = np.asarray(ensemble_of(features.astype(np.float32)))
    if given.shape != (16,):
        return f"For features of shape {features.shape}, expected the shape (16,); got {given.shape}."
    if not abs(np.linalg.norm(given) - 1) < 1e-4:
        return f"Expected a vector of length 1; got length {np.linalg.norm(given):.2f}."
    if np.allclose(given, normalize(normalize(features).mean(axis=0)), atol=1e-4):
        return None
    if np.allclose(given, normalize(features.mean(axis=0)), atol=1e-4):
        return "A long vector counts more than a short one. What has to happen before you average?"
    return "The length is right, but the direction is not the average of the unit vectors."
