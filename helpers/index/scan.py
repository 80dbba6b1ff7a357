"""Find the images of a folder, determine which contents are new, and encode these."""

import os
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from helpers._files import UNKNOWN, Stamp, sha256_of, stamp_of
from helpers._validation import reason
from helpers.images import FORMATS, ImageError, NoDecoderError
from helpers.similarity import normalize
from helpers.threads import batches, in_threads

SUFFIXES = frozenset(
    ".avif .bmp .gif .heic .heif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp".split()
)
LARGE = 100_000_000  # bytes; a file of more is hashed only if it begins as an image does
CHANGED = "it was changed while it was being read"


class Entry(NamedTuple):
    """A file's record: the SHA-256 of its content, or why it cannot be read."""

    path: str
    stamp: str | None = None
    content: str | None = None
    error: str | None = None


Encode = Callable[[Iterable[list[tuple[Entry, Path]]]], Iterable[list[tuple[Entry, np.ndarray | ImageError]]]]


def walk(folder: Path) -> Iterator[tuple[str, Stamp]]:
    """Find every image, and every subfolder that cannot be listed. Hidden files and folders are skipped.

    Yields:
        Path inside the folder, with ``/``, and stamp.

    Raises:
        OSError: the folder itself cannot be listed.
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


def stamp_text(stamp: Stamp) -> str:
    """Write a stamp as the store keeps it."""
    return f"{stamp.size} {stamp.mtime} {stamp.ctime} {stamp.inode}"


def encode_new(
    folder: Path, files: Iterable[tuple[str, Stamp]], known: Container[str], encode: Encode, batch_size: int
) -> Iterator[tuple[list[Entry], dict[str, np.ndarray]]]:
    """Look into files, and encode each new content once.

    What is new depends only on the order of the files, and not on how far the update has come. An update that resumes
    after a kill therefore has the same batches as one that was never interrupted.

    Args:
        folder: where they are.
        files: as `walk` gives them.
        known: the SHA-256 of each content that has features; it may grow meanwhile.
        encode: `encode_batches`, with a model.
        batch_size: files in a batch.

    Yields:
        For every batch, an entry for each file, and the new embeddings ``(d,)`` of length 1 by the SHA-256 of their
        content.
    """
    read_ahead: deque[list[Entry]] = deque()

    def with_new() -> Iterator[list[tuple[Entry, Path]]]:
        met: set[str] = set()
        for entries in batches(in_threads(partial(_look, folder), files), batch_size):
            read_ahead.append(entries)
            new = []
            for entry in entries:
                if entry.content is not None and entry.content not in known and entry.content not in met:
                    met.add(entry.content)
                    new.append((entry, folder / entry.path))
            yield new

    errors: dict[str, ImageError] = {}
    for outcomes in encode(with_new()):
        rows: dict[str, np.ndarray] = {}
        for entry, outcome in outcomes:
            if stamp_text(stamp_of(folder / entry.path) or UNKNOWN) != entry.stamp or entry.content is None:
                continue
            if isinstance(outcome, ImageError):
                errors[entry.content] = outcome
            elif not np.isfinite(outcome).all() or not outcome.any():
                errors[entry.content] = ImageError(entry.path, "its features are not finite")
            else:
                rows[entry.content] = normalize(outcome)
        yield [_settled(entry, rows, known, errors) for entry in read_ahead.popleft()], rows


def _look(folder: Path, file: tuple[str, Stamp]) -> Entry:
    """Hash the content of a file."""
    path, stamp = file
    try:
        if stamp.size > LARGE and not _begins_as_image(folder / path):
            return Entry(path, error="it does not begin as an image does")
        content = sha256_of(folder / path)
    except OSError as error:
        return Entry(path, error=f"it cannot be opened ({reason(error)})")
    return Entry(path, stamp_text(stamp), content) if stamp_of(folder / path) == stamp else Entry(path, error=CHANGED)


def _begins_as_image(file: Path) -> bool:
    try:
        Image.open(file, formats=FORMATS).close()
    except UnidentifiedImageError:
        return False
    except Exception:  # of many kinds; what is wrong is told when the image is opened
        return True
    return True


def _settled(entry: Entry, rows: Container[str], known: Container[str], errors: dict[str, ImageError]) -> Entry:
    """Add to an entry why its content has no features, unless it has."""
    content = entry.content
    if content is None or content in rows or content in known:
        return entry
    if content not in errors:
        return Entry(entry.path, error=CHANGED)
    error = errors[content]
    stamp = None if _may_pass(error) else entry.stamp  # without one, the next update tries again
    return Entry(entry.path, stamp, error=error.reason)


def _may_pass(error: ImageError) -> bool:
    """Return whether the file itself may be sound: a plugin, the drive or memory failed."""
    cause = error.__cause__
    from_system = isinstance(cause, OSError) and cause.errno is not None  # Pillow's own OSErrors have no number
    return isinstance(error, NoDecoderError) or from_system or isinstance(cause, MemoryError)
