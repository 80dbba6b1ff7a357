"""Store features and file records in one SQLite file. A kill loses at most two batches, and damage is detected.

Any SQLite tool opens the file. Its tables:

- ``files``: a row for each path. ``row`` numbers its embedding; a file that cannot be read has an ``error`` instead.
- ``features``: a row for each batch of new contents: the number of its first, their SHA-256 (64 letters each), and
  their embeddings, float32 (little-endian), of length 1.
- ``about``: the format, the fingerprint of the model, and the state: how many rows there are, and the sum of their
  checksums. It changes in the same transaction as the rows, so that a lost, duplicated or outdated row is detected.

Each row has a CRC-32 of its content. During an update, SQLite writes new rows to a separate file (WAL), so that
readers see only whole batches.
"""

import json
import os
import shutil
import sqlite3
import tempfile
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from helpers._validation import printable, reason
from helpers.fingerprint import same_maker
from helpers.index.scan import Entry
from helpers.threads import batches

FORMAT = "3"
SCHEMA = [
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE features (first INTEGER PRIMARY KEY, contents TEXT NOT NULL, vectors BLOB NOT NULL, "
    "checksum INTEGER NOT NULL)",
    "CREATE TABLE files (path TEXT PRIMARY KEY, stamp TEXT, row INTEGER, error TEXT, checksum INTEGER NOT NULL) "
    "WITHOUT ROWID",
]
PAGE = 16_384  # bytes
DIGEST = 64  # letters of a SHA-256
BATCH = 1000  # embeddings that are written together when a file is written anew
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, 0}  # all else: disk, rights, a writer
NOTHING = {"files": 0, "features": 0, "sum": 0}


class Known(NamedTuple):
    """What the store knows about a file.

    Attributes:
        stamp: when it was read, as text; None if it has to be tried again.
        row: its row in the features; None if it cannot be read.
        error: why it cannot be read, else None.
    """

    stamp: str | None
    row: int | None
    error: str | None


class DamageError(Exception):
    """The content of the file is not what was written."""


