"""Fetch a file so that nothing but the whole and right file ever stands under its name.

It grows beside that name, as ``NAME.part``, and a later call goes on with it. Only when its SHA-256 is right is it
renamed, which happens at once or not at all.
"""

import hashlib
import http.client
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

from filelock import FileLock, Timeout
from tqdm import tqdm

from helpers._validation import printable
from helpers.network import why_not

MIB = 1 << 20
STALL_SECONDS = 10  # without a byte
WAITS_SECONDS = (0, 1, 3, 9)  # before each try
MAKE_ROOM = "make room, or name another folder by download_root"
BUSY = (408, 429, 500, 502, 503, 504)  # what a server answers that may have the file later


class StoppedError(Exception):
    """It stopped on its way; another try may go on."""


def download(url: str, target: Path, sha256: str, mib: int) -> None:
    """Bring a file to its place, unless it is there. Of several processes that want it, one fetches it.

    What stops on its way is tried again, up to three times, and goes on where it stopped.

    Args:
        url: its address.
        target: its place; folders that lack are made.
        sha256: of its content.
        mib: its size in MiB, rounded; nothing longer is fetched.

    Raises:
        OSError: it can't be fetched. The message says why. What is fetched so far stays in ``NAME.part``.
    """
    if is_sound(target, sha256):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with _alone(target):
        if is_sound(target, sha256):  # another process has fetched it meanwhile
            return
        if target.exists():
            warnings.warn(f"{printable(target)} is damaged, and is fetched anew", stacklevel=2)
        if not is_sound(part, sha256):
            _fetch(url, part, sha256, mib)
        part.replace(target)


def is_sound(file: Path, sha256: str) -> bool:
    """Say whether a file is there and has this checksum."""
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == sha256


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Wait until no other process fetches this file."""
    lock = FileLock(target.with_name(f"{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        warnings.warn(f"another process fetches {printable(target)}; this one waits for it", stacklevel=4)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(url: str, part: Path, sha256: str, mib: int) -> None:
    """Fetch what a part lacks, until its checksum is right."""
    why = ""
    for wait in WAITS_SECONDS:
        time.sleep(wait)
        had = part.stat().st_size if part.is_file() else 0
        try:
            _append(url, part, had, mib)
        except StoppedError as error:
            why = str(error)
            continue
        if is_sound(part, sha256):
            return
        part.unlink()
        why = f"what came is another file: its SHA-256 does not begin {sha256[:8]}"
        if not had:  # it came in one piece, so another try would bring the same
            break
    raise ConnectionError(why)


def _append(url: str, part: Path, had: int, mib: int) -> None:
    """Ask once for what a part lacks, and add what comes."""
    asked = Request(url, headers={"Range": f"bytes={had}-"} if had else {})
    try:  # urlopen would keep to the proxy that was set when it was first called
        source = build_opener().open(asked, timeout=STALL_SECONDS)
    except HTTPError as error:
        if error.code == 416:  # the part is longer than the file
            part.unlink()
        elif error.code not in BUSY:
            raise ConnectionError(why_not(url, error)) from error
        raise StoppedError(why_not(url, error)) from error
    except URLError as error:
        raise ConnectionError(why_not(url, error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise StoppedError(why_not(url, error)) from error
    goes_on = source.headers.get("Content-Range", "").startswith(f"bytes {had}-")
    coming = source.headers.get("Content-Length")
    free = shutil.disk_usage(part.parent).free + (0 if goes_on else had)
    if coming and int(coming) > free:
        room = f"{free / MIB:.1f} MiB are free in {printable(part.parent)}"
        raise ConnectionError(f"{room}, and {int(coming) / MIB:.1f} are to come: {MAKE_ROOM}")
    try:
        with source, part.open("ab" if had and goes_on else "wb") as file:
            total = file.tell() + int(coming) if coming else None
            with tqdm(desc=part.stem, total=total, initial=file.tell(), unit="B", unit_scale=True, delay=2) as bar:
                for piece in _pieces(source, url):
                    bar.update(file.write(piece))
                    if file.tell() > (mib + 1) * MIB:
                        break
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
    except OSError as error:
        raise OSError(f"{printable(part)} can't be written ({error.strerror}): {MAKE_ROOM}") from error
    if total and size < total:
        raise StoppedError(f"the connection was lost after {size / MIB:.1f} of {total / MIB:.1f} MiB")


def _pieces(source: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """Read what comes, as it comes."""
    try:
        while piece := source.read1(MIB):
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise StoppedError(why_not(url, error)) from error
