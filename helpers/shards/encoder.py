"""Turn rows of a manifest into rows of a shard: with features, or with the reason why there are none."""

import json
from collections.abc import Iterator
from itertools import tee
from pathlib import Path

import numpy as np
import pyarrow as pa

from helpers._validation import printable
from helpers.encode import rows_or_errors
from helpers.fingerprint import made_by
from helpers.forward import feature_size
from helpers.images import ImageError
from helpers.index.journal import Record
from helpers.index.scan import look, stamp_of
from helpers.index.store import Stamp
from helpers.models import load
from helpers.shards.manifest import OURS
from helpers.threads import batches

FORMAT = 1
ABOUT = b"clip_encoders"  # in a file's metadata: what made its features, as JSON


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
        fast_decode: bool = True,
        float16: bool = False,
    ) -> None:
        """Load the model.

        Args:
            root: the folder that paths are meant from.
            model, device, precision: as `load` takes them.
            batch_size: images that are encoded together.
            fast_decode: as in `encode_images`.
            float16: give features of 16 bits.
        """
        self.root, self.batch_size, self.fast_decode = root, batch_size, fast_decode
        self.model, self.preprocess = load(model, device, precision=precision)
        self.about = {"format": FORMAT, **made_by(self.model, self.preprocess, fast_decode)}
        self.dtype = np.float16 if float16 else np.float32
        number = pa.field("element", pa.from_numpy_dtype(self.dtype), nullable=False)  # read in a fifth of the time
        self.kind = pa.list_(number, feature_size(self.model))

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
        for batch, found in zip(
            looked, rows_or_errors(self.model, self.preprocess, sources, self.fast_decode), strict=True
        ):
            outcomes = iter(found)
            for i, record in batch:
                yield i, *((record, None) if "error" in record else self._judge(record, next(outcomes)))

    def _look(self, path: str) -> Record:
        stamp = stamp_of(self.root / path)
        return look(self.root, (path, stamp)) if stamp else {"path": path, "error": f"{printable(path)} is no file"}

    def _judge(self, record: Record, outcome: np.ndarray | ImageError) -> tuple[Record, np.ndarray | None]:
        file, path = self.root / record["path"], printable(record["path"])
        if stamp_of(file) != Stamp(*(record[part] for part in Stamp._fields)):
            return {"error": f"{path} was changed while it was read"}, None
        if isinstance(outcome, ImageError):
            return {**record, "error": str(outcome).replace(printable(file), path)}, None
        row = outcome.astype(self.dtype)
        if not np.isfinite(row).all() or not row.any():
            return {**record, "error": f"{path} has no finite features"}, None
        return record, row


def check_made_by(schema: pa.Schema, about: dict[str, object], where: object) -> None:
    """Refuse features that another model made, or another way of decoding.

    Args:
        schema: of the file or table.
        about: what made the features that they shall be compared with, as `Encoder` has it.
        where: for the message.

    Raises:
        ValueError: they differ.
    """
    found = json.loads((schema.metadata or {}).get(ABOUT, b"{}"))
    if found != about:
        of = ", ".join(str(found.get(name, "?"))[:8] for name in ("model_sha256", "precision", "decoding"))
        raise ValueError(
            f"{where} has features of another model or way of decoding ({of}): take that model, or another folder"
        )
