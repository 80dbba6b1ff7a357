"""Keep the shards of `encode_manifest` in a LanceDB table: more rows than memory holds, and filters on any column."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfPq

from helpers._clip import CLIP
from helpers._validation import number, whole
from helpers.fingerprint import made_by
from helpers.index.query import Images, Texts, encode_query
from helpers.index.searchable import Match, Searchable
from helpers.shards.encoder import FORMAT, check_made_by
from helpers.shards.shards import read_encoded
from helpers.similarity import normalize

IMAGES, FILES = "images", "files"
MERGED = 100_000  # rows that are merged at a time: many small writes make a table slow
SUB_VECTOR = 8  # numbers that product quantization turns into a byte


class LanceIndex(Searchable):
    """The images of a manifest in a table on disk, or in a bucket, to be searched by text, image and columns.

    Another process may search while this one writes; each search sees the last version that is whole.

    Attributes:
        folder: that the paths of the manifest are meant from.
        model, preprocess: what made the features.
        table: the table of LanceDB; None before the first `update`. Its column ``features`` has rows of length 1.
    """

    def __init__(
        self,
        place: str | PathLike,
        model: CLIP,
        preprocess: Callable,
        folder: str | PathLike = ".",
        fast_decode: bool = True,
    ) -> None:
        """Open what is there; write nothing.

        Args:
            place: the folder of the database, or its address, such as ``s3://bucket/features``.
            model: from `load` or `clip.load`.
            preprocess: the transform that came with it.
            folder: where the manifest was.
            fast_decode: as in `encode_images`.

        Raises:
            ValueError: the features are of another model.
        """
        self.folder, self.model, self.preprocess, self.fast_decode = (
            Path(folder).absolute(),
            model,
            preprocess,
            fast_decode,
        )
        self._place, self._about = str(place), {"format": FORMAT, **made_by(model, preprocess, fast_decode)}
        self._database = lancedb.connect(self._place, read_consistency_interval=timedelta(0))
        self.table = self._open(IMAGES)
        if self.table is not None:
            check_made_by(self.table.schema, self._about, self._place)

    def update(self, shards: str | PathLike) -> int:
        """Take in the shards that are new or were replaced; a row whose ``id`` is there already is replaced.

        Args:
            shards: their folder. Rows with an error are left out.

        Returns:
            How many rows were written. After many updates, call `optimize`.

        Raises:
            ValueError: features are of another model.
        """
        files = self._open(FILES)
        known = set() if files is None else {(row["name"], row["stamp"]) for row in files.to_arrow().to_pylist()}
        stamps = {file: file.stat().st_mtime_ns for file in sorted(Path(shards).glob("*.parquet"))}
        new = [file for file, stamp in stamps.items() if (str(file.absolute()), stamp) not in known]
        count = 0
        for rows, done in _large(new, self._about):
            if self.table is None:
                self.table = self._database.create_table(IMAGES, rows)
            else:
                self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)
            count += rows.num_rows
            names = pa.table({"name": [str(f.absolute()) for f in done], "stamp": [stamps[f] for f in done]})
            files = self._database.create_table(FILES, names) if files is None else files
            files.merge_insert("name").when_matched_update_all().when_not_matched_insert_all().execute(names)
        return count

    def build(self, partitions: int | None = None) -> None:
        """Build an index, so that a search reads a small part of the table: inverted lists, product quantization.

        Args:
            partitions: lists that the rows are sorted into; by default about the root of their number.

        Raises:
            ValueError: the table is empty.
        """
        table = self._filled()
        size = table.schema.field("features").type.list_size
        config = IvfPq(distance_type="dot", num_partitions=partitions, num_sub_vectors=size // SUB_VECTOR)
        table.create_index("features", config=config, wait_timeout=timedelta(hours=6))

    def optimize(self) -> None:
        """Join small files, take rows that came later into the index, and drop versions older than a week."""
        self._filled().optimize(cleanup_older_than=timedelta(days=7))

    def search(  # type: ignore[override]
        self,
        text: Texts | None = None,
        image: Images | None = None,
        k: int = 10,
        above: float | None = None,
        where: str | None = None,
        lists: int = 20,
        refine: int = 10,
    ) -> list[Match]:
        """Find images that fit best. Without an index all are compared; with one it is fast, and may miss some.

        Args:
            text, image, k, above: as in `ShardIndex.search`.
            where: a condition in SQL on the columns of the manifest, such as ``"year > 2020"``, held before comparing.
            lists: how many lists of the index are looked into.
            refine: so many times ``k`` candidates are compared by their full features.

        Returns:
            The best first.

        Raises:
            TypeError: an argument is of another kind.
            ValueError: nothing is asked, or its parts cancel each other out, ``k`` is less than 1, or the table is
                empty.
            ImageError: the image can't be read.
        """
        k, above = whole("k", k), None if above is None else number("above", above)
        lists, refine = whole("lists", lists), whole("refine", refine)
        table, row = self._filled(), encode_query(self.model, self.preprocess, text, image, self.fast_decode)
        question: Any = table.search(row, vector_column_name="features")
        question = question.distance_type("dot").nprobes(lists).refine_factor(refine).limit(k)
        if where:
            question = question.where(where, prefilter=True)
        found = question.select(["path", "_distance"]).to_list()
        matches = [Match(self.folder / row["path"], float(np.clip(1 - row["_distance"], -1, 1))) for row in found]
        return [match for match in matches if above is None or match.score > above]

    def _open(self, name: str) -> lancedb.table.Table | None:
        return self._database.open_table(name) if name in self._database.list_tables().tables else None

    def _filled(self) -> lancedb.table.Table:
        self.table = self.table if self.table is not None else self._open(IMAGES)
        if self.table is None:
            raise ValueError(f"{self._place} has no images: call update() with a folder of shards")
        return self.table


def _large(files: list[Path], about: dict[str, Any]) -> Iterator[tuple[pa.Table, list[Path]]]:
    """Join files to large tables of unit rows, and say which files they come from."""
    tables, done = [], []
    for file in files:
        tables.append(_unit(read_encoded(file, about).drop_columns("error")))
        done.append(file)
        if sum(table.num_rows for table in tables) >= MERGED:
            yield pa.concat_tables(tables), done
            tables, done = [], []
    if tables:
        yield pa.concat_tables(tables), done


def _unit(rows: pa.Table) -> pa.Table:
    """Bring features to length 1."""
    column, place = rows["features"].combine_chunks(), rows.column_names.index("features")
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)
    unit = normalize(values.astype(np.float32)) if len(rows) else values
    kind = pa.list_(pa.from_numpy_dtype(values.dtype), column.type.list_size)
    flat = pa.array(unit.astype(values.dtype).reshape(-1))
    return rows.set_column(place, "features", pa.FixedSizeListArray.from_arrays(flat, type=kind))
