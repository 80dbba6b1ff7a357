"""A shard: some rows of a manifest with their features, in one Parquet file that is either complete or absent."""

import hashlib
import json
import os
import re
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from helpers._files import UNKNOWN, Stamp, sha256_of, stamp_of
from helpers._validation import printable, reason
from helpers.encode import encode_batches
from helpers.fingerprint import fingerprint, same_maker
from helpers.forward import feature_size
from helpers.images import ImageError
from helpers.models import load
from helpers.shards.manifest import KEYS, OURS
from helpers.threads import batches

ABOUT = b"clip_encoders"  # in a file's metadata: what made its features, as JSON
SEAL, DIGITS = b"SHA-256 of all other bytes: ", 64  # in a file's metadata, too; its own digits count as zeros
PART = re.compile(r"\.(.+)-[0-9a-f]{8}\.part")  # the name of an unfinished file


@dataclass(frozen=True)
class Settings:
    """What turns the rows of every shard of a job into features. It is sent to each worker, which loads the model.

    Attributes:
        root: the folder that paths are relative to.
        model, device, precision: as `load` takes them.
        batch_size: images that are encoded together.
        fast_decode: as in `encode_images`.
        float16: write features of 16 bits.
    """

    root: Path
    model: str
    device: str
    precision: str
    batch_size: int
    fast_decode: bool
    float16: bool


def about(settings: Settings) -> dict[str, Any]:
    """Describe what the features will depend on: a fingerprint of the model, and the type of the features."""
    model, preprocess = _loaded(settings)
    maker = fingerprint(model, preprocess, settings.fast_decode)
    return {**maker, "type": "float16" if settings.float16 else "float32"}


def encode_shard(rows: pa.Table, file: Path, maker: dict[str, Any], settings: Settings) -> None:
    """Encode rows of a manifest into a file: the one way to a shard, here and on a cluster.

    The file has the columns of the manifest, ``sha256`` and ``stamp`` (bytes, times, inode) of each image's file,
    ``features`` (NaN in a row with an error) and ``error``. It is written under another name, which is there from the
    beginning, and renamed when it is complete: what a killed process leaves behind says at which shard it was.

    Args:
        rows: a table of `Manifest.tables`.
        file: the shard.
        maker: what `about` gives.
        settings: how to encode.

    Raises:
        OSError: the file cannot be written; nothing is left of it.
    """
    _loaded(settings)
    with whole_file(file) as part:
        content = _sealed(_encoded(rows, settings), maker)
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Yield a temporary file to write to, which exists at once; rename it at the end, or remove it after an error.

    Raises:
        OSError: of the system, with the name of the file.
    """
    part = file.with_name(f".{file.stem}-{uuid4().hex[:8]}.part")
    try:
        part.touch(exist_ok=False)
        yield part
        part.replace(file)
    except OSError as error:
        raise OSError(error.errno, reason(error), str(file)) from error
    finally:
        part.unlink(missing_ok=True)


def unfinished(folder: Path, stems: Container[str]) -> dict[Path, str]:
    """Find what killed processes left of files with these stems, and say of which."""
    found = {file: PART.fullmatch(file.name) for file in folder.glob(".*.part")}
    return {file: name[1] for file, name in found.items() if name and name[1] in stems}


def shard_files(folder: Path) -> list[Path]:
    """List the shards of a folder in order.

    Raises:
        ValueError: a Parquet file there has another name than a shard.
    """
    files = sorted(folder.glob("*.parquet"), key=lambda file: (len(file.name), file.name))
    for file in files:
        if not (file.stem.isascii() and file.stem.isdigit() and file.stem == name_of(int(file.stem))):
            raise ValueError(
                f"Expected shards named 000000.parquet and so on in {printable(folder)}; got {printable(file.name)}. "
                "Move it away."
            )
    return files


def name_of(number: int) -> str:
    """Name a shard's file, without its ending."""
    return f"{number:06}"


def read_shard(file: Path) -> pa.Table:
    """Read a shard, and verify the checksum of the whole file.

    Raises:
        ValueError: the file is damaged or not a shard.
        OSError: the file does not exist or cannot be read.
    """
    content = file.read_bytes()
    place = content.rfind(SEAL) + len(SEAL)
    if content[place : place + DIGITS] != _seal(content, place):
        raise _damaged(file)
    return parquet.read_table(pa.BufferReader(content))


