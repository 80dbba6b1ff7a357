"""A manifest lists the images to encode. It is read in blocks of rows; only its ids are held in memory."""

import csv
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, parquet

from helpers._files import stamp_of
from helpers._validation import printable, reason
from helpers.threads import batches

KEYS = ("id", "path")  # the columns that a manifest must have
OURS = ("sha256", "stamp", "features", "error")  # those that encoding adds
BLOCK = 4096  # rows that are read at a time
LONGEST_FIELD = 2**31 - 1  # the most that Python's csv takes on every system
PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}  # Arrow itself can't filter views
UNDECODED = re.compile("[\ud800-\udfff]")
FIELD = re.compile(r'(?:"(?:[^"]|"")*"|[^",\r\n][^,\r\n]*)?(?:,|\r?\n|\r|$)')  # a sound field of CSV, and its end


class Manifest:
    """A table of images: CSV with a header, or Parquet.

    It has the columns ``id`` (text, or integers in Parquet) and ``path``, which is relative to the manifest's own
    folder. All other columns are kept; those of CSV are text.

    Attributes:
        file: where it is.
        schema: its columns, ``id`` and ``path`` first.
        rows: how many there are.
    """

    def __init__(self, file: Path) -> None:
        """Read it once: all that could be wrong with it is found before an image is encoded.

        Raises:
            ValueError: there is no such file, it is not CSV or Parquet, a row cannot be read, or a column is missing
                or of a wrong type.
        """
        self.file, self._name, self._is_csv = file, printable(file), file.suffix.lower() == ".csv"
        if not file.is_file():
            raise ValueError(f"Expected a manifest; got {self._name}, which is not a file.")
        if not self._is_csv and file.suffix.lower() != ".parquet":
            raise ValueError(f"Expected a manifest named .csv or .parquet; got {self._name}.")
        self._stamp, self.schema = stamp_of(file), self._checked(self._columns())
        ids = pa.chunked_array([table["id"] for table in self._blocks()], self.schema.field("id").type)
        self.rows, self._first = len(ids), _repeated(ids)

    def tables(self, size: int) -> Iterator[pa.Table]:
        """Read it in tables of ``size`` rows, the last of which may be shorter.

        Yields:
            The columns of the schema, and ``error``: why a row cannot be encoded, else null.

        Raises:
            ValueError: it was changed since it was opened.
        """
        start, kept = 0, self.schema.append(pa.field("error", pa.string())).empty_table()
        for block in self._blocks():
            if stamp_of(self.file) != self._stamp:
                raise ValueError(f"{self._name} was changed while it was being read. Run the same command again.")
            faults = [self._fault(start + i, *keys) for i, keys in enumerate(_keys(block))]
            errors = compute.coalesce(block["error"], pa.array(faults, pa.string()))
            kept = pa.concat_tables([kept, block.set_column(block.num_columns - 1, "error", errors)])
            start += block.num_rows
            while kept.num_rows >= size:
                yield kept.slice(0, size).combine_chunks()
                kept = kept.slice(size)
        if kept.num_rows:
            yield kept.combine_chunks()

    def _fault(self, row: int, name: object, path: str | None) -> str | None:
        """Return why the image of a row cannot be opened, or None."""
        if name in (None, ""):
            return "the row has no id"
        if row in self._first:
            return f"the id {name} is already in row {self._first[row] + 1}"
        if not path:
            return "the row has no path"
        if "\0" in path:
            return "the path contains a null character"
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            return f"the path has letters that file names have not in {sys.getfilesystemencoding()}; use a UTF-8 locale"
        return None

    def _columns(self) -> pa.Schema:
        if self._is_csv:
            return pa.schema([(name, pa.string()) for name in next(self._csv_rows(), [])])
        try:
            return parquet.read_schema(self.file).remove_metadata()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"Expected a Parquet file; got {self._name}: {reason(error)}.") from error

    def _checked(self, found: pa.Schema) -> pa.Schema:
        """Refuse columns that cannot be encoded or kept; return them with ``id`` and ``path`` first, views as plain."""
        columns = ", ".join(map(printable, found.names))
        for name in KEYS:
            if name not in found.names:
                raise ValueError(f"Expected a column {name!r} in {self._name}; got {columns}.")
        if len(set(found.names)) < len(found.names):
            raise ValueError(f"Expected different names for the columns of {self._name}; got {columns}.")
        if taken := [name for name in found.names if name in OURS]:
            raise ValueError(f"{self._name} has a column {taken[0]!r}, which encoding adds. Rename it.")
        found = pa.schema([field.with_type(PLAIN.get(field.type, field.type)) for field in found])
        for field in found:
            kind, where = field.type, f"in the column {printable(field.name)} of {self._name}; got {field.type}"
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            if field.name in KEYS and not is_text and not (field.name == "id" and pa.types.is_integer(kind)):
                raise ValueError(f"Expected text {'or integers ' if field.name == 'id' else ''}{where}.")
            try:
                parquet.write_table(pa.schema([field]).empty_table(), pa.BufferOutputStream())
            except pa.ArrowException as error:
                raise ValueError(f"Expected a type that Parquet can store {where}: {reason(error)}.") from error
        return pa.schema([found.field(name) for name in (*KEYS, *(name for name in found.names if name not in KEYS))])

    def _blocks(self) -> Iterator[pa.Table]:
        """Read it in tables of any length, with an ``error`` for rows of a wrong length."""
        return self._csv_blocks() if self._is_csv else self._parquet_blocks()

    def _parquet_blocks(self) -> Iterator[pa.Table]:
        column = KEYS[0]
        try:
            with parquet.ParquetFile(self.file) as stored:
                for batch in stored.iter_batches(BLOCK):
                    table = pa.Table.from_batches([batch]).select(self.schema.names).replace_schema_metadata(None)
                    for place, column in enumerate(table.column_names):
                        table[column].validate(full=True)
                        if table[column].type in PLAIN:
                            plain = self.schema.field(place)
                            table = table.set_column(place, plain, table[column].cast(plain.type))
                    yield table.append_column("error", pa.nulls(table.num_rows, pa.string()))
        except (pa.ArrowException, OSError) as error:
            where = f"{self._name}, column {printable(column)}"
            raise ValueError(f"Expected a valid Parquet file; got {where}: {reason(error)}.") from error

    def _csv_blocks(self) -> Iterator[pa.Table]:
        lines = self._csv_rows()
        names = next(lines)
        for rows in batches(lines, BLOCK):
            faults = [
                None if len(row) == len(names) else f"the row has {len(row)} fields, the manifest {len(names)} columns"
                for row in rows
            ]
            filled = [(row + [None] * len(names))[: len(names)] for row in rows]
            columns = [pa.array(values, pa.string()) for values in zip(*filled, strict=True)]
            table = pa.table([*columns, pa.array(faults, pa.string())], [*names, "error"])
            yield table.select([*self.schema.names, "error"])

    def _csv_rows(self) -> Iterator[list[str]]:
        """Read all lines that are not blank, the header first."""
        csv.field_size_limit(LONGEST_FIELD)
        names: list[str] = []
        row, taken = 0, []  # the lines that the row at hand is made of

        def noted(lines: Iterator[str]) -> Iterator[str]:
            for line in lines:
                taken.append(line)
                yield line

        with self.file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            try:
                for fields in csv.reader(noted(lines), strict=True):
                    taken.clear()
                    if not fields:
                        continue
                    for column, field in enumerate(fields):
                        if not field.isascii() and UNDECODED.search(field):
                            raise ValueError(f"{self._place(row, column, names)} is not UTF-8. Save the file as UTF-8.")
                    yield fields
                    names, row = names or fields, row + 1
            except csv.Error as error:
                where = self._place(row, _unsound("".join(taken)), names)
                raise ValueError(f"{where} is not valid CSV: {reason(error)}. Check its quotation marks.") from error

    def _place(self, row: int, column: int, names: list[str]) -> str:
        name = f" ({printable(names[column])})" if column < len(names) else ""
        return f"{self._name}, {f'row {row}' if row else 'the header'}, column {column + 1}{name}"


def _unsound(line: str) -> int:
    """Count the sound fields before the first that is not."""
    column, place = 0, 0
    while (field := FIELD.match(line, place)) and field.end() > place:
        column, place = column + 1, field.end()
    return column


def _keys(table: pa.Table) -> Iterator[tuple[object, str | None]]:
    return zip(table["id"].to_pylist(), table["path"].to_pylist(), strict=True)


def _repeated(ids: pa.ChunkedArray) -> dict[int, int]:
    """Find ids that were met before: the row of each, and the row where it was met first."""
    rows = pa.table({"id": ids, "row": pa.array(range(len(ids)), pa.int64())})
    groups = rows.group_by("id").aggregate([("row", "min"), ("row", "count")])
    several = groups.filter(compute.field("row_count") > 1)
    if not several.num_rows:
        return {}
    found = rows.join(several, "id", join_type="inner").filter(compute.field("row") > compute.field("row_min"))
    return dict(zip(found["row"].to_pylist(), found["row_min"].to_pylist(), strict=True))
