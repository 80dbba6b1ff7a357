"""Keep features on disk, so that a kill at any moment costs a batch or two, and damage is found, never believed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers._validation import printable
from helpers.index.journal import End, Journal, Record


class Stamp(NamedTuple):
    """What tells a file from its later versions without opening it. Inode and ctime are 0 where a system has none."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Known(NamedTuple):
    """What the store knows of a file.

    Attributes:
        stamp: when it was read; None if reading it failed for a reason that may pass.
        row: its row in the features; None if it is broken.
        error: why it is broken, else None.
    """

    stamp: Stamp | None
    row: int | None
    error: str | None


UNSEEN = Known(None, None, None)


class Blocks:
    """Features that arrive in blocks, and are joined when somebody asks for them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._blocks: list[np.ndarray] = []

    def append(self, rows: np.ndarray) -> None:
        """Take a block, ``(n, d)`` float32."""
        self._blocks.append(rows)

    def joined(self) -> np.ndarray:
        """Join all blocks, ``(rows, d)`` float32; a second call costs nothing."""
        if len(self._blocks) != 1:
            self._blocks = [np.concatenate([np.empty((0, self._size), dtype=np.float32), *self._blocks])]
        return self._blocks[0]


class FeatureStore:
    """Features of files, and which file has which. Only ever appended to, a batch at a time.

    `journal` describes its files, which live in one folder. What a kill left behind the last whole batch is
    overwritten. Rows of deleted files stay, in case they come back.

    Attributes:
        place: that folder.
        files: what is known of each path.
        row_of: the row of each content, by its SHA-256.
        damage: which file is damaged, and where; None if all is well. What stands before it was read.
    """

    def __init__(self, place: Path, made_by: Record, size: int) -> None:
        """Read what is there; write nothing.

        Args:
            place: a folder, which need not exist yet.
            made_by: what makes the features, for ``about.json``.
            size: ``d``, the length of a row.

        Raises:
            ValueError: there is a store of another format, or ``about.json`` is damaged.
            OSError: a file can't be read.
        """
        self.place, self._size = place, size
        self._journal = Journal(place, made_by, size)
        self._forget(None)
        self.catch_up()

    def _forget(self, identity: str | None) -> None:
        self.files: dict[str, Known] = {}
        self.row_of: dict[str, int] = {}
        self.damage: str | None = None
        self._identity = identity
        self._end, self._last_line = End(0, 0), b""
        self._blocks = Blocks(self._size)
        self._listed: tuple[list[str], np.ndarray] | None = None

    @property
    def features(self) -> np.ndarray:
        """``(rows, d)`` float32, in memory, as they were when their checksum was compared."""
        return self._blocks.joined()

    def searchable(self) -> tuple[list[str], np.ndarray]:
        """List the files that have features: their sorted paths, and ``(paths,)`` the row of each."""
        if self._listed is None:
            rows = {path: known.row for path, known in self.files.items() if known.row is not None}
            paths = sorted(rows)
            self._listed = paths, np.array([rows[path] for path in paths], dtype=np.int64)
        return self._listed

    def catch_up(self) -> None:
        """Read what was added since the last look, by whomever; all, if another store is there now."""
        identity = self._journal.identity()
        last = self._journal.read_line(self._end.bytes, len(self._last_line))
        if identity != self._identity or last != self._last_line:
            self._forget(identity)
        batches, rows, self.damage = self._journal.read(self._end)
        for batch in batches:
            for record in batch.records:
                self._take(record)
            self._end, self._last_line, self._listed = batch.end, batch.line, None
        if len(rows):
            self._blocks.append(rows)

    def _take(self, record: Record) -> None:
        if "gone" in record:
            self.files.pop(record["path"], None)
        else:
            self.files[record["path"]] = _known(record)
        if "row" in record:
            self.row_of[record["sha256"]] = record["row"]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Become the only writer: read all anew, and drop what is damaged or what a killed writer left unfinished.

        Raises:
            RuntimeError: another process is the writer.
            PermissionError: the place can't be written.
        """
        with self._journal.lock():
            self._forget(None)
            self.catch_up()
            if self.damage or self._identity is None:  # another store from now on, for all who have it open
                self._identity, self.damage = self._journal.renew_identity(), None
            self._journal.cut(self._end)
            yield

    def commit(self, records: list[Record], features: dict[str, np.ndarray]) -> None:
        """Add a batch: all of it, or nothing. Only while `writing`.

        Args:
            records: as in ``files.jsonl``, but without ``row``. Those that say nothing new are left out.
            features: rows ``(d,)`` of contents that are new, by their SHA-256. The store numbers them.

        Raises:
            RuntimeError: the store was deleted or replaced meanwhile.
        """
        if self._journal.identity() != self._identity:
            raise RuntimeError(
                f"{printable(self.place)} was deleted or replaced while it was written: call update() again"
            )
        new = {digest: self._end.rows + i for i, digest in enumerate(features)}
        for record in records:
            digest = record.get("sha256")
            if digest in new or digest in self.row_of:
                record["row"] = new.get(digest, self.row_of.get(digest))
        records = [record for record in records if self.files.get(record["path"]) != _known(record)]
        if records:
            rows = np.array(list(features.values()), dtype="<f4").reshape(-1, self._size)
            self._journal.append(records, rows, self._end)
            self.catch_up()


def _known(record: Record) -> Known:
    stamp = Stamp(*(record[part] for part in Stamp._fields)) if "size" in record else None
    error = record.get("error")
    return Known(stamp, record.get("row"), error and printable(error))
