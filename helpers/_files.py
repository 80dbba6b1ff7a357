"""Inspect files: whether one is the same as before, and the hash of its content. Replace one whole."""

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """What identifies a file's state without opening it: size in bytes, times in ns, and inode."""

    size: int
    mtime: int
    ctime: int
    inode: int


UNKNOWN = Stamp(-1, -1, -1, -1)  # of what can't be looked at: nothing has it, so it is tried again


def stamp_of(file: Path) -> Stamp | None:
    """Look at a file without opening it: None for what is not a file, `UNKNOWN` for what cannot be looked at."""
    try:
        status = file.stat()
    except OSError:
        return UNKNOWN
    if not stat.S_ISREG(status.st_mode):
        return None
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def sha256_of(file: Path) -> str:
    """Hash the content of a file.

    Raises:
        OSError: it cannot be opened or read.
    """
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def replace_file(file: Path, content: bytes) -> None:
    """Write a file completely or not at all: a kill or a full disk leaves what was there.

    Raises:
        OSError: it cannot be written.
    """
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        new.write_bytes(content)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
