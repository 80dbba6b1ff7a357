"""Search a folder of images by text, by image, or by both."""

import hashlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers._clip import CLIP
from helpers._validation import path_of, printable, whole
from helpers.encode import encode_batches, progress_bar
from helpers.fingerprint import made_by
from helpers.forward import feature_size
from helpers.index.journal import Record
from helpers.index.scan import encode_new, walk
from helpers.index.searchable import Searchable
from helpers.index.store import UNSEEN, FeatureStore


class UpdateResult(NamedTuple):
    """What an update met: files newly encoded, known by their content, broken, gone, and unchanged."""

    encoded: int
    known: int
    errors: int
    gone: int
    unchanged: int


class FolderIndex(Searchable):
    """The images of a folder and of its sub-folders, to be searched. Hidden ones are left out.

    The index lives in ``FOLDER/.clip-index/KEY``, in standard files that `journal` describes. The key is made
    of the model's weights, its precision, its preprocessing and the way of decoding, so two of these never mix. A kill
    costs two batches at most, and a resumed update goes on with the very batches that an uninterrupted one has. Damage
    is noticed: `search` refuses, and `update` encodes anew what is lost. To start afresh, delete the folder of the
    index. Features are held in memory: a million rows of 512 take 2 GB. One object serves one thread.

    Attributes:
        folder: the absolute path.
        model, preprocess: what makes the features.
        store: the features and what is known of the files.
    """

    store: FeatureStore
    mend, fill = "call update(), which encodes anew what is lost", "call update() first"

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
            TypeError: an argument is of another kind.
            ValueError: there is no such folder, ``batch_size`` is less than 1, the model is in training mode, or the
                index is of another format.
        """
        self.folder = _existing(path_of("folder", folder).absolute())
        self.model, self.preprocess, self.fast_decode = model, preprocess, fast_decode
        self.batch_size, size = whole("batch_size", batch_size), feature_size(model)
        maker = made_by(model, preprocess, fast_decode)
        self.store = FeatureStore(_place(self.folder, index_folder, maker), maker, size)

    @property
    def paths(self) -> list[str]:
        """The images that can be found, inside the folder, sorted."""
        return list(self.store.searchable()[0])

    @property
    def features(self) -> np.ndarray:
        """``(paths, d)`` float32, of length 1: a row for each of `paths`."""
        return self.store.features[self.store.searchable()[1]]

    @property
    def errors(self) -> dict[str, str]:
        """The files that can't be read, each with its reason."""
        return {path: known.error for path, known in sorted(self.store.files.items()) if known.error}

    def update(self, progress: bool = True) -> UpdateResult:
        """Bring the index up to date with the folder.

        A file is opened only if its size, times of change or place on the disk are not those in the index, and encoded
        only if its content is new. After an interruption, call it again.

        Args:
            progress: show a bar when the work takes longer than two seconds.

        Returns:
            How many files of each kind it met.

        Raises:
            ValueError: the folder is gone, or the index is of another format.
            RuntimeError: another process is updating this index, or it was deleted meanwhile.
            OSError: the index can't be read or written.
        """
        _existing(self.folder)
        encode = partial(encode_batches, self.model, self.preprocess, fast_decode=self.fast_decode)
        kinds: Counter[str] = Counter()
        with self.store.writing():
            known, found = self.store.files, dict(walk(self.folder))
            gone: list[Record] = [{"path": path, "gone": True} for path in known if path not in found]
            self.store.commit(gone, {})
            pending = [(path, found[path]) for path in sorted(found) if found[path] != known.get(path, UNSEEN).stamp]
            with progress_bar(pending, "images", progress) as bar:
                for records, rows in encode_new(self.folder, pending, self.store.row_of, encode, self.batch_size):
                    self.store.commit(records, rows)
                    broken = sum("error" in record for record in records)
                    kinds.update(encoded=len(rows), errors=broken, known=len(records) - broken - len(rows))
                    bar.update(len(records))
        return UpdateResult(kinds["encoded"], kinds["known"], kinds["errors"], len(gone), len(found) - len(pending))


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise ValueError(f"no such folder: {printable(folder)}")
    return folder


def _place(folder: Path, index_folder: str | PathLike | None, maker: Record) -> Path:
    """Choose where an index lives: below the folder or elsewhere, by what its features depend on."""
    home = folder / ".clip-index"
    if index_folder is not None:
        home = (
            path_of("index_folder", index_folder).absolute()
            / f"{folder.name}-{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:8]}"
        )
    key = f"{maker['model_sha256'][:12]}-{maker['precision']}-{maker['preprocess_sha256'][:12]}"
    return home / (key if maker["decoding"] == "reduced" else f"{key}-full")
