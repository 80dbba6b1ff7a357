"""Pairs of an image and its text, as a training needs them."""

import hashlib
from collections.abc import Callable, Iterable
from itertools import chain
from os import PathLike

import numpy as np
import torch

from helpers._clip import CLIP
from helpers._validation import shown
from helpers.encode import encode_texts, rows_or_errors
from helpers.images import ImageError, ImageSource
from helpers.similarity import cosine_similarity
from helpers.threads import batches

IMAGES_AT_ONCE = 64


class Pairs:
    """Pairs taken apart.

    Attributes:
        images: of all pairs.
        texts: the different ones.
        text_of: ``(pairs,)``, the number of each pair's text.
        image_of: ``(pairs,)``, the number of each pair's image among the different ones.
    """

    def __init__(self, pairs: Iterable[tuple[ImageSource, str]], kind: str) -> None:
        if not isinstance(pairs, Iterable):
            raise TypeError(f"{shown(pairs)} is no list of {kind}s; give (image, text) of each")
        pairs = list(pairs)
        for i, pair in enumerate(pairs):
            if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[1], str)):
                raise TypeError(f"{kind} {i} is {shown(pair)}; it must be (image, text)")
        self.images = [image for image, _ in pairs]
        self.names = [str(p) if isinstance(p, (str, PathLike)) else id(p) for p in self.images]
        self.texts, self.text_of = _numbered([text for _, text in pairs])
        self.image_of = _numbered(self.names)[1]
        if len(self.texts) == 1:
            raise ValueError(f"every {kind} has the text {shown(self.texts[0])}: give at least two to choose from")

    def same(self, rows: list[int]) -> torch.Tensor:
        """Say which pairs have one text or one image: ``(n, n)``."""
        texts, images = self.text_of[rows], self.image_of[rows]
        return (texts[:, None] == texts) | (images[:, None] == images)

    def checksum(self) -> str:
        """Tell these pairs from others. Of an opened image nothing is known but its place."""
        known = [name for name in self.names if isinstance(name, str)]
        return hashlib.sha256(repr((known, self.texts, self.text_of.tolist())).encode()).hexdigest()

    def accuracy(self, model: CLIP, preprocess: Callable) -> tuple[float, list[str]]:
        """Tell which share of the images prefers its own text to all others, and why some can't be read.

        Raises:
            ImageError: none can be read.
            FloatingPointError: the model gives features that are not finite.
        """
        found = chain.from_iterable(rows_or_errors(model, preprocess, batches(self.images, IMAGES_AT_ONCE)))
        both = list(zip(found, self.text_of.tolist(), strict=True))
        unreadable = [str(row) for row, _ in both if isinstance(row, ImageError)]
        read = [(row, text) for row, text in both if not isinstance(row, ImageError)]
        if not read:
            raise ImageError(f"no held-out image can be read: {first_ten(unreadable)}")
        images = np.stack([row for row, _ in read])
        texts = encode_texts(model, self.texts, truncate=True, progress=False)
        if not (np.isfinite(images).all() and np.isfinite(texts).all()):
            raise FloatingPointError("the model gives features that are not finite")
        nearest = cosine_similarity(texts, images).argmax(axis=0)
        return float((nearest == [text for _, text in read]).mean()), unreadable


def _numbered(items: list) -> tuple[list, torch.Tensor]:
    """Give the different items, and for each item which of them it is."""
    number = {item: i for i, item in enumerate(dict.fromkeys(items))}
    return list(number), torch.tensor([number[item] for item in items])


def first_ten(reasons: Iterable[str]) -> str:
    """List the first ten reasons in one line."""
    reasons = list(reasons)
    return "; ".join(reasons[:10]) + ("; …" if len(reasons) > 10 else "")
