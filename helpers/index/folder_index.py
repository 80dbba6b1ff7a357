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
    """Numbers of files in an update: newly encoded, known by their content, unreadable, gone, and unchanged."""

    encoded: int
    known: int
    errors: int
    gone: int
    unchanged: int


class FolderIndex:
    """A search index for the images of a folder and its subfolders, hidden files and folders excepted.

    The index is one SQLite file, ``FOLDER/.clip-index/KEY.sqlite``; `helpers.index.store` describes its tables. Each
    model has its own file. A model is identified by its weights, precision and preprocessing, by the way of decoding,
    and by the embeddings of one image and one text. A kill loses at most two batches, and a resumed update has the same
    batches as an uninterrupted one. Damage is detected: `search` refuses to run, and `update` encodes the lost images
    again. To start from scratch, delete the file. Embeddings are held in memory: a million of 512 values take 2 GB.
    Use each object in one thread only, and make a new one after you change the model.

    Attributes:
        folder: the absolute path of the folder.
        model, preprocess, fast_decode: what the features depend on.
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
        """Read the existing index, if there is one. Nothing is written.

        Args:
            folder: folder of images.
            model: from `load` or `clip.load`.
            preprocess: the transform that came with it.
            index_folder: folder to keep the index in instead. It may hold the indexes of several folders.
            batch_size: number of images that are encoded and saved together.
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
        """Paths of the images that can be found, relative to the folder, with ``/``, sorted."""
        return list(self._store.searchable()[0])

    @property
    def features(self) -> np.ndarray:
        """A copy of the embeddings, ``(paths, d)`` float32: row ``i`` belongs to ``paths[i]`` and has length 1."""
        return self._store.features[self._store.searchable()[1]]

    @property
    def errors(self) -> dict[str, str]:
        """The files that cannot be read, each with the reason."""
        return {path: known.error for path, known in sorted(self._store.files.items()) if known.error}

    def update(self, progress: bool = True) -> UpdateResult:
        """Bring the index up to date with the folder.

        A file is opened only if its size, timestamps or inode differ from those in the index, and encoded only if its
        content is new. After an interruption, call `update` again.

        Args:
            progress: show a progress bar if the work takes longer than two seconds.

        Returns:
            The number of files of each kind.

        Raises:
            ValueError: the folder is gone, the index is of another format, or the model has changed since this object
                was made.
            RuntimeError: another process is updating this index, or it was deleted during the update.
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
        """Find the images that fit a query best. All images are compared, so the result is exact.

        Args:
            text: the text to search for, or a list, each item a text or a pair ``(text, weight)``. A negative weight
                leads away from a text: ``["a red car", ("snow", -0.5)]``.
            image: a path or a PIL image, which need not be in the folder, or a list of them, with weights in the same
                way. The query is the sum of all embeddings of texts and images, each of length 1 times its weight.
            k: largest number of results; a smaller folder yields fewer.
            threshold: only images with a higher score are returned, so there may be fewer than ``k``, or none.

        Returns:
            The matches, best first; equal scores are sorted by path.

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
            raise ValueError(f"{self._store.damage}. Call update(), which encodes the lost images again.")
        paths, rows = self._store.searchable()
        if not paths:
            raise ValueError(
                f"Expected images of {printable(self.folder)} in the index; got none. "
                "Add some to the folder, or call update() first."
            )
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
            raise ValueError("The model or preprocess has changed since this FolderIndex was made. Make a new one.")


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise ValueError(f"Expected a folder of images; got {printable(folder)}, which is not one. Check the path.")
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
