"""Compare features: normalize, cosine similarity, probabilities, the best matches."""

import numpy as np

from helpers._validation import finite, number, numbers, whole

SHORTEST, LONGEST = np.finfo(np.float32).tiny, np.finfo(np.float32).max  # of what float32 holds with all its digits


def normalize(features: np.ndarray) -> np.ndarray:
    """Scale every row to length 1, in a new array.

    Args:
        features: ``(n, d)``, or one row ``(d,)``.

    Returns:
        The same shape in float32, every row of Euclidean length 1.

    Raises:
        TypeError: an argument does not hold numbers.
        ValueError: a row is zero or not finite, so it has no direction.
    """
    features = numbers("features", features, 3).astype(np.float32, copy=False)
    lengths = np.sqrt(np.einsum("...d,...d->...", features, features, dtype=np.float64))[..., None]
    bad = np.flatnonzero(~((lengths >= SHORTEST) & (lengths <= LONGEST)))
    if len(bad):
        value = lengths.flat[bad[0]]
        raise ValueError(
            f"Expected embeddings with a direction; row {bad[0]} has length {value}. "
            "Leave out unreadable images and features that are all zero."
        )
    return features / lengths.astype(np.float32)


def cosine_similarity(text_features: np.ndarray, image_features: np.ndarray) -> np.ndarray:
    """Compare every text with every image.

    Args:
        text_features: ``(texts, d)``, rows of any length but zero.
        image_features: ``(images, d)``, from the same model.

    Returns:
        ``(texts, images)`` float32, each in [-1, 1]: ``similarity[text_i, img_j]``.

    Raises:
        TypeError: an argument does not hold numbers.
        ValueError: the two have different ``d``, or a row is zero or not finite.
    """
    text_features = np.atleast_2d(numbers("text_features", text_features))
    image_features = np.atleast_2d(numbers("image_features", image_features))
    if text_features.shape[1] != image_features.shape[1]:
        raise ValueError(
            f"Expected text and image features of the same size; got {text_features.shape[1]} and "
            f"{image_features.shape[1]}. Encode both with the same model."
        )
    return (normalize(text_features) @ normalize(image_features).T).clip(-1, 1)


def probabilities(
    similarity: np.ndarray, logit_scale: float = 100.0, axis: int = 0, logit_bias: float | None = None
) -> np.ndarray:
    """Return the probability of each candidate: softmax of ``logit_scale × similarity``.

    A model that was trained with the sigmoid loss, such as SigLIP, has a bias. With it, each pair is judged by itself:
    ``sigmoid(logit_scale × similarity + logit_bias)`` (Zhai et al. 2023, arXiv 2303.15343, section 3.2). Leave the bias
    out if exactly one candidate is right; in a softmax it would cancel.

    Args:
        similarity: ``(texts, images)`` cosine similarities.
        logit_scale: the larger, the sharper the probabilities. It is 100 in OpenAI's models after training
            (Radford et al. 2021, section 2.5); ``model.logit_scale.exp().item()`` is the value of a given model.
        axis: the axis of the candidates. 0: which text fits each image (columns sum to 1);
            1: which image fits each text (rows sum to 1).
        logit_bias: ``model.logit_bias.item()`` of a model that has one.

    Returns:
        The same shape in float32, each in [0, 1], summing to 1 along ``axis``, except with a bias.

    Raises:
        TypeError: an argument does not hold numbers.
        ValueError: a value is not finite, or there are no candidates along ``axis``.
    """
    similarity = numbers("similarity", similarity)
    axis = whole("axis", axis, -similarity.ndim, similarity.ndim - 1)
    if not similarity.shape[axis]:
        raise ValueError(f"Expected candidates along axis {axis}; got a similarity of shape {similarity.shape}.")
    logits = finite("similarity", number("logit_scale", logit_scale) * similarity.astype(np.float64))
    if logit_bias is not None:
        return (np.exp(-np.logaddexp(0, -(logits + number("logit_bias", logit_bias))))).astype(np.float32)
    weights = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return (weights / weights.sum(axis=axis, keepdims=True)).astype(np.float32)


def top_k(similarity: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the ``k`` best images for every text.

    Args:
        similarity: ``(texts, images)``; pass its transpose to find the best texts for every image.
        k: number of results; at most the number of images.

    Returns:
        ``(scores, indices)``, both ``(texts, k)``, best first; of equal scores the lower index comes first.

    Raises:
        TypeError: an argument does not hold numbers, or ``k`` is not an integer.
        ValueError: a value is not finite, or ``k`` is not between 1 and the number of images.
    """
    similarity = finite("similarity", similarity)
    columns = similarity.shape[-1]
    k = whole("k", k, 1, columns)
    backwards = np.argsort(similarity[..., ::-1], axis=-1, kind="stable")  # so that the lower index wins in the end
    indices = columns - 1 - backwards[..., ::-1][..., :k]
    return np.take_along_axis(similarity, indices, axis=-1), indices
