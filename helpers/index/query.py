"""Turn texts and images, each with a weight, into one query vector."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers._clip import CLIP
from helpers._validation import number, shown
from helpers.encode import encode_images, encode_texts
from helpers.images import ImageSource, is_source
from helpers.similarity import normalize

Texts = str | Iterable[str | tuple[str, float]]
Images = ImageSource | Iterable[ImageSource | tuple[ImageSource, float]]
NOTHING_LEFT = 1e-4  # of the weights; what is shorter is made of rounding


class Match(NamedTuple):
    """An image that was found, and its cosine similarity to the query, in [-1, 1]."""

    path: Path
    score: float


def encode_query(
    model: CLIP, preprocess: Callable, text: Texts | None = None, image: Images | None = None, fast_decode: bool = True
) -> np.ndarray:
    """Encode a query as the sum of the embeddings of its parts, each of length 1 times its weight.

    So the similarity of an image with the query is, up to a factor, the weighted sum of its similarities with the
    parts.

    Args:
        model, preprocess, fast_decode: as in `encode_images`.
        text, image: as in `FolderIndex.search`.

    Returns:
        ``(d,)`` float32, of length 1.

    Raises:
        TypeError: a part is neither text nor image, or a weight is not a number.
        ValueError: the query is empty, a weight is not finite, or the parts cancel each other out.
        ImageError: an image cannot be read.
    """
    texts = _pairs(text, isinstance(text, (str, bytes)))
    images = _pairs(image, is_source(image))
    if not texts and not images:
        raise ValueError("Expected a query; got neither text nor image. Pass a text, an image, or both.")
    weights = np.array([number("weight", weight) for _, weight in texts + images])
    rows = [encode_texts(model, [text], progress=False) for text, _ in texts]
    rows += [encode_images(model, preprocess, [image], progress=False, fast_decode=fast_decode) for image, _ in images]
    total = weights @ normalize(np.concatenate(rows))
    if np.linalg.norm(total) <= NOTHING_LEFT * np.abs(weights).sum():
        raise ValueError("The parts of the query cancel each other out. Change a text or a weight.")
    return normalize(total)


def _pairs(parts: Any, alone: bool) -> list[tuple[Any, object]]:
    """List the parts of a query, each with its weight; one without a weight has 1."""
    if parts is None:
        return []
    if alone or not isinstance(parts, Iterable):
        parts = [parts]
    pairs = [part if isinstance(part, tuple) else (part, 1.0) for part in parts]
    for pair in pairs:
        if len(pair) != 2:
            raise TypeError(f"Expected (text, weight) or (image, weight); got {shown(pair)}.")
    return pairs
