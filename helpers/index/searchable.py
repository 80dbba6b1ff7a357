"""How an index is searched, whatever holds its features: by text, by image, or by both."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from helpers._clip import CLIP
from helpers._validation import number, printable, whole
from helpers.index.query import Images, Texts, encode_query
from helpers.similarity import top_k


class Match(NamedTuple):
    """An image that was found, and its cosine similarity with the question, in [-1, 1]."""

    path: Path
    score: float


class Rows(Protocol):
    """Where the features of images come from.

    Attributes:
        damage: what of it can't be read, else None.
    """

    damage: str | None

    @property
    def features(self) -> np.ndarray:
        """``(rows, d)`` float32, each of length 1."""

    def searchable(self) -> tuple[list[str], np.ndarray]:
        """List sorted paths, and ``(paths,)`` the row of each."""

    def catch_up(self) -> None:
        """Read what was added since."""


class Searchable:
    """What can be searched by text and by image. Its features are in memory.

    Attributes:
        folder: that the paths are meant from.
        model, preprocess, fast_decode: what makes the features, and how.
        store: the features, and which image has which.
        mend, fill: what to do when the store is damaged, or empty.
    """

    folder: Path
    model: CLIP
    preprocess: Callable
    fast_decode: bool
    store: Rows
    mend: str
    fill: str

    def search(
        self, text: Texts | None = None, image: Images | None = None, k: int = 10, threshold: float | None = None
    ) -> list[Match]:
        """Find the images that fit best. All are compared; the result is exact.

        Args:
            text: what to look for. Several are a list, each a text or a pair ``(text, weight)``; a negative weight
                leads away from it: ``["a red car", ("snow", -0.5)]``.
            image: a path or a PIL image, from anywhere; or a list of them, with weights in the same way. The rows
                of all texts and images, of length 1 times their weights, are added.
            k: how many; a smaller folder gives fewer.
            threshold: only scores above it count, so there may be fewer than ``k``, or none.

        Returns:
            The best first; of equal scores, the path that is first in the alphabet.

        Raises:
            TypeError: an argument is of another kind.
            ValueError: nothing is asked, or its parts cancel each other out, ``k`` is less than 1, or the index is
                empty or damaged.
            ImageError: the image can't be read.
        """
        k = whole("k", k)
        threshold = None if threshold is None else number("threshold", threshold)
        self.store.catch_up()
        if self.store.damage:
            raise ValueError(f"{self.store.damage}: {self.mend}")
        paths, rows = self.store.searchable()
        if not paths:
            raise ValueError(f"no image of {printable(self.folder)} is in the index: {self.fill}")
        k = min(k, len(paths))
        question = encode_query(self.model, self.preprocess, text, image, self.fast_decode)
        scores = (self.store.features @ question)[rows]
        near = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
        scores, best = top_k(scores[None, near].clip(-1, 1), k)
        found = zip(near[best[0]], scores[0], strict=True)
        return [
            Match(self.folder / paths[i], float(score)) for i, score in found if threshold is None or score > threshold
        ]
