"""A manifest says which images to encode. It is read a row at a time, so its length costs no memory."""

import csv
import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from helpers.threads import batches

KEYS = ("id", "path")  # the columns that a manifest must have
OURS = ("sha256", "features", "error")  # those that encoding adds
PLAN = "plan.parquet"
BUCKETS = 64  # few enough to have them all open
ENTRY = np.dtype([("digest", "S16"), ("row", "<i8")])

Row = dict[str, Any]


class Manifest:
    """A table of images: CSV with a line of names, or Parquet.

    It has the columns ``id`` (text, or whole numbers in Parquet) and ``path``, which is meant from the manifest's own
    folder. All others travel along; those of CSV are text.

    Attributes:
        file: where it is.
        schema: its columns, ``id`` and ``path`` first.
    """

    def __init__(self, file: Path) -> None:
        """Read the names of the columns.

        Raises:
            ValueError: there is no such file, it is no CSV or Parquet, or a column is missing or of a wrong kind.
        """
        if not file.is_file():
            raise ValueError(f"no such manifest: {file}")
        self.file, self._is_csv = file, file.suffix.lower() == ".csv"
        if not self._is_csv and file.suffix.lower() != ".parquet":
            raise ValueError(f"{file} is neither .csv nor .parquet; a manifest is a table with the columns id and path")
        found = self._columns()
        if lacking := [name for name in KEYS if name not in found.names]:
            raise ValueError(f"{file} has no column {lacking[0]!r}; its columns are {', '.join(found.names)}")
        if taken := [name for name in found.names if name in OURS]:
            raise ValueError(f"{file} has a column {taken[0]!r}, which encoding writes; give it another name")
        if len(set(found.names)) < len(found.names):
            raise ValueError(f"{file} has two columns of the same name: {', '.join(found.names)}")
        names = [*KEYS, *(name for name in found.names if name not in KEYS)]
        self.schema = pa.schema([found.field(name) for name in names])
        for name, kinds in {"id": (_is_text, pa.types.is_integer), "path": (_is_text,)}.items():
            kind = self.schema.field(name).type
            if not any(fits(kind) for fits in kinds):
                wanted = "text or whole numbers" if name == "id" else "text"
                raise ValueError(f"the column {name} of {file} is {kind}; it must be {wanted}")

    def _columns(self) -> pa.Schema:
        if self._is_csv:
            with self._open() as lines:
                return pa.schema([(name, pa.string()) for name in next(csv.reader(lines), [])])
        try:
            return parquet.read_schema(self.file).remove_metadata()
        except pa.ArrowInvalid as error:
            raise ValueError(f"{self.file} is not a readable Parquet file: {error}") from error

    def _open(self) -> Any:
        return self.file.open(encoding="utf-8-sig", errors="replace", newline="")

    def rows(self) -> Iterator[Row]:
        """Read all rows, each with ``error``: what is wrong with it, else None."""
        for row in self._csv_rows() if self._is_csv else self._parquet_rows():
            if not row.get("error"):
                row["error"] = _fault(row)
            yield row

    def _csv_rows(self) -> Iterator[Row]:
        names = self._columns().names
        with self._open() as lines:
            reader = csv.reader(lines)
            next(reader)
            for fields in filter(None, reader):
                row = {**dict.fromkeys(names), **dict(zip(names, fields, strict=False))}
                if len(fields) != len(names):
                    row["error"] = f"the row has {len(fields)} fields, the manifest {len(names)} columns"
                yield row

    def _parquet_rows(self) -> Iterator[Row]:
        with parquet.ParquetFile(self.file) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()


def write_plan(manifest: Manifest, place: Path, shard_size: int) -> int:
    """Cut a manifest into shards: row group ``i`` of ``plan.parquet`` holds the rows of shard ``i``.

    A row that can't be encoded has its ``error`` already. One is an id that stands in an earlier row.

    Args:
        manifest: what to encode.
        place: an existing folder, for the plan and for files that are needed on the way.
        shard_size: rows of a shard; the last one may have fewer.

    Returns:
        The number of shards.
    """
    schema, start = manifest.schema.append(pa.field("error", pa.string())), 0
    again, first = repeated_ids(enumerate(row["id"] for row in manifest.rows()), place / "ids")
    with parquet.ParquetWriter(place / PLAN, schema) as writer:
        for rows in batches(manifest.rows(), shard_size):
            low, high = np.searchsorted(again, [start, start + len(rows)])
            for i, earlier in zip(again[low:high] - start, first[low:high], strict=True):
                rows[i]["error"] = rows[i]["error"] or f"the id {rows[i]['id']} stands in row {earlier + 1} already"
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=shard_size)
            start += len(rows)
    return -(-start // shard_size)


def repeated_ids(ids: Iterable[tuple[int, object]], place: Path) -> tuple[np.ndarray, np.ndarray]:
    """Find ids that were met before, with a sixty-fourth of them in memory at a time.

    Each id's digest of 128 bits goes to one of 64 files, and equal ones to the same. Then file by file is sorted.

    Args:
        ids: pairs of row and id; those that are None or empty are left out.
        place: a folder for the files, which is made and removed.

    Returns:
        ``(n,)`` int64 the rows of repeated ids in order, and ``(n,)`` the row where each was met first.
    """
    place.mkdir()
    again, first = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    with ExitStack() as stack:
        buckets = [stack.enter_context((place / str(i)).open("w+b")) for i in range(BUCKETS)]
        for row, value in ids:
            if value not in (None, ""):
                digest = hashlib.blake2b(str(value).encode(), digest_size=16).digest()
                buckets[digest[0] % BUCKETS].write(digest + row.to_bytes(8, "little"))
        for bucket in buckets:
            bucket.seek(0)
            entries = np.frombuffer(bucket.read(), ENTRY)
            _, firsts, which = np.unique(entries["digest"], return_index=True, return_inverse=True)
            earlier = entries["row"][firsts[which]]
            repeated = earlier != entries["row"]
            again.append(entries["row"][repeated])
            first.append(earlier[repeated])
    shutil.rmtree(place)
    order = np.argsort(np.concatenate(again))
    return np.concatenate(again)[order], np.concatenate(first)[order]


def _fault(row: Row) -> str | None:
    for name in KEYS:
        if row[name] in (None, ""):
            return f"the row has no {name}"
    return "the path holds a zero character" if "\0" in row["path"] else None


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
