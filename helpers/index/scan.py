"""The images of a folder: which files there are, which contents are new, and what their features are."""

import hashlib
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from itertools import tee
from pathlib import Path

import numpy as np

from helpers._validation import printable
from helpers.images import ImageError, NoDecoderError
from helpers.index.journal import Record
from helpers.index.store import Stamp
from helpers.similarity import normalize
from helpers.threads import batches, in_threads

SUFFIXES = frozenset(".avif .bmp .gif .heic .heif .jfif .jp2 .jpe .jpeg .jpg .png .ppm .tga .tif .tiff .webp".split())
UNKNOWN = Stamp(-1, -1, -1, -1)  # of what can't be looked at: no record has it, so it is tried again


def walk(folder: Path) -> Iterator[tuple[str, Stamp]]:
    """Find every image, and every sub-folder that can't be looked into. Hidden ones are left out.

    Yields:
        Path inside the folder, with ``/``, and stamp.

    Raises:
        OSError: the folder itself can't be looked into.
    """
    waiting = [folder]
    while waiting:  # not os.walk, which calls itself for each level until Python 3.12
        parent = waiting.pop()
        try:
            entries = [entry for entry in os.scandir(parent) if not entry.name.startswith(".")]
        except OSError:
            if parent == folder:
                raise
            yield parent.relative_to(folder).as_posix(), UNKNOWN
            continue
        for entry in entries:
            file = parent / entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(file)
            elif file.suffix.lower() in SUFFIXES and (stamp := stamp_of(file)):
                yield file.relative_to(folder).as_posix(), stamp


def encode_new(
    folder: Path,
    files: Iterable[tuple[str, Stamp]],
    known: Container[str],
    encode: Callable[[Iterable[list[Path]]], Iterable[list[np.ndarray | ImageError]]],
    batch_size: int,
) -> Iterator[tuple[list[Record], dict[str, np.ndarray]]]:
    """Look into files, and encode each new content once.

    What is new depends on the order of the files alone, and not on how far the work has come. So a work that goes on
    after a kill has the very batches of one that was never stopped.

    Args:
        folder: where they are.
        files: as `walk` gives them.
        known: the SHA-256 of each content that has features; it may grow meanwhile.
        encode: gives rows or errors for batches of paths, as `rows_or_errors`.
        batch_size: files in a batch.

    Yields:
        For every batch, a record of each file, as a `FeatureStore` takes it, and the new rows ``(d,)`` of length 1 by
        the SHA-256 of their content.
    """
    looked = batches(in_threads(partial(look, folder), files), batch_size)
    plans, again = tee(_with_new(looked, known))
    sources = ([folder / record["path"] for record in new] for _, new in again)
    errors: dict[str, tuple[str, ImageError]] = {}
    for (records, new), outcomes in zip(plans, encode(sources), strict=True):
        rows = {}
        for record, outcome in zip(new, outcomes, strict=True):
            file, digest = folder / record["path"], record["sha256"]
            if stamp_of(file) != Stamp(*(record[part] for part in Stamp._fields)):
                continue
            if isinstance(outcome, ImageError):
                errors[digest] = printable(file), outcome
            elif not np.isfinite(outcome).all() or not outcome.any():
                errors[digest] = printable(file), ImageError(f"{file} has no finite features")
            else:
                rows[digest] = normalize(outcome)
        yield [_settled(record, rows, known, errors) for record in records], rows


def look(folder: Path, file: tuple[str, Stamp]) -> Record:
    """Make the record of a file: its stamp, and the SHA-256 of its content."""
    path, stamp = file
    try:
        with (folder / path).open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        return {"path": path, "error": f"{printable(path)} can't be opened: {error.strerror}"}
    return {"path": path, **stamp._asdict(), "sha256": digest} if stamp_of(folder / path) == stamp else _changed(path)


def _with_new(looked: Iterable[list[Record]], known: Container[str]) -> Iterator[tuple[list[Record], list[Record]]]:
    """Tell for each batch which of its records have a content that is met for the first time."""
    met: set[str] = set()
    for records in looked:
        new = []
        for record in records:
            if "sha256" in record and record["sha256"] not in known and record["sha256"] not in met:
                met.add(record["sha256"])
                new.append(record)
        yield records, new


def _settled(
    record: Record, rows: Container[str], known: Container[str], errors: dict[str, tuple[str, ImageError]]
) -> Record:
    """Add to a record why its content has no features, unless it has."""
    digest = record.get("sha256", "")
    if "error" in record or digest in rows or digest in known:
        return record
    if digest not in errors:
        return _changed(record["path"])
    file, error = errors[digest]
    reason = str(error).replace(file, printable(record["path"]))
    if isinstance(error, NoDecoderError):  # without a stamp, so that the next update tries again
        return {"path": record["path"], "error": reason}
    return {**record, "error": reason}


def _changed(path: str) -> Record:
    return {"path": path, "error": f"{printable(path)} was changed while it was read"}


def stamp_of(file: Path) -> Stamp | None:
    """Look at a file without opening it; None for what is no file, `UNKNOWN` for what can't be looked at."""
    try:
        status = file.stat()
    except OSError:
        return UNKNOWN
    if not stat.S_ISREG(status.st_mode):
        return None
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
