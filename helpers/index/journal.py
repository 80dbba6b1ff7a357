"""The plain files of an index: how they are read, checked and written. All damage is found here.

They are standard files, to be read anywhere:

- ``features.npy``: ``(rows, d)`` float32; ``np.load(…, mmap_mode="r")`` opens it.
- ``files.jsonl``: a line for each batch, with the list of its ``records``; a path's last record counts. One with
  ``row`` is an image (``path``, ``size``, ``mtime_ns``, ``ctime_ns``, ``inode``, ``sha256``, ``row``), one with
  ``error`` is broken, one with ``gone`` was deleted. ``rows`` counts the batch's new rows, ``rows_crc32`` is their
  checksum, and ``crc32`` that of the line.
- ``about.json``: what made the features, and the random ``id`` by which an open object notices another index.

A batch counts once its line is whole. The line is written last, so the rows it names are there.
"""

import io
import json
import uuid
import zlib
from contextlib import AbstractContextManager
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from helpers._validation import printable, reason
from helpers.index.files import no_link, read, write

FORMAT = 2
CHECK = b', "crc32": '  # ends each line of the log

Record = dict[str, Any]


class End(NamedTuple):
    """How far the files are known: bytes of the log, and rows of the features."""

    bytes: int
    rows: int


class Batch(NamedTuple):
    """A line of the log, what it says, and where it ends."""

    line: bytes
    records: list[Record]
    end: End


class Journal:
    """The files of one folder.

    Args:
        place: the folder, which need not exist yet.
        made_by: what makes the features.
        size: ``d``, the length of a row.
    """

    def __init__(self, place: Path, made_by: Record, size: int) -> None:
        self.place, self.name, self._made_by, self._size = place, printable(place), made_by, size
        self._about, self._log, self._features = (place / n for n in ("about.json", "files.jsonl", "features.npy"))

    def lock(self) -> AbstractContextManager:
        """Become the only writer, until the end of a ``with`` block or of the process.

        Raises:
            RuntimeError: another process is the writer.
            PermissionError: the place can't be written.
        """
        try:
            no_link(self.place.parent)
            no_link(self.place).mkdir(parents=True, exist_ok=True)
            return FileLock(no_link(self.place / "lock")).acquire(timeout=0)
        except Timeout as error:
            raise RuntimeError(f"another process is writing to {self.name}: try again when it has finished") from error
        except OSError as error:
            way_out = "name another place with index_folder"
            raise PermissionError(f"the index can't be written to {self.name} ({reason(error)}): {way_out}") from error

    def identity(self) -> str | None:
        """Read the id in ``about.json``; None if there is none yet.

        Raises:
            ValueError: the index is of another format, or the file is damaged.
        """
        if not (content := read(self._about)):
            return None
        try:
            found = json.loads(content)
            identity, made = found.pop("id", None), found.pop("format", 1)
        except (ValueError, AttributeError, RecursionError):
            found, identity, made = {}, None, FORMAT
        if made != FORMAT:
            raise ValueError(
                f"{self.name} is an index of format {made}, and this version has format {FORMAT}; it is left as it "
                "is: delete that folder, or name another place with index_folder, then call update()"
            )
        if found != self._made_by or not isinstance(identity, str):
            raise ValueError(
                f"{printable(self._about)} is damaged: delete this file, then call update(), which writes it anew"
            )
        return identity

    def renew_identity(self) -> str:
        """Write ``about.json`` with another random id, and give the id."""
        identity, new = uuid.uuid4().hex, self._about.with_suffix(".new")
        about = {"format": FORMAT, "id": identity, **self._made_by}
        no_link(new).unlink(missing_ok=True)
        write(new, {0: json.dumps(about, indent=1).encode() + b"\n"})
        new.replace(self._about)
        return identity

    def read_line(self, end: int, length: int) -> bytes:
        """Read the line of the log that ends at byte ``end``, as it is now."""
        return read(self._log, end - length, length)

    def read(self, end: End) -> tuple[list[Batch], np.ndarray, str | None]:
        """Read and check what stands behind ``end``: its whole batches, their rows ``(n, d)``, and what is damaged."""
        log = read(self._log, end.bytes)
        lines = [line for line in io.BytesIO(log) if line.endswith(b"\n")]
        said = [self._parsed(line) for line in lines]
        rows = self._read_rows(end.rows, sum(batch["rows"] for batch in said if batch))
        batches: list[Batch] = []
        start = end.rows
        for line, batch in zip(lines, said, strict=True):
            if not batch or not _is_sound(batch, end.rows):
                return batches, rows[: end.rows - start], f"{printable(self._log)} is damaged at byte {end.bytes}"
            new = rows[end.rows - start :][: batch["rows"]]
            if len(new) < batch["rows"] or zlib.crc32(new.tobytes()) != batch["rows_crc32"]:
                return batches, rows[: end.rows - start], f"{printable(self._features)} is damaged at row {end.rows}"
            end = End(end.bytes + len(line), end.rows + len(new))
            batches.append(Batch(line, batch["records"], end))
        return batches, rows, None

    def append(self, records: list[Record], rows: np.ndarray, end: End) -> None:
        """Write a batch behind ``end``: the rows ``(n, d)`` first, then the line that makes them count."""
        if len(rows):
            self._write_rows(rows, end.rows)
        batch = {"records": records, "rows": len(rows), "rows_crc32": zlib.crc32(rows.tobytes())}
        text = json.dumps(batch).encode()[:-1]
        write(self._log, {end.bytes: text + CHECK + self._checksum(text)})

    def cut(self, end: End) -> None:
        """Drop what stands behind ``end``."""
        if self._log.exists():
            write(self._log, {}, end.bytes)
        if self._features.exists():
            self._write_rows(np.empty((0, self._size), dtype="<f4"), end.rows)

    def _parsed(self, line: bytes) -> Record | None:
        """Read a line of the log; None if it is damaged or another index's."""
        text, _, check = line.rpartition(CHECK)
        return json.loads(text + b"}") if check == self._checksum(text) else None

    def _checksum(self, text: bytes) -> bytes:
        """Cover what made the features, too, so that no other index takes a line for its own."""
        return b"%d}\n" % zlib.crc32(text, zlib.crc32(json.dumps(self._made_by).encode()))

    def _read_rows(self, start: int, count: int) -> np.ndarray:
        """Read rows ``(count, d)``, fewer if there are not as many."""
        width = self._size * 4
        content = read(self._features, len(_header(0, self._size)) + start * width, count * width)
        return np.frombuffer(content, dtype="<f4", count=len(content) // width * self._size).reshape(-1, self._size)

    def _write_rows(self, rows: np.ndarray, start: int) -> None:
        """Write rows, and a header that counts all up to them."""
        header = _header(start + len(rows), self._size)
        write(self._features, {0: header, len(header) + start * self._size * 4: rows.tobytes()})


def _header(rows: int, size: int) -> bytes:
    """Make the start of ``features.npy``; numpy leaves room in it, so its length is always the same."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (rows, size)})
    return header.getvalue()


def _is_sound(batch: Record, rows: int) -> bool:
    """Say whether the records of a batch stay inside the folder, and inside the ``rows`` before it and its own."""
    paths = [PurePath(record["path"]) for record in batch["records"]]
    numbers = [record["row"] for record in batch["records"] if "row" in record]
    inside = not any(path.anchor or ".." in path.parts for path in paths)
    return inside and all(0 <= number < rows + batch["rows"] for number in numbers)