class Store:
    """Features of files, and which file has which. Features of deleted files stay, in case they come back.

    Attributes:
        place: the SQLite file.
        files: what is known of each path.
        row_of: the row of each content, by its SHA-256.
        damage: what is wrong with the file, or None. Only undamaged rows were read.
    """

    def __init__(self, home: Path, key: str, maker: dict[str, Any], size: int) -> None:
        """Read what is there; write nothing.

        Args:
            home: a folder, which need not exist yet. It may hold the stores of several models.
            key: name of the file. If another maker's file has this name, KEY-2 is used, and so on.
            maker: the fingerprint of what makes the features.
            size: ``d``, the length of a row.

        Raises:
            ValueError: the store is of another format.
            OSError: the file cannot be read, or is a symbolic link.
        """
        self._maker, self._size = maker, size
        names = (home / (f"{key}.sqlite" if i == 1 else f"{key}-{i}.sqlite") for i in count(1))
        self.place = next(place for place in names if self._is_ours(place))
        self._forget()
        self.catch_up()

    def _is_ours(self, place: Path) -> bool:
        """Return False for the store of another maker. One that is not there yet, or damaged, is ours."""
        try:
            with _reading(place) as base:
                about = _about_of(base, place)
                return not about or same_maker(self._maker, json.loads(about["maker"]))
        except (FileNotFoundError, NotADirectoryError, DamageError):
            return True

    def _forget(self) -> None:
        self.files: dict[str, Known] = {}
        self.row_of: dict[str, int] = {}
        self.damage: str | None = None
        self._state: dict[str, Any] = {}
        self._blocks: list[np.ndarray] = []
        self._numbers: list[int] = []  # of the rows, in the file
        self._total = 0  # of checksums
        self._listed: tuple[list[str], np.ndarray] | None = None

    @property
    def features(self) -> np.ndarray:
        """``(rows, d)`` float32, in memory, as they were when their checksums were compared."""
        if len(self._blocks) != 1:
            self._blocks = [np.concatenate([np.empty((0, self._size), dtype=np.float32), *self._blocks])]
        return self._blocks[0]

    def searchable(self) -> tuple[list[str], np.ndarray]:
        """List the files that have features: their sorted paths, and ``(paths,)`` the row of each."""
        if self._listed is None:
            paths = sorted(path for path, known in self.files.items() if known.row is not None)
            self._listed = paths, np.array([self.files[path].row for path in paths], dtype=np.int64)
        return self._listed

    def catch_up(self) -> None:
        """Read the file again if it has changed since it was last read.

        Raises:
            ValueError: the store has another format, or now belongs to another model.
            OSError: the file cannot be read, or is a symbolic link.
        """
        try:
            with _reading(self.place) as base:
                about = _about_of(base, self.place)
                if about and self._state == (state := json.loads(about["state"])) and not self.damage:
                    return
                self._forget()
                if not about:
                    return
                if not same_maker(self._maker, json.loads(about["maker"])):
                    raise ValueError(f"{printable(self.place)} now belongs to another model. Make a new FolderIndex.")
                self._state = state
                self._read_all(base)
        except (FileNotFoundError, NotADirectoryError):
            self._forget()
        except DamageError as error:
            self.damage = f"{printable(self.place)} is damaged ({error})"
            self._keep_what_is_sound()

    def _read_all(self, base: sqlite3.Connection) -> None:
        """Read both tables, and verify all checksums. Undamaged rows are kept even if others are damaged."""
        unsound = self._read_features(base)
        total = self._total
        for path, stamp, row, error, checksum in base.execute("SELECT * FROM files"):
            path, known = _path(path), Known(stamp, row, error)
            if checksum != self._sum_of_file(path, known) or _leads_outside(path):
                unsound += 1
                continue
            self.files[path] = known
            total += checksum
        found = {"id": self._state["id"], "files": len(self.files), "features": len(self.row_of), "sum": total}
        if unsound or found != self._state:
            raise DamageError(f"{unsound} rows do not match their checksums; others may be missing")

    def _read_features(self, base: sqlite3.Connection) -> int:
        """Read the embeddings; return how many rows are unsound."""
        unsound = end = 0
        block = np.empty((self._state["features"], self._size), dtype=np.float32)
        for first, contents, vectors, checksum in base.execute("SELECT * FROM features ORDER BY first"):
            start, end = end, end + len(contents) // DIGEST
            is_double = bool(self._numbers) and first <= self._numbers[-1]
            if is_double or end > len(block) or checksum != self._sum_of_features(first, contents, vectors):
                unsound, end = unsound + 1, start
                continue
            block[start:end] = np.frombuffer(vectors, dtype="<f4").reshape(-1, self._size)
            self._blocks = [block[:end]]
            self._numbers += range(first, first + end - start)
            digests = (contents[i : i + DIGEST] for i in range(0, len(contents), DIGEST))
            self.row_of.update(zip(digests, range(start, end), strict=True))
            self._total += checksum
        return unsound

    def _keep_what_is_sound(self) -> None:
        """Number the embeddings that could be read from 0, and forget the files whose embedding is lost."""
        numbers = {number: row for row, number in enumerate(self._numbers)}
        sound = {path: known for path, known in self.files.items() if known.row is None or known.row in numbers}
        self.files = {
            path: known if known.row is None else known._replace(row=numbers[known.row])
            for path, known in sound.items()
        }
        self._numbers = list(range(len(self._numbers)))

    def _sum_of_file(self, path: str, known: Known) -> int:
        text = f"{self._state['id']}\0{path}\0{known.stamp}\0{known.row}\0{known.error}"
        return zlib.crc32(text.encode("utf-8", "surrogatepass"))

    def _sum_of_features(self, first: int, contents: str, vectors: bytes) -> int:
        return zlib.crc32(vectors, zlib.crc32(f"{self._state['id']}\0{first}\0{contents}".encode()))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Become the only writer until the end of a ``with`` block, after dropping damaged rows.

        Raises:
            RuntimeError: another process is the writer.
            PermissionError: the place cannot be written, or a symbolic link is in it.
            OSError: the file cannot be written.
        """
        with self._lock():
            self.catch_up()
            with _writing(self.place):
                if self.damage or not self._state or not self._is_intact():
                    self._write_anew()
                self._base, self._opened = _connect(self.place, "rw"), self.place.stat()
            with closing(self._base):
                yield

    @contextmanager
    def _lock(self) -> Iterator[None]:
        home, name = self.place.parent, printable(self.place)
        try:
            _no_link(home).mkdir(parents=True, exist_ok=True)
            lock = FileLock(_no_link(self.place.with_suffix(".lock"))).acquire(timeout=0)
        except Timeout as error:
            raise RuntimeError(f"Another process is writing to {name}. Try again when it has finished.") from error
        except OSError as error:
            why = f"Cannot write the index to {printable(home)} ({reason(error)})."
            raise PermissionError(f"{why} Set index_folder to another folder.") from error
        with lock:
            yield

    def _is_intact(self) -> bool:
        """Let SQLite check what reading never touches, such as free pages, because writing could fail on them."""
        try:
            with closing(_connect(self.place, "rw")) as base:
                base.execute("BEGIN IMMEDIATE")
                return base.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        except sqlite3.DatabaseError as error:
            if _code(error) in {*DAMAGE, sqlite3.SQLITE_READONLY}:  # the rights are there, for we have the lock
                return False
            raise

    def _write_anew(self) -> None:
        """Write a new file with the undamaged rows in memory."""
        for file in _parts(self.place):
            file.unlink(missing_ok=True)
        features, contents, files = self.features, list(self.row_of), self.files
        self._forget()
        with closing(_connect(self.place, "rwc")) as self._base:
            self._base.execute(f"PRAGMA page_size = {PAGE}")
            self._base.execute("PRAGMA journal_mode = WAL")
            self._opened = self.place.stat()
            self._state = {**NOTHING, "id": uuid.uuid4().hex}
            with self._transaction():
                for table in SCHEMA:
                    self._base.execute(table)
                self._write_about(format=FORMAT, maker=json.dumps(self._maker))
                self._write({}, {}, [])
            for batch in batches(zip(contents, features, strict=True), BATCH):
                with self._transaction():
                    self._write({}, dict(batch), [])
            with self._transaction():
                self._write(files, {}, [])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        with self._base:
            yield

    def commit(self, entries: Iterable[Entry], features: dict[str, np.ndarray], gone: Iterable[str] = ()) -> None:
        """Save a batch: all of it, or nothing. Only while `writing`.

        Args:
            entries: what was found out about files. What says nothing new is left out.
            features: embeddings ``(d,)`` of length 1 of contents that are new, by their SHA-256.
            gone: paths to forget.

        Raises:
            RuntimeError: the file was deleted or replaced meanwhile.
            OSError: the file cannot be written; the batch is not saved.
        """
        new = dict(zip(features, count(len(self.row_of)), strict=False))
        files = {}
        for entry in entries:
            row = None if entry.content is None else new.get(entry.content, self.row_of.get(entry.content))
            known = Known(entry.stamp, row, entry.error)
            if known != self.files.get(entry.path):
                files[entry.path] = known
        gone = [path for path in gone if path in self.files]
        if not (files or features or gone):
            return
        if not self._is_same_file():
            raise RuntimeError(f"{printable(self.place)} was deleted or replaced meanwhile. Call update() again.")
        with _writing(self.place), self._transaction():
            self._write(files, features, gone)

    def _is_same_file(self) -> bool:
        with suppress(OSError):
            return os.path.samestat(self.place.stat(), self._opened)
        return False

    def _write(self, files: dict[str, Known], features: dict[str, np.ndarray], gone: list[str]) -> None:
        """Write a batch to the file, and then to memory. The state is written last."""
        state = dict(self._state)
        for path in [*gone, *(files.keys() & self.files.keys())]:
            state["files"] -= 1
            state["sum"] -= self._sum_of_file(path, self.files[path])
        lines = [(_stored(path), *known, self._sum_of_file(path, known)) for path, known in files.items()]
        first, contents = len(self.row_of), "".join(features)
        rows = np.array(list(features.values()), dtype="<f4").reshape(-1, self._size)
        state["files"] += len(lines)
        state["features"] += len(rows)
        state["sum"] += sum(line[-1] for line in lines)
        self._base.executemany("DELETE FROM files WHERE path = ?", [(_stored(path),) for path in gone])
        self._base.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", lines)
        if features:
            checksum = self._sum_of_features(first, contents, rows.tobytes())
            state["sum"] += checksum
            self._base.execute("INSERT INTO features VALUES (?, ?, ?, ?)", (first, contents, rows.tobytes(), checksum))
        self._write_about(state=json.dumps(state))
        self._base.commit()
        for path in gone:
            del self.files[path]
        self.files |= files
        self.row_of.update(zip(features, count(first), strict=False))
        self._numbers += range(first, first + len(rows))
        self._blocks.append(rows.astype(np.float32, copy=False))
        self._state, self._listed = state, None

    def _write_about(self, **values: str) -> None:
        rows = [(name, value, zlib.crc32(f"{name}\0{value}".encode())) for name, value in values.items()]
        self._base.executemany("INSERT OR REPLACE INTO about VALUES (?, ?, ?)", rows)


def _about_of(base: sqlite3.Connection, place: Path) -> dict[str, str]:
    """Read and check the metadata of the file; return nothing if it has no tables yet."""
    tables = [sql for (sql,) in base.execute("SELECT sql FROM sqlite_schema ORDER BY name")]
    if not tables:
        return {}
    about = {}
    for name, value, checksum in base.execute("SELECT name, value, checksum FROM about"):
        if checksum != zlib.crc32(f"{name}\0{value}".encode()):
            raise DamageError("its metadata does not match its checksum")
        about[name] = value
    if (made := about.get("format")) not in (None, FORMAT):
        raise ValueError(
            f"Expected an index of format {FORMAT}; got {printable(place)} of format {printable(made)}. "
            "Delete the file, or set index_folder to another folder."
        )
    if tables != SCHEMA or about.keys() != {"format", "maker", "state"}:
        raise DamageError("its tables are not those of an index")
    return about


@contextmanager
def _reading(place: Path) -> Iterator[sqlite3.Connection]:
    """Open a snapshot of a file. Errors from SQLite or from damaged values become errors of one sentence.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such file.
        DamageError: it is damaged.
        OSError: it cannot be read, or is a symbolic link.
    """
    try:
        for part in (place.parent, *_parts(place)):
            _no_link(part)
        place.stat()
    except OSError as error:
        if error.errno is None or isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise
        raise _unreadable(place, error) from error
    try:
        with closing(_readable(place)) as base:
            base.execute("BEGIN")
            yield base
    except sqlite3.Error as error:
        if _code(error) in DAMAGE:
            raise DamageError(reason(error)) from error
        raise _unreadable(place, error) from error
    except (UnicodeDecodeError, KeyError, TypeError, MemoryError) as error:
        raise DamageError(reason(error)) from error


def _unreadable(place: Path, error: Exception) -> OSError:
    return OSError(f"Cannot read {printable(place)} ({reason(error)}). Nothing was changed. Try again.")


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Turn an error from SQLite into one sentence that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        why = f"Cannot write {printable(place)} ({reason(error)})."
        raise OSError(f"{why} What was saved is safe. Fix the cause, then call update() again.") from error


def _code(error: sqlite3.Error) -> int:
    """Return the primary code of an error of SQLite; 0 if the module `sqlite3` itself raised it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _readable(place: Path) -> sqlite3.Connection:
    """Connect to a file. Where nothing can be written, SQLite has to be told that nobody else writes either."""
    try:
        with closing(_connect(place, "rw")) as base:
            base.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        if _code(error) in {
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_FULL,
        }:
            return _connect_elsewhere(place)
        raise
    return _connect(place, "rw")


