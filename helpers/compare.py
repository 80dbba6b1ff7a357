"""Compare features: normalize, cosine similarity, probabilities, the best matches."""

import numpy as np


def normalize(features: np.ndarray) -> np.ndarray:
    """Scale every row to length 1, in a new array.

    Args:
        features: ``(n, d)``, or one row ``(d,)``.

    Returns:
        The same shape in float32, every row of Euclidean length 1.

    Raises:
        ValueError: a row is zero or not finite, so it has no direction.
    """
    features = np.asarray(features, dtype=np.float32)
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        value = lengths.flat[bad[0]]
        raise ValueError(
            f"row {bad[0]} has length {value}, so it has no direction: "
            "leave out the pictures that could not be read, and features that are all zero"
        )
    return features / lengths


def cosine_similarity(text_features: np.ndarray, image_features: np.ndarray) -> np.ndarray:
    """Compare every text with every image.

    Args:
        text_features: ``(texts, d)``, rows of any length but zero.
        image_features: ``(images, d)``, from the same model.

    Returns:
        ``(texts, images)`` float32, each in [-1, 1]: ``similarity[text_i, img_j]``.

    Raises:
        ValueError: the two have different ``d``, or a row is zero or not finite.
    """
    text_features, image_features = np.atleast_2d(text_features), np.atleast_2d(image_features)
    if text_features.shape[1] != image_features.shape[1]:
        raise ValueError(
            f"texts have {text_features.shape[1]} features a row and images {image_features.shape[1]}: "
            "encode both with the same model"
        )
    return (normalize(text_features) @ normalize(image_features).T).clip(-1, 1)


def probabilities(similarity: np.ndarray, logit_scale: float = 100.0, axis: int = 0) -> np.ndarray:
    """Share out one certainty among the candidates: softmax of ``logit_scale × similarity``.

    Args:
        similarity: ``(texts, images)`` cosine similarities.
        logit_scale: how sharply to choose. OpenAI's models end their training at 100
            (Radford et al. 2021, section 2.5); ``model.logit_scale.exp().item()`` tells a model's own.
        axis: the candidates. 0: which text goes with each image (columns sum to 1);
            1: which image goes with each text (rows sum to 1).

    Returns:
        The same shape in float32, each in [0, 1], summing to 1 along ``axis``.
    """
    logits = logit_scale * np.asarray(similarity, dtype=np.float32)
    weights = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def top_k(similarity: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the ``k`` best images for every text.

    Args:
        similarity: ``(texts, images)``; give its transpose to find the best texts for every image.
        k: how many; at most the number of images.

    Returns:
        ``(indices, scores)``, both ``(texts, k)``, best first; of equal scores the lower index comes first.

    Raises:
        ValueError: ``k`` is not between 1 and the number of images.
    """
    similarity = np.asarray(similarity)
    if not 1 <= k <= similarity.shape[-1]:
        raise ValueError(f"k is {k}; it must be between 1 and {similarity.shape[-1]}, the number of columns")
    indices = np.argsort(-similarity, axis=-1, kind="stable")[..., :k]
    return indices, np.take_along_axis(similarity, indices, axis=-1)