def seal_of(file: Path) -> str:
    """Read the checksum that a shard's file has of itself, without comparing it.

    Raises:
        ValueError: it is damaged, or not a shard.
    """
    try:
        return parquet.read_metadata(file).metadata[b"seal"].removeprefix(SEAL).decode()
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise _damaged(file) from error


def _damaged(file: Path) -> ValueError:
    return ValueError(
        f"Expected a shard; got {printable(file)}, which is damaged or was not written by this version of `encode`. "
        "Move it away, and run `encode` again."
    )


def made_by(schema: pa.Schema) -> dict[str, Any]:
    """Read from the schema of a shard, or of a table with its metadata, what made the features: see `about`."""
    return json.loads((schema.metadata or {}).get(ABOUT, b"{}"))


def check_made_by(schema: pa.Schema, expected: dict[str, Any], where: object) -> None:
    """Refuse features that another model made, another way of decoding, or of another type.

    Args:
        schema: of the shard or table.
        expected: what made the features that they are to be used with.
        where: for the message.

    Raises:
        ValueError: they differ.
    """
    found, names = made_by(schema), ("weights", "precision", "decoding", "type")
    if not same_maker(found, expected) or found.get("type") != expected.get("type"):
        of = [", ".join(str(about.get(name, "?"))[:8] for name in names) for about in (expected, found)]
        raise ValueError(
            f"Expected features of {of[0]} in {printable(where)}; got features of {of[1]} (weights, precision, "
            "decoding, type). Use the same model and options, or another folder."
        )


def is_current(file: Path, rows: pa.Table, expected: dict[str, Any], root: Path, retry: bool) -> bool:
    """Compare a shard with the manifest and the images as they are now.

    Args:
        file: the shard, which need not exist.
        rows: a table of `Manifest.tables`.
        expected: what shall have made the features.
        root: the folder that paths are relative to.
        retry: call it outdated if an image of it could not be read.

    Returns:
        False if it shall be encoded (again): it does not exist, rows were added, another column than ``id`` and
        ``path`` was edited, or the content of an image was. An image that is gone keeps its features.

    Raises:
        ValueError: the file is damaged, or belongs to another model or manifest; or it is outdated, and images are
            gone, so that their features would be lost.
    """
    if not file.exists():
        return False
    found = read_shard(file)
    check_made_by(found.schema, expected, file)
    same, kept = rows.slice(0, found.num_rows), found.drop_columns([*OURS])
    if kept.schema.remove_metadata() != rows.drop_columns("error").schema or any(
        kept[name] != same[name] for name in KEYS
    ):
        raise ValueError(
            f"Expected the rows of the manifest in {printable(file)}; got different rows. "
            "Use another folder for another manifest or shard size."
        )
    paths, errors = kept["path"].to_pylist(), found["error"].to_pylist()
    before = zip(paths, found["stamp"].to_pylist(), found["sha256"].to_pylist(), strict=True)
    states = [
        "bad" if fault else _compare(root / path, stamp, sha256)
        for fault, (path, stamp, sha256) in zip(same["error"].to_pylist(), before, strict=True)
    ]
    unread = compute.and_(found["error"].is_valid(), same["error"].is_null())
    outdated = (
        found.num_rows < rows.num_rows
        or "other" in states
        or _plain(kept) != _plain(same.drop_columns("error"))
        or (retry and compute.any(unread).as_py())
    )
    lost = [path for path, state, error in zip(paths, states, errors, strict=True) if state == "gone" and not error]
    if outdated and lost:
        raise ValueError(
            f"{printable(file)} is outdated, but encoding it again would lose the features of missing images, "
            f"{len(lost)} in all, such as {printable(lost[0])}. Restore them, or use another folder."
        )
    return not outdated


@lru_cache(maxsize=1)
def _loaded(settings: Settings) -> tuple:
    """Load the model, once in each process."""
    return load(settings.model, settings.device, precision=settings.precision)


