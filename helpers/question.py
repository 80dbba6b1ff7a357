"""Put a question to a folder: texts and pictures, each with a weight, become one vector."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from helpers.checks import number, shown
from helpers.compare import normalize
from helpers.encode import encode_images, encode_texts
from helpers.images import ImageSource, is_source
from helpers.openai import CLIP

Texts = str | Iterable[str | tuple[str, float]]
Pictures = ImageSource | Iterable[ImageSource | tuple[ImageSource, float]]
NOTHING_LEFT = 1e-4  # of the weights; what is shorter is made of rounding


def encode_question(
    model: CLIP, preprocess: Callable, text: Texts | None = None, picture: Pictures | None = None, exact: bool = False
) -> np.ndarray:
    """Encode a question: the sum of the rows of its parts, each of length 1 times its weight.

    So the similarity of a picture with the question is, up to a factor, the weighted sum of its similarities with the
    parts.

    Args:
        model, preprocess, exact: as in `encode_images`.
        text, picture: as in `FolderIndex.search`.

    Returns:
        ``(d,)`` float32, of length 1.

    Raises:
        TypeError: a part is neither text nor picture, or a weight is no number.
        ValueError: nothing is asked, a weight is not finite, or the parts cancel each other out.
        ImageError: a picture can't be read.
    """
    texts = _pairs(text, isinstance(text, (str, bytes)))
    pictures = _pairs(picture, is_source(picture))
    if not texts and not pictures:
        raise ValueError("give a text, a picture, or both")
    weights = np.array([number("weight", weight) for _, weight in texts + pictures])
    rows = [encode_texts(model, [text], progress=False) for text, _ in texts]
    rows += [encode_images(model, preprocess, [picture], progress=False, exact=exact) for picture, _ in pictures]
    total = weights @ normalize(np.concatenate(rows))
    if np.linalg.norm(total) <= NOTHING_LEFT * np.abs(weights).sum():
        raise ValueError("the parts of the question cancel each other out: change a text or a weight")
    return normalize(total)


def _pairs(parts: Any, alone: bool) -> list[tuple[Any, object]]:
    """List the parts of a question, each with its weight; one without a weight has 1."""
    if parts is None:
        return []
    if alone or not isinstance(parts, Iterable):
        parts = [parts]
    pairs = [part if isinstance(part, tuple) else (part, 1.0) for part in parts]
    for pair in pairs:
        if len(pair) != 2:
            raise TypeError(f"{shown(pair)} is no pair: give (text, weight) or (picture, weight)")
    return pairs
