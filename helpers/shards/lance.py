"""Shards become a table of LanceDB, which searches more rows than memory holds, and filters on any column."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from helpers._validation import path_of, printable, reason
from helpers.shards.shard import check_made_by, made_by, read_shard, seal_of, shard_files
from helpers.similarity import normalize
from helpers.threads import batches

if TYPE_CHECKING:
    from lancedb import DBConnection
    from lancedb.table import Table

TOGETHER = 25  # shards of one write: many small ones make a table slow


def merge_shards(database: "DBConnection", name: str, shards: str | PathLike) -> "Table":
    """Bring a table up to date with the shards of a folder.

    Rows of shards that are new or were encoded again are inserted, or updated by their ``id``. Rows that are no longer
    in a shard, or now have an error, are deleted. Search, filter, index and optimize the table with LanceDB's own
    calls.

    Args:
        database: from ``lancedb.connect``.
        name: name of the table, which need not exist yet.
        shards: the folder that `encode_manifest` wrote.

    Returns:
        The table: the columns of the manifest, ``sha256``, ``features`` of length 1, and ``shard``, the checksum of
        the file that a row came from.

    Raises:
        ValueError: there is no shard, one is damaged, the features come from several models, or LanceDB refuses a
            column.
        OSError: a shard cannot be read.
    """
    files = {seal_of(file): file for file in shard_files(path_of("shards", shards))}
    if not files:
        raise ValueError(f"Expected shards in {printable(shards)}; got none. Encode a manifest into it first.")
    if name not in database.list_tables().tables:
        first = next(iter(files))
        with _told():
            database.create_table(name, _unit_rows(files[first], first, made_by(parquet.read_schema(files[first]))))
    table = database.open_table(name)
    known = set(table.search().select(["shard"]).to_arrow()["shard"].to_pylist())
    for seals in batches([seal for seal in files if seal not in known], TOGETHER):
        with _told():
            rows = pa.concat_tables(_unit_rows(files[seal], seal, made_by(table.schema)) for seal in seals)
            table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)
    if gone := known - files.keys():
        table.delete(f"shard IN ({', '.join(map(repr, gone))})")
    return table


@contextmanager
def _told() -> Iterator[None]:
    """Say in one line what Arrow or LanceDB refuses, such as a type that only Parquet has."""
    try:
        yield
    except (pa.ArrowException, RuntimeError) as error:
        raise ValueError(
            f"Expected rows that LanceDB can store; got: {reason(error)}. If that is of a column, leave it out of the "
            "manifest, and encode into another folder."
        ) from error


def _unit_rows(file: Path, seal: str, maker: dict[str, Any]) -> pa.Table:
    """Read the rows that have features, and bring these to length 1."""
    rows = read_shard(file)
    check_made_by(rows.schema, maker, file)
    rows = rows.filter(compute.field("error").is_null()).drop_columns(["error", "stamp"])
    column, place = rows["features"].combine_chunks(), rows.column_names.index("features")
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), column.type.list_size)
    unit = normalize(values.astype(np.float32)).astype(values.dtype) if len(rows) else values
    kind = pa.list_(pa.from_numpy_dtype(values.dtype), column.type.list_size)
    rows = rows.set_column(place, "features", pa.FixedSizeListArray.from_arrays(unit.reshape(-1), type=kind))
    return rows.append_column("shard", pa.array([seal] * len(rows), pa.string()))
