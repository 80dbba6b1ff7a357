"""Search a folder of pictures by text, by picture, or by both."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from helpers.compare import normalize, top_k
from helpers.encode import SECONDS_BEFORE_BAR, encode_images, encode_pixels, encode_texts, enough_pixels
from helpers.forward import in_threads, share_out
from helpers.images import ImageError, ImageSource, open_image
from helpers.models import available_models, load
from helpers.store import FeatureStore

SUFFIXES = frozenset(".avif .bmp .gif .heic .jp2 .jpeg .jpg .png .ppm .tga .tif .tiff .webp".split())
UNKNOWN = (-1, -1)  # the stamp of what can't be looked at: no record has it, so it is tried again


class Match(NamedTuple):
    """A picture that was found, and its cosine similarity with the question, in [-1, 1]."""

    path: Path
    score: float


class Changes(NamedTuple):
    """What an update met: files newly encoded, known by their content, broken, gone, and unchanged."""

    encoded: int
    known: int
    broken: int
    gone: int
    unchanged: int


class FolderIndex:
    """The pictures of a folder and of its sub-folders, to be searched. Hidden ones are left out.

    The index lives in ``FOLDER/.clip-index/KEY``, in standard files that `FeatureStore` describes. The key is made of
    the model's checksum, its precision and its preprocessing, so two of these never mix. A kill costs one batch at
    most, and a resumed update goes on with the very batches that an uninterrupted one has. To start afresh, delete
    the folder of the index. One object serves one thread.

    Attributes:
        folder: the absolute path.
        model: from `load`, as is ``preprocess``.
        store: the features and what is known of the files.
    """

    def __init__(
        self,
        folder: str | PathLike,
        model_name: str | PathLike = "tiny",
        index_folder: str | PathLike | None = None,
        device: str | torch.device | None = None,
        batch_size: int = 64,
        precision: str | None = None,
    ) -> None:
        """Load the model, and read what is indexed so far. Nothing is written.

        Args:
            folder: of the pictures.
            model_name: as in `load`, whose errors come through.
            index_folder: where the index shall live instead, as for a folder that can't be written.
                It may hold the indexes of several folders.
            device, precision: as in `load`.
            batch_size: pictures that are read, encoded and saved together.

        Raises:
            ValueError: there is no such folder, or ``batch_size`` is less than 1.
        """
        self.folder = Path(folder).absolute()
        if not self.folder.is_dir():
            raise ValueError(f"no such folder: {folder}")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        self.batch_size = batch_size
        self.model, self.preprocess = load(model_name, device, precision=precision)
        about = _about(model_name, self.model, self.preprocess)
        home = self.folder / ".clip-index"
        if index_folder is not None:
            home = Path(index_folder) / f"{self.folder.name}-{_sha256(bytes(self.folder.resolve()))[:8]}"
        key = f"{about['model_sha256'][:12]}-{about['precision']}-{about['preprocess_sha256'][:12]}"
        self.store = FeatureStore(home / key, about, self.model.text_projection.shape[1])

    @property
    def broken(self) -> dict[str, str]:
        """The files that can't be read, each with its reason."""
        return {path: known.error for path, known in sorted(self.store.files.items()) if known.error}

    def update(self, progress: bool = True) -> Changes:
        """Bring the index up to date with the folder.

        A file is opened only if its size or its time of change is not the one in the index. It is encoded only if
        its content is new. After an interruption, call it again.

        Args:
            progress: show a bar when the work takes longer than two seconds.

        Returns:
            How many files of each kind it met.

        Raises:
            RuntimeError: another process is updating this index.
            PermissionError: the index can't be written.
        """
        kinds, known = Counter(), self.store.files
        with self.store.lock():
            self.store.prepare()
            found = dict(self._walk())
            gone = [{"path": path, "gone": True} for path in known if path not in found]
            if gone:
                self.store.commit(self.store.features[:0], gone)
            pending = [path for path in sorted(found) if path not in known or known[path].stamp != found[path]]
            with tqdm(total=len(pending), desc="pictures", delay=SECONDS_BEFORE_BAR, disable=not progress) as bar:
                for start in range(0, len(pending), self.batch_size):
                    batch = pending[start : start + self.batch_size]
                    kinds += self._add(batch, [found[path] for path in batch])
                    bar.update(len(batch))
        return Changes(kinds["encoded"], kinds["known"], kinds["broken"], len(gone), len(found) - len(pending))

    def search(self, text: str | None = None, picture: ImageSource | None = None, k: int = 10) -> list[Match]:
        """Find the pictures that fit best. All are compared; the result is exact.

        Args:
            text: what to look for.
            picture: a path or a PIL image, from anywhere. With a text: their rows of length 1 are added.
            k: how many; a smaller folder gives fewer.

        Returns:
            The best first; of equal scores, the path that is first in the alphabet.

        Raises:
            ValueError: neither text nor picture is given, ``k`` is less than 1, or the index is empty.
            ImageError: the picture can't be read.
        """
        if k < 1:
            raise ValueError(f"k is {k}; it must be at least 1")
        self.store.catch_up()
        paths, rows = self.store.searchable()
        if not paths:
            raise ValueError(f"no picture of {self.folder} is in the index: call update() first")
        k = min(k, len(paths))
        scores = (self.store.features @ self._query(text, picture))[rows]
        near = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
        best, scores = top_k(scores[None, near].clip(-1, 1), k)
        return [Match(self.folder / paths[i], float(score)) for i, score in zip(near[best[0]], scores[0], strict=True)]

    def _walk(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield path and stamp of every picture, and of every sub-folder that can't be looked into."""
        closed = []
        for parent, folders, names in os.walk(self.folder, onerror=closed.append):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in (Path(parent, name) for name in names if not name.startswith(".")):
                if file.suffix.lower() in SUFFIXES and (stamp := _stamp(file)):
                    yield file.relative_to(self.folder).as_posix(), stamp
        for error in closed:
            if Path(error.filename) == self.folder:
                raise error
            yield Path(error.filename).relative_to(self.folder).as_posix(), UNKNOWN

    def _add(self, paths: list[str], stamps: list[tuple[int, int]]) -> Counter:
        """Read, encode and commit a batch; count its files by kind."""
        read = list(in_threads(lambda file: self._read(*file), zip(paths, stamps, strict=True)))
        features = self._encode({record["sha256"]: pixels for record, pixels in read if pixels is not None})
        new = {digest: len(self.store.row_of) + i for i, digest in enumerate(features)}
        records = [record for record, _ in read]
        for record in records:
            if "error" not in record:
                digest = record["sha256"]
                row = new.get(digest, self.store.row_of.get(digest))
                record |= {"error": f"{record['path']} has no finite features"} if row is None else {"row": row}
        self.store.commit(np.array(list(features.values())), records)
        broken = sum("error" in record for record in records)
        return Counter(encoded=len(new), broken=broken, known=len(records) - broken - len(new))

    def _read(self, path: str, stamp: tuple[int, int]) -> tuple[dict, torch.Tensor | None]:
        """Make the record of a file, and its pixels ``(3, resolution, resolution)`` if its content is new."""
        file = self.folder / path
        record = {"path": path, "size": stamp[0], "mtime_ns": stamp[1]}
        try:
            with file.open("rb") as content:
                record["sha256"] = hashlib.file_digest(content, "sha256").hexdigest()
            known = record["sha256"] in self.store.row_of
            pixels = None if known else self.preprocess(open_image(file, enough_pixels(self.model)))
        except ImageError as error:
            return record | {"error": str(error).replace(str(file), path)}, None
        except OSError as error:
            return {"path": path, "error": f"{path} can't be opened: {error.strerror}"}, None
        if _stamp(file) != stamp:
            return {"path": path, "error": f"{path} was changed while it was read"}, None
        return record, pixels

    def _encode(self, pixels: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
        """Encode contents: ``(d,)`` of length 1 for each, leaving out what the model makes no finite row of."""
        pieces = share_out(list(pixels.values()), next(self.model.parameters()).device)
        rows = chain.from_iterable(in_threads(partial(encode_pixels, self.model), pieces))
        return {digest: normalize(row) for digest, row in zip(pixels, rows, strict=True) if np.isfinite(row).all()}

    def _query(self, text: str | None, picture: ImageSource | None) -> np.ndarray:
        """Encode the question: ``(d,)``, of length 1."""
        if text is None and picture is None:
            raise ValueError("give a text, a picture, or both")
        parts = []
        if text is not None:
            parts.append(normalize(encode_texts(self.model, [text], progress=False)[0]))
        if picture is not None:
            parts.append(normalize(encode_images(self.model, self.preprocess, [picture], progress=False)[0]))
        return normalize(sum(parts))


def _about(model_name: str | PathLike, model: torch.nn.Module, preprocess: Callable) -> dict:
    """Tell what the features depend on. The preprocessing is known by what it makes of one picture."""
    known = {info.name: info.sha256 for info in available_models()}
    sample = Image.fromarray((np.arange(53 * 71 * 4) * 7919 % 251).astype(np.uint8).reshape(53, 71, 4), "RGBA")
    return {
        "model": str(model_name),
        "model_sha256": known.get(str(model_name)) or _sha256(Path(model_name).read_bytes()),
        "precision": str(model.dtype).removeprefix("torch."),
        "preprocess_sha256": _sha256(preprocess(open_image(sample)).numpy().tobytes()),
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _stamp(file: Path) -> tuple[int, int] | None:
    """Size and time of change in nanoseconds; None for what is no file, `UNKNOWN` for what can't be looked at."""
    try:
        status = file.stat()
    except OSError:
        return UNKNOWN
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None
