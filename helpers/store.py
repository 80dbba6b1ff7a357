"""Keep features on disk, so that a kill at any moment costs one batch at most."""

import io
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout


class Known(NamedTuple):
    """What the store knows of a file.

    Attributes:
        stamp: ``(size, mtime_ns)`` when it was read; None if reading it failed for a reason that may pass.
        row: its row in the features; None if it is broken.
        error: why it is broken, else None.
    """

    stamp: tuple[int, int] | None
    row: int | None
    error: str | None


class FeatureStore:
    """Features of files, and which file has which. Only ever appended to, a batch at a time.

    Standard files, to be read anywhere:

    - ``features.npy``: ``(rows, d)`` float32; ``np.load(…, mmap_mode="r")`` opens it.
    - ``files.jsonl``: a line for each batch, a JSON list of records; a path's last record counts. One with ``row``
      is a picture (``path``, ``size``, ``mtime_ns``, ``sha256``, ``row``), one with ``error`` is broken, one with
      ``gone`` was deleted.
    - ``about.json``: what made the features.

    A batch counts once its line is whole. The line is written last, so the rows it names are there. What a kill
    left behind a whole line is overwritten. Rows of deleted files stay, in case they come back.

    Attributes:
        place: the folder of these files.
        features: ``(rows, d)`` float32, mapped from the disk.
        files: what is known of each path.
        row_of: the row of each content, by its SHA-256.
    """

    def __init__(self, place: Path, about: dict, size: int) -> None:
        """Read what is there; write nothing.

        Args:
            place: a folder, which need not exist yet.
            about: what makes the features, for ``about.json``.
            size: ``d``, the length of a row.
        """
        self.place = place
        self.features = np.empty((0, size), dtype=np.float32)
        self.files: dict[str, Known] = {}
        self.row_of: dict[str, int] = {}
        self._about = about
        self._committed = 0  # bytes of files.jsonl
        self._searchable = (0, [], np.empty(0, dtype=np.int64))
        self.catch_up()

    def catch_up(self) -> None:
        """Read what has been added since the last look, by this process or another."""
        log = self.place / "files.jsonl"
        if not log.exists():
            return
        with log.open("rb") as file:
            file.seek(self._committed)
            for line in file:
                records = _parsed(line)
                if records is None or not self._has_rows(records):
                    return
                for record in records:
                    self._take(record)
                self._committed += len(line)

    def _has_rows(self, records: list[dict]) -> bool:
        needed = max((record.get("row", -1) for record in records), default=-1) + 1
        if needed > len(self.features):
            try:
                self.features = np.load(self.place / "features.npy", mmap_mode="r")
            except (OSError, ValueError):
                return False
        return needed <= len(self.features)

    def _take(self, record: dict) -> None:
        if "gone" in record:
            self.files.pop(record["path"], None)
        else:
            self.files[record["path"]] = _known(record)
        if "row" in record:
            self.row_of[record["sha256"]] = record["row"]

    def searchable(self) -> tuple[list[str], np.ndarray]:
        """List the files that have features: their sorted paths, and ``(paths,)`` the row of each."""
        if self._searchable[0] != self._committed:
            paths = sorted(path for path, known in self.files.items() if known.row is not None)
            rows = np.array([self.files[path].row for path in paths], dtype=np.int64)
            self._searchable = (self._committed, paths, rows)
        return self._searchable[1:]

    def lock(self) -> BaseFileLock:
        """Become the only writer, until the end of a ``with`` block or of the process.

        Raises:
            RuntimeError: another process is the writer.
            PermissionError: the place can't be written.
        """
        lock = FileLock(self.place / "lock")
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            return lock.acquire(timeout=0)
        except Timeout as error:
            raise RuntimeError(f"another process is writing to {self.place}: try again when it has finished") from error
        except OSError as error:
            raise PermissionError(
                f"the index can't be written to {self.place} ({error.strerror}): name another place with index_folder"
            ) from error

    def prepare(self) -> None:
        """Catch up, then drop what a killed writer left unfinished. Only for the writer."""
        self.catch_up()
        log = self.place / "files.jsonl"
        if log.exists():
            os.truncate(log, self._committed)
        about = self.place / "about.json"
        if not about.exists():
            new = about.with_suffix(".new")
            new.write_text(json.dumps(self._about, indent=1) + "\n")
            new.replace(about)

    def commit(self, features: np.ndarray, records: list[dict]) -> None:
        """Add a batch: all of it, or nothing. Only for the writer.

        Args:
            features: ``(n, d)``, the new rows. They get the numbers from ``len(row_of)`` on.
            records: as in ``files.jsonl``. Those that say nothing new are left out.
        """
        records = [record for record in records if self.files.get(record["path"]) != _known(record)]
        if not records:
            return
        if len(features):
            self._append(features)
        with (self.place / "files.jsonl").open("ab") as log:
            log.write(json.dumps(records).encode() + b"\n")
            _to_disk(log)
        self.catch_up()

    def _append(self, features: np.ndarray) -> None:
        """Write the rows, then the header that counts them; numpy leaves room in it for that."""
        start, (n, size) = len(self.row_of), features.shape
        path = self.place / "features.npy"
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(len(_header(start, size)) + start * size * 4)
            file.write(features.astype("<f4").tobytes())
            _to_disk(file)
            file.seek(0)
            file.write(_header(start + n, size))
            _to_disk(file)


def _parsed(line: bytes) -> list[dict] | None:
    """Read a line of the log; None if it was not written to its end."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None


def _known(record: dict) -> Known:
    stamp = (record["size"], record["mtime_ns"]) if "size" in record else None
    return Known(stamp, record.get("row"), record.get("error"))


def _header(rows: int, size: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (rows, size)})
    return header.getvalue()


def _to_disk(file: io.BufferedIOBase) -> None:
    file.flush()
    os.fsync(file.fileno())
