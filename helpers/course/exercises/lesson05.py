"""The exercises of lesson 5, Normalize."""

from collections.abc import Callable, Collection

import numpy as np

from helpers.similarity import cosine_similarity, normalize

WORDS = ("length", "unit vector", "cosine")
FACTOR = 1000.0
TOLERANCE = 0.01


def exercise_1(squared: Callable) -> str | None:
    """The squared distance of two unit vectors with this cosine."""
    if not callable(squared):
        return f"a function is asked for, and this is a {type(squared).__name__}."
    pairs = normalize(np.random.default_rng(0).normal(size=(20, 2, 3)).reshape(-1, 3)).reshape(-1, 2, 3)
    for a, b in pairs:
        right, given = ((a - b) ** 2).sum(), squared(float(a @ b))
        if abs(given - right) > TOLERANCE:
            return f"unit vectors of cosine {a @ b:.2f} have another squared distance than {given:.2f}."
    return None


def exercise_2(changed: Collection[str], image_features: np.ndarray, text_features: np.ndarray) -> str | None:
    """What a factor before the features of an image changes."""
    changed = {changed} if isinstance(changed, str) else set(changed)
    if changed - set(WORDS):
        return f"{sorted(changed - set(WORDS))[0]!r} is none of {', '.join(WORDS)}."
    results = [
        (
            np.linalg.norm(factor * image_features[:1], axis=1),
            normalize(factor * image_features[:1]),
            cosine_similarity(text_features, factor * image_features[:1]),
        )
        for factor in (1.0, FACTOR)
    ]
    for word, before, after in zip(WORDS, *results, strict=True):
        if (word in changed) == np.allclose(before, after, atol=1e-4):
            return f"try it with the {word}."
    return None


def exercise_3(length: float, features: np.ndarray) -> str | None:
    """The length of the mean of the unit vectors."""
    if abs(length - np.linalg.norm(features.mean(axis=0))) < TOLERANCE:
        return "this is the mean of the features as they are: normalize first."
    right = np.linalg.norm(normalize(features).mean(axis=0))
    return None if abs(length - right) < TOLERANCE else f"the mean is {'shorter' if length > right else 'longer'}."
