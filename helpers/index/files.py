"""Read and write parts of files; what goes wrong names the file and the way out."""

import os
from pathlib import Path

from helpers._validation import printable


def read(path: Path, start: int = 0, size: int = -1) -> bytes:
    """Read a part of a file; nothing if there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise _named(path, "read", error, "nothing was changed; try again") from error


def write(path: Path, parts: dict[int, bytes], end: int | None = None) -> None:
    """Write each part at its place, cut the file at ``end``, and wait until all is on the disk."""
    no_link(path)
    try:
        with path.open("r+b" if path.exists() else "w+b") as file:
            for start, content in parts.items():
                file.seek(start)
                file.write(content)
            if end is not None:
                file.truncate(end)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _named(path, "written", error, "what was saved is safe; mend that, then call update() again") from error


def _named(path: Path, verb: str, error: OSError, way_out: str) -> OSError:
    return type(error)(f"{printable(path)} can't be {verb} now ({error.strerror}): {way_out}")


def no_link(path: Path) -> Path:
    """Refuse a symbolic link: what it leads to is somebody's else."""
    if path.is_symlink():
        raise PermissionError(f"{printable(path)} is a symbolic link, and nothing is written through one: delete it")
    return path