def _encoded(rows: pa.Table, settings: Settings) -> pa.Table:
    """Add our columns to rows of a manifest."""
    model, preprocess = _loaded(settings)
    paths, errors = rows["path"].to_pylist(), rows["error"].to_pylist()
    looks: dict[int, tuple[Stamp, str]] = {}
    features = np.full((rows.num_rows, feature_size(model)), np.nan, np.float16 if settings.float16 else np.float32)

    def looked_at(todo: list[int]) -> Iterator[tuple[int, Path]]:
        """Hash files just before they are encoded, and leave out what cannot be read."""
        for i in todo:
            try:
                looks[i] = _look(settings.root / paths[i], paths[i])
            except ImageError as error:
                errors[i] = str(error)
            else:
                yield i, settings.root / paths[i]

    sound = batches((i for i, error in enumerate(errors) if error is None), settings.batch_size)
    for batch in encode_batches(model, preprocess, (list(looked_at(todo)) for todo in sound), settings.fast_decode):
        for i, found in batch:
            features[i], errors[i] = _judged(found, paths[i], features.dtype)
            if stamp_of(settings.root / paths[i]) != looks[i][0]:
                del looks[i]
                features[i], errors[i] = np.nan, str(ImageError(paths[i], "it was changed while it was being read"))
    number = pa.field("element", pa.from_numpy_dtype(features.dtype), nullable=False)  # read in a fifth of the time
    kind = pa.list_(number, features.shape[1])
    stamps, digests = zip(*(looks.get(i, (None, None)) for i in range(rows.num_rows)), strict=True)
    table = rows.drop_columns("error")
    table = table.append_column("sha256", pa.array(digests, pa.string()))
    table = table.append_column("stamp", pa.array(stamps, pa.list_(pa.int64())))
    column = pa.FixedSizeListArray.from_arrays(features.reshape(-1), type=kind)
    table = table.append_column(pa.field("features", kind, nullable=False), column)
    return table.append_column("error", pa.array(errors, pa.string()))


def _look(file: Path, path: str) -> tuple[Stamp, str]:
    """Return the stamp and the SHA-256 of an image file; raise ImageError if it cannot be read."""
    stamp = stamp_of(file)
    if stamp is None:
        raise ImageError(path, "it is a folder or a device, not a file")
    try:
        return stamp, sha256_of(file)
    except OSError as error:
        raise ImageError(path, reason(error)) from error


def _judged(found: np.ndarray | ImageError, path: str, dtype: np.dtype) -> tuple[Any, str | None]:
    """Return an image's features, or NaN and the reason."""
    if isinstance(found, ImageError):
        return np.nan, str(ImageError(path, found.reason))
    with np.errstate(over="ignore"):
        row = found.astype(dtype)
    if not np.isfinite(row).all() or not row.any():
        return np.nan, str(ImageError(path, "its features are not finite, or are all zero"))
    return row, None


def _compare(file: Path, stamp: list[int] | None, sha256: str | None) -> str:
    """Return whether the content of an image file is the "same" as before, "other", or "gone"."""
    now = stamp_of(file)
    if now in (None, UNKNOWN):
        return "gone"
    if stamp == list(now):  # type: ignore[arg-type]
        return "same"
    try:
        return "same" if sha256_of(file) == sha256 else "other"
    except OSError:
        return "gone"


def _plain(table: pa.Table) -> bytes:
    """Write a table in one way, whatever its chunks are; unlike `Table.equals` it takes NaN for the same as NaN."""
    sink = pa.BufferOutputStream()
    plain = table.combine_chunks().replace_schema_metadata(None)
    parquet.write_table(plain, sink, compression="none", use_dictionary=False, write_statistics=False)
    return sink.getvalue().to_pybytes()


def _sealed(table: pa.Table, maker: dict[str, Any]) -> bytearray:
    """Write a file in memory, and put the checksum of all its bytes into it."""
    texts, sink = [name for name in table.column_names if name != "features"], pa.BufferOutputStream()
    parquet.write_table(
        table.replace_schema_metadata({ABOUT: json.dumps(maker), "seal": SEAL + b"0" * DIGITS}),
        sink,
        compression=dict.fromkeys(texts, "zstd"),  # floats do not get smaller
        use_dictionary=False,
        write_statistics=texts,
    )
    content = bytearray(sink.getvalue())
    place = content.rfind(SEAL) + len(SEAL)
    content[place : place + DIGITS] = _seal(content, place)
    return content


def _seal(content: bytes | bytearray, place: int) -> bytes:
    """Hash a file as if the digits at a place were zeros."""
    digest = hashlib.sha256(memoryview(content)[:place])
    digest.update(b"0" * DIGITS)
    digest.update(memoryview(content)[place + DIGITS :])
    return digest.hexdigest().encode()
