"""Official files: read from this machine or downloaded by pooch, and never used without checking their SHA-256."""

import hashlib
import time
import warnings
from os import PathLike
from pathlib import Path
from typing import Any

from tqdm import tqdm

from helpers._clip import OFFICIAL_URLS
from helpers._validation import printable, reason

STALL_SECONDS = 10  # without a byte
SLOWEST, AFTER_SECONDS = 20_000, 60  # bytes per second; a download that is slower than this, after so long, is ended
TRIES_AGAIN = 1  # after a lost connection or a busy server


def official_file(name: str, mib: int, download_root: str | PathLike | None) -> tuple[Path, bytes]:
    """Read an official file, and download it first if it is missing or damaged.

    Args:
        name: of an official model.
        mib: size of its file in MiB, rounded; nothing longer is downloaded.
        download_root: folder of the official files, by default ``~/.cache/clip``.

    Returns:
        Where the file is, and its content, whose SHA-256 is right.

    Raises:
        ConnectionError: it is not on this machine and cannot be downloaded.
        ValueError: it would be in a home folder, and there is none.
        OSError: it is there and cannot be read.
    """
    url = OFFICIAL_URLS[name]
    sha256, file = url.split("/")[-2:]
    try:
        folder = Path(download_root or "~/.cache/clip").expanduser()
    except RuntimeError as error:  # a container's user may have no home
        raise ValueError(
            "Expected a home folder, for the official files; got none. Set HOME, or pass download_root."
        ) from error
    path = folder / file
    if path.is_file():
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == sha256:
            return path, content
        warnings.warn(f"{printable(path)} is damaged and will be downloaded again.", stacklevel=4)
    try:
        _download(url, path, sha256, mib)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"Cannot download {name!r} ({mib} MiB): {_cause(error)}. Download {url} on another machine and put it "
            f"into {printable(folder)}, or use load('tiny'), which needs no network."
        ) from error
    return path, path.read_bytes()


def _download(url: str, path: Path, sha256: str, mib: int) -> None:
    """Download a file beside its place under another name, compare its SHA-256, and only then rename it."""
    import pooch  # when it is needed: it takes as long to import as all else here

    def by_http(url: str, part: str, registry: Any) -> None:
        with _Progress(path.name, mib) as progress:
            pooch.HTTPDownloader(progressbar=progress, timeout=STALL_SECONDS)(url, part, registry)

    if path.exists() and not path.is_file():
        raise ValueError(f"{printable(path)} is not a file")
    files = pooch.create(
        path.parent,
        base_url="",
        registry={path.name: f"sha256:{sha256}"},
        urls={path.name: url},
        retry_if_failed=TRIES_AGAIN,
    )
    files.fetch(path.name, downloader=by_http)


class _Progress(tqdm):
    """Shows how much of a file has come, and ends a download that is too slow or too long."""

    def __init__(self, name: str, mib: int) -> None:
        super().__init__(desc=name, total=mib * 2**20, unit="B", unit_scale=True, delay=2)
        self.came, self.most, self.since = 0.0, (mib + 1) * 2**20, time.monotonic()

    def __bool__(self) -> bool:
        """Count for pooch even where a server does not say how much will come."""
        return True

    def update(self, n: float | None = 1) -> bool | None:
        """Count bytes that came.

        Raises:
            TimeoutError: fewer came than is worth waiting for.
            ValueError: more came than the file has.
        """
        self.came += n or 0
        seconds = time.monotonic() - self.since
        if self.came > self.most:
            raise ValueError("the server sent more bytes than the file has")
        if seconds > AFTER_SECONDS and self.came < SLOWEST * seconds:
            raise TimeoutError(f"only {self.came:,.0f} bytes arrived in {seconds:.0f} seconds")
        return super().update(n)

    def reset(self, total: float | None = None) -> None:
        """Let pooch count all that came once more, as it does at the end."""
        self.n, self.came = 0, 0.0


def _cause(error: BaseException) -> str:
    """Return the original cause: what requests reports is a chain of its own classes."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return reason(error).removesuffix(".")