def _connect_elsewhere(place: Path) -> sqlite3.Connection:
    """Connect to a file where nothing can be written; to a copy, if a killed update left something beside it."""
    log = place.with_name(f"{place.name}-wal")
    if not log.exists() or not log.stat().st_size:
        return _connect(place, "ro&immutable=1")
    memory = sqlite3.connect(":memory:", isolation_level=None)
    with tempfile.TemporaryDirectory() as folder:
        for file in (place, log):
            shutil.copyfile(file, Path(folder, file.name))
        with closing(_connect(Path(folder, place.name), "rw")) as copy:
            copy.backup(memory)
    return memory


def _connect(place: Path, mode: str) -> sqlite3.Connection:
    """Connect, with a transaction only where we begin one. A commit is safe on the disk, as is SQLite's default."""
    return sqlite3.connect(f"{place.as_uri()}?mode={mode}", uri=True, isolation_level=None)


def _parts(place: Path) -> list[Path]:
    """List the file, and what SQLite keeps beside it while somebody writes."""
    return [place, *(place.with_name(f"{place.name}-{end}") for end in ("wal", "shm", "journal"))]


def _no_link(path: Path) -> Path:
    if path.is_symlink():
        raise PermissionError(
            f"{printable(path)} is a symbolic link, which the index does not follow. Delete the link."
        )
    return path


def _stored(path: str) -> str | bytes:
    """Return a path as SQLite can hold it: one that is not Unicode as bytes."""
    try:
        path.encode()
        return path
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogatepass")


def _path(stored: str | bytes) -> str:
    return stored.decode("utf-8", "surrogatepass") if isinstance(stored, bytes) else stored


def _leads_outside(path: str) -> bool:
    if ".." not in path and ":" not in path and not path.startswith(("/", "\\")):
        return False
    parts = PurePath(path)
    return bool(parts.anchor) or ".." in parts.parts
