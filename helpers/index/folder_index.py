"""Search a folder of images by text, by image, or by both."""

import hashlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from helpers._clip import CLIP
from helpers._validation import number, path_of, printable, whole
from helpers.encode import encode_batches, progress_bar
from helpers.fingerprint import fingerprint, same_maker
from helpers.forward import feature_size
from helpers.index.query import Images, Match, Texts, encode_query
from helpers.index.scan import encode_new, stamp_text, walk
from helpers.index.store import Known, Store
from helpers.similarity import top_k

UNSEEN = Known(None, None, None)


class UpdateResult(NamedTuple):
    """How many files an update met: newly encoded, known by their content, unreadable, gone, and unchanged."""

    encoded: int
    known: int
    errors: int
    gone: int
    unchanged: int


class FolderIndex:
    """The images of a folder and of its sub-folders, to be searched. Hidden ones are left out.

    The index is one SQLite file, ``FOLDER/.clip-index/KEY.sqlite``; `helpers.index.store` describes its tables. Each
    model has a file of its own: it is known by its weights, its precision, its preprocessing, the way of decoding, and
    by what it does with one image and one text. A kill costs two batches at most, and a resumed update goes on with the
    very batches that an uninterrupted one has. Damage is noticed: `search` refuses, and `update` encodes again what is
    lost. To start afresh, delete the file. Embeddings are held in memory: a million of 512 values take 2 GB. Use an
    object in one thread, and a new object after you change the model.

    Attributes:
        folder: the absolute path.
        model, preprocess, fast_decode: what makes the features.
    """

    def __init__(
        self,
        folder: str | PathLike,
        model: CLIP,
        preprocess: Callable,
        index_folder: str | PathLike | None = None,
        batch_size: int = 64,
        fast_decode: bool = True,
    ) -> None:
        """Read what is indexed so far. Nothing is written.

        Args:
            folder: of the images.
            model: from `load` or `clip.load`.
            preprocess: the transform that came with it.
            index_folder: where the index shall live instead. It may hold the indexes of several folders.
            batch_size: images that are encoded and saved together.
            fast_decode: as in `encode_images`.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: there is no such folder, ``batch_size`` is less than 1, the model is in training mode, or the
                index is of another format.
            OSError: the index cannot be read.
        """
        self.folder = _existing(path_of("folder", folder).absolute())
        self.model, self.preprocess, self.fast_decode = model, preprocess, fast_decode
        self._batch_size, size = whole("batch_size", batch_size), feature_size(model)
        home = _home(self.folder, index_folder)
        self._maker = fingerprint(model, preprocess, fast_decode)
        self._store = Store(home, _key(self._maker), self._maker, size)

    @property
    def paths(self) -> list[str]:
        """The images that can be found: their paths inside the folder, with ``/``, sorted."""
        return list(self._store.searchable()[0])

    @property
    def features(self) -> np.ndarray:
        """``(paths, d)`` float32, a copy: row ``i`` is the embedding of ``paths[i]``, of length 1."""
        return self._store.features[self._store.searchable()[1]]

    @property
    def errors(self) -> dict[str, str]:
        """The files that cannot be read, each with its reason."""
        return {path: known.error for path, known in sorted(self._store.files.items()) if known.error}

    def update(self, progress: bool = True) -> UpdateResult:
        """Bring the index up to date with the folder.

        A file is opened only if its size, times of change or place on the disk are not those in the index, and encoded
        only if its content is new. After an interruption, call it again.

        Args:
            progress: show a bar when the work takes longer than two seconds.

        Returns:
            How many files of each kind it met.

        Raises:
            ValueError: the folder is gone, the index is of another format, or the model was changed since this object
                was made.
            RuntimeError: another process is updating this index, or it was deleted meanwhile.
            OSError: the index cannot be read or written. What was saved before is safe.
        """
        _existing(self.folder)
        encode = partial(encode_batches, self.model, self.preprocess, fast_decode=self.fast_decode)
        kinds: Counter[str] = Counter()
        with self._store.writing():
            known, found = self._store.files, dict(walk(self.folder))
            gone = [path for path in known if path not in found]
            self._store.commit([], {}, gone)
            stamps = {path: stamp_text(stamp) for path, stamp in found.items()}
            pending = [(path, found[path]) for path in sorted(found) if stamps[path] != known.get(path, UNSEEN).stamp]
            if pending:
                self._refuse_another_model()
            with progress_bar(pending, "images", progress) as bar:
                for entries, rows in encode_new(self.folder, pending, self._store.row_of, encode, self._batch_size):
                    self._store.commit(entries, rows)
                    errors = sum(entry.error is not None for entry in entries)
                    kinds.update(encoded=len(rows), errors=errors, known=len(entries) - errors - len(rows))
                    bar.update(len(entries))
        return UpdateResult(kinds["encoded"], kinds["known"], kinds["errors"], len(gone), len(found) - len(pending))

    def search(
        self, text: Texts | None = None, image: Images | None = None, k: int = 10, threshold: float | None = None
    ) -> list[Match]:
        """Find the images that fit best. All are compared; the result is exact.

        Args:
            text: what to look for. Several are a list, each a text or a pair ``(text, weight)``; a negative weight
                leads away from it: ``["a red car", ("snow", -0.5)]``.
            image: a path or a PIL image, from anywhere; or a list of them, with weights in the same way. The embeddings
                of all texts and images, of length 1 times their weights, are added.
            k: how many; a smaller folder gives fewer.
            threshold: only scores above it count, so there may be fewer than ``k``, or none.

        Returns:
            The best first; of equal scores, the path that is first in the alphabet.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: the query is empty, or its parts cancel each other out, ``k`` is less than 1, or the index is
                empty or damaged.
            ImageError: the image cannot be read.
            OSError: the index cannot be read.
        """
        k = whole("k", k)
        threshold = None if threshold is None else number("threshold", threshold)
        self._store.catch_up()
        if self._store.damage:
            raise ValueError(f"{self._store.damage}. Call update(), which encodes again what is lost.")
        paths, rows = self._store.searchable()
        if not paths:
            raise ValueError(f"No image of {printable(self.folder)} is in the index. Call update() first.")
        k = min(k, len(paths))
        query = encode_query(self.model, self.preprocess, text, image, self.fast_decode)
        scores = (self._store.features @ query)[rows]
        near = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
        scores, best = top_k(scores[None, near].clip(-1, 1), k)
        found = zip(near[best[0]], scores[0], strict=True)
        return [
            Match(self.folder / paths[i], float(score)) for i, score in found if threshold is None or score > threshold
        ]

    def _refuse_another_model(self) -> None:
        if not same_maker(self._maker, fingerprint(self.model, self.preprocess, self.fast_decode)):
            raise ValueError("The model or the preprocess was changed since this FolderIndex was made. Make a new one.")


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise ValueError(f"Expected folder to be a folder of images; there is none at {printable(folder)}.")
    return folder


def _home(folder: Path, index_folder: str | PathLike | None) -> Path:
    """Choose the folder of an index: inside that of the images, or elsewhere."""
    if index_folder is None:
        return folder / ".clip-index"
    name = f"{folder.name}-{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:8]}"
    return path_of("index_folder", index_folder).absolute() / name


def _key(maker: dict[str, Any]) -> str:
    """Name an index by what its features depend on."""
    key = f"{maker['weights'][:12]}-{maker['precision']}-{maker['preprocess'][:12]}"
    return key if maker["decoding"] == "reduced" else f"{key}-full"
