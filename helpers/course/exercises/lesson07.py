"""The exercises of lesson 7, Zero-shot classification."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.similarity import cosine_similarity, normalize

HIGHER, LOWER, SHARE = 0.30, 0.27, 0.90


def exercise_1(scale: float) -> str | None:
    """The scale that makes a share of 90 % out of two cosines."""
    share = 1 / (1 + np.exp(-float(scale) * (HIGHER - LOWER)))
    if abs(share - SHARE) < 0.002:
        return None
    return f"With {scale} the first gets {share:.1%}: choose a {'larger' if share < SHARE else 'smaller'} one."


def exercise_2(
    name: str, troubles: Sequence[Callable], classifier: np.ndarray, features: np.ndarray, labels: np.ndarray
) -> str | None:
    """The kind of images that the classifier gets wrong most often."""
    right = cosine_similarity(classifier, features).argmax(axis=0) == labels
    counts = dict(zip((trouble.__name__ for trouble in troubles), right.reshape(len(troubles), -1).sum(1), strict=True))
    if name not in counts:
        return f"{name!r} is none of {', '.join(counts)}."
    easier = [other for other, count in counts.items() if count < counts[name]]
    return f"{len(easier)} of the others are harder than {name}." if easier else None


def exercise_3(ensemble_of: Callable[[np.ndarray], np.ndarray]) -> str | None:
    """The normalized mean of normalized rows."""
    if not callable(ensemble_of):
        return "Your answer must be a function: `def ensemble_of(rows): …`."
    rows = np.random.default_rng(0).normal(0.3, 1, (7, 16)) * np.arange(1, 8)[:, None]
    yours = np.asarray(ensemble_of(rows.astype(np.float32)))
    if yours.shape != rows.shape[1:]:
        return f"For rows of shape {rows.shape} yours has the shape {yours.shape}; it must be {rows.shape[1:]}."
    if abs(np.linalg.norm(yours) - 1) > 1e-4:
        return f"Your vector has the length {np.linalg.norm(yours):.2f}."
    right = normalize(normalize(rows).mean(axis=0))
    return None if np.allclose(yours, right, atol=1e-4) else "In yours a long vector counts more than a short one."
