"""A shard: some rows of a manifest with their features, in a Parquet file that is whole or not there."""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute, parquet

from helpers.shards.encoder import check_made_by
from helpers.shards.manifest import KEYS, OURS, PLAN


@dataclass(frozen=True)
class ShardFolder:
    """The files of the shards.

    Attributes:
        folder: where they are.
        place: a folder on the same disk, with the plan, whose row group ``i`` holds the rows of shard ``i``.
        about: what their metadata shall say of the features.
        kind: the type that the features shall have.
    """

    folder: Path
    place: Path
    about: dict[str, Any]
    kind: pa.DataType

    def file(self, number: int) -> Path:
        """Name a shard's file."""
        return self.folder / f"{number:06}.parquet"

    def planned(self, number: int) -> pa.Table:
        """Read what shall be encoded."""
        with parquet.ParquetFile(self.place / PLAN) as plan:
            return plan.read_row_group(number)

    def write(self, number: int, table: pa.Table) -> None:
        """Write a file under another name, and rename it."""
        written = self.place / f"{number}.{os.getpid()}"
        texts = [name for name in table.column_names if name != "features"]
        with written.open("wb") as stream:
            parquet.write_table(
                table,
                stream,
                compression=dict.fromkeys(texts, "zstd"),  # floats do not get smaller
                use_dictionary=False,
                write_statistics=texts,
                write_page_checksum=True,
            )
            stream.flush()
            os.fsync(stream.fileno())
        written.replace(self.file(number))

    def compare(self, numbers: range, retry: bool) -> tuple[dict[int, int], list[int]]:
        """Compare the files with the plan.

        Args:
            numbers: of the shards.
            retry: count a shard as missing if an image of it could not be read.

        Returns:
            The rows of each shard, and the numbers of those that are to be written: not there, damaged, shorter than
            the plan by now, or to be tried again.

        Raises:
            ValueError: a file belongs to another model or another manifest.
        """
        with parquet.ParquetFile(self.place / PLAN) as plan:
            for file in self.folder.glob("[0-9]*.parquet"):
                if int(file.stem) >= plan.num_row_groups:
                    raise ValueError(f"{file} lies beyond the manifest: give another folder for another manifest")
            todo = [number for number in numbers if not self._is_done(number, plan.read_row_group(number), retry)]
            return {number: plan.metadata.row_group(number).num_rows for number in numbers}, todo

    def _is_done(self, number: int, planned: pa.Table, retry: bool) -> bool:
        file = self.file(number)
        try:
            with parquet.ParquetFile(file, page_checksum_verification=True) as stored:
                schema, rows = stored.schema_arrow, stored.read(["id", "path", "error"])
        except (FileNotFoundError, pa.ArrowInvalid, OSError):
            return False
        check_made_by(schema, self.about, file)
        if schema.field("features").type != self.kind:
            raise ValueError(f"{file} has features of {schema.field('features').type}: give another folder")
        same = planned.slice(0, rows.num_rows)
        columns = [field for field in schema if field.name not in OURS]
        if columns != [*planned.drop_columns("error").schema] or any(rows[name] != same[name] for name in KEYS):
            raise ValueError(f"{file} has other rows than the manifest: give another folder for another manifest")
        unread = compute.and_(rows["error"].is_valid(), same["error"].is_null())
        return rows.num_rows == planned.num_rows and not (retry and compute.any(unread).as_py())

    def list_errors(self, numbers: Iterable[int], listed: Path) -> int:
        """Write a line for each row without features into a file, and count them."""
        count, written = 0, self.place / listed.name
        with written.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow([*KEYS, "error"])
            for number in numbers:
                rows = parquet.read_table(self.file(number), columns=[*KEYS, "error"], partitioning=None)
                bad = rows.filter(compute.field("error").is_valid()).to_pylist()
                writer.writerows(row.values() for row in bad)
                count += len(bad)
        written.replace(listed)
        return count


def read_encoded(file: Path, about: dict[str, Any], columns: list[str] | None = None) -> pa.Table:
    """Read the rows of a shard that have features.

    Args:
        file: the shard.
        about: what must have made the features.
        columns: the names of those to read; all by default.

    Raises:
        ValueError: another model made the features.
        ArrowException, OSError: the file is damaged.
    """
    with parquet.ParquetFile(file, page_checksum_verification=True) as stored:
        check_made_by(stored.schema_arrow, about, file)
        return stored.read(columns and [*columns, "error"]).filter(compute.field("error").is_null())
