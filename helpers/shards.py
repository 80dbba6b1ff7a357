"""A shard: some rows of a manifest with their features, in a Parquet file that is whole or not there."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from helpers.encode import rows_or_errors
from helpers.folder import look, stamp_of
from helpers.identity import made_by
from helpers.images import ImageError
from helpers.journal import Record
from helpers.models import load
from helpers.store import Stamp
from helpers.threads import batches

FORMAT = 1
ABOUT = b"clip_encoders"  # in a file's metadata: what made its features, as JSON
KEYS = ("id", "path")  # the columns that a manifest must have
OURS = ("sha256", "features", "error")  # those that encoding adds
PLAN = "plan.parquet"


class Encoder:
    """Turns rows of a manifest into rows of a shard. Holds a model; callable, as Ray wants its actors.

    Attributes:
        about: what the features depend on.
        kind: the type of the column ``features``.
    """

    def __init__(
        self,
        root: Path,
        model: str,
        device: str,
        precision: str | None = None,
        batch_size: int = 64,
        exact: bool = False,
        float16: bool = False,
    ) -> None:
        """Load the model.

        Args:
            root: the folder that paths are meant from.
            model, device, precision: as `load` takes them.
            batch_size: pictures that are encoded together.
            exact: as in `encode_images`.
            float16: give features of 16 bits.
        """
        self.root, self.batch_size, self.exact = root, batch_size, exact
        self.model, self.preprocess = load(model, device, precision=precision)
        self.about = {"format": FORMAT, **made_by(self.model, self.preprocess, exact)}
        self.dtype = np.float16 if float16 else np.float32
        number = pa.field(
            "element", pa.from_numpy_dtype(self.dtype), nullable=False
        )  # so it is read in a fifth of the time
        self.kind = pa.list_(number, self.model.text_projection.shape[1])

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Encode.

        Args:
            rows: with ``path``, and perhaps ``error``: rows that have one already stay without features.

        Returns:
            The same rows in the same order, with ``sha256`` of the file, ``features`` (NaN in a row with an error) and
            ``error``.
        """
        paths = rows["path"].to_pylist()
        errors = rows["error"].to_pylist() if "error" in rows.column_names else [None] * len(paths)
        digests: list[str | None] = [None] * len(paths)
        features = np.full((len(paths), self.kind.list_size), np.nan, self.dtype)
        for i, record, row in self._outcomes([(i, path) for i, path in enumerate(paths) if errors[i] is None]):
            digests[i], errors[i] = record.get("sha256"), record.get("error")
            if row is not None:
                features[i] = row
        added = {
            pa.field("sha256", pa.string()): digests,
            pa.field("features", self.kind, nullable=False): pa.FixedSizeListArray.from_arrays(
                features.reshape(-1), type=self.kind
            ),
            pa.field("error", pa.string()): errors,
        }
        table = rows.select([name for name in rows.column_names if name not in OURS])
        for field, column in added.items():
            table = table.append_column(field, pa.array(column, field.type))
        return table.replace_schema_metadata({ABOUT: json.dumps(self.about)})

    def _outcomes(self, todo: list[tuple[int, str]]) -> Iterator[tuple[int, Record, np.ndarray | None]]:
        """Encode files in batches, and say of each its SHA-256 or error, and its features."""
        looked, again = tee([(i, self._look(path)) for i, path in batch] for batch in batches(todo, self.batch_size))
        sources = ([self.root / record["path"] for _, record in batch if "error" not in record] for batch in again)
        for batch, found in zip(looked, rows_or_errors(self.model, self.preprocess, sources, self.exact), strict=True):
            outcomes = iter(found)
            for i, record in batch:
                yield i, *((record, None) if "error" in record else self._judge(record, next(outcomes)))

    def _look(self, path: str) -> Record:
        stamp = stamp_of(self.root / path)
        return look(self.root, (path, stamp)) if stamp else {"path": path, "error": f"{path} is no file"}

    def _judge(self, record: Record, outcome: np.ndarray | ImageError) -> tuple[Record, np.ndarray | None]:
        file, path = self.root / record["path"], record["path"]
        if stamp_of(file) != Stamp(*(record[part] for part in Stamp._fields)):
            return {"error": f"{path} was changed while it was read"}, None
        if isinstance(outcome, ImageError):
            return {**record, "error": str(outcome).replace(str(file), path)}, None
        row = outcome.astype(self.dtype)
        if not np.isfinite(row).all() or not row.any():
            return {**record, "error": f"{path} has no finite features"}, None
        return record, row


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
            retry: count a shard as missing if a picture of it could not be read.

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
        made, kind = json.loads((schema.metadata or {}).get(ABOUT, b"{}")), schema.field("features").type
        if made != self.about or kind != self.kind:
            of = ", ".join(str(made.get(name, "?"))[:8] for name in ("model_sha256", "precision", "decoding"))
            raise ValueError(f"{file} has other features ({of}; {kind}): give another folder for another model")
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
