"""Encode the images of a manifest in processes of their own, and go on after a kill."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock, Timeout

from helpers._validation import path_of, whole
from helpers.encode import progress_bar
from helpers.models import checked_device, default_precision
from helpers.shards.encoder import Encoder
from helpers.shards.manifest import Manifest, write_plan
from helpers.shards.shards import ShardFolder
from helpers.shards.workers import Team


class EncodeResult(NamedTuple):
    """What an encoding met.

    Attributes:
        rows: of the manifest, or of the part of it.
        kept: those in shards that were there already.
        errors: those without features, kept ones too; ``_errors.csv`` lists them.
        failed: the numbers of shards that three workers died of, and that are not there.
    """

    rows: int
    kept: int
    errors: int
    failed: tuple[int, ...]


def encode_manifest(
    manifest: str | PathLike,
    out: str | PathLike,
    model: str = "tiny",
    workers: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    shard_size: int = 4096,
    batch_size: int = 64,
    fast_decode: bool = True,
    float16: bool = False,
    part: tuple[int, int] = (1, 1),
    retry: bool = False,
    progress: bool = True,
) -> EncodeResult:
    """Encode the images of a manifest into Parquet files, the shards.

    Shard ``000003.parquet`` holds the fourth 4,096 rows of the manifest, in its order and with all its columns. It adds
    ``sha256`` of the image's file, ``features`` as `encode_images` gives them, and ``error``: a row with an
    error has NaN for features. The file's metadata tells what made the features.

    A shard is written under another name, then renamed: it is whole, or not there. After an interruption, call it
    again; what is there stays. A killed worker costs its shard, which another one takes. The files are the same
    whatever the number of workers, on the same kind of processor. Rows may be added to the end of the manifest later.
    A script must call it below ``if __name__ == "__main__":``, for its workers import the script, too.

    Args:
        manifest: CSV with a line of names, or Parquet. The columns ``id``, each one once, and ``path``, meant from the
            manifest's folder; others travel along.
        out: the folder of the shards, which need not exist yet.
        model, device, precision: as `load` takes them.
        workers: processes, each with a model of its own. By default one for each GPU, or else one for each
            core; on a CPU each has one thread.
        shard_size: rows of a shard.
        batch_size: images that are encoded together.
        fast_decode: as in `encode_images`.
        float16: write features of 16 bits, in half the space; their numbers move by less than a thousandth.
        part: ``(2, 8)`` encodes the second of eight parts, so that eight machines with a common ``out`` share the work.
        retry: encode anew the shards in which an image could not be read.
        progress: show a bar when the work takes longer than two seconds.

    Returns:
        What it met.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: the manifest can't be read, ``out`` has features of another model or other rows, or an option is
            out of range.
        RuntimeError: another process encodes into ``out``, or workers die before they begin.
        OSError: ``out`` can't be written.
    """
    workers = None if workers is None else whole("workers", workers)
    shard_size, batch_size = whole("shard_size", shard_size), whole("batch_size", batch_size)
    if not 1 <= part[0] <= part[1]:
        raise ValueError(f"part is {part}; eight parts are (1, 8) to (8, 8)")
    table, folder = Manifest(path_of("manifest", manifest).absolute()), path_of("out", out).absolute()
    chosen = checked_device(device)
    several = {"cpu": torch.get_num_threads(), "cuda": torch.cuda.device_count()}
    workers = workers or (several.get(chosen.type, 1) if chosen.index is None else 1)
    precision = precision or default_precision(chosen)
    options: dict[str, Any] = {
        "model": model,
        "precision": precision,
        "batch_size": batch_size,
        "fast_decode": fast_decode,
        "float16": float16,
    }
    with _alone(folder, suffix(part)) as (place, errors):
        encoder = Encoder(table.file.parent, device="cpu", **options)
        shards = ShardFolder(folder, place, encoder.about, encoder.kind)
        numbers = range(part[0] - 1, write_plan(table, place, shard_size), part[1])
        sizes, todo = shards.compare(numbers, retry)
        start = partial(_start, shards, table.file.parent, str(chosen), workers, options)
        del encoder
        waiting = sum(sizes[number] for number in todo)
        failed = []
        with progress_bar(range(waiting), "images", progress) as bar:
            for number, done in Team(start, workers).work(todo):
                failed += [] if done else [number]
                bar.update(sizes[number])
        count = shards.list_errors([number for number in numbers if number not in failed], errors)
    return EncodeResult(sum(sizes.values()), sum(sizes.values()) - waiting, count, tuple(sorted(failed)))


def _start(
    shards: ShardFolder, root: Path, device: str, workers: int, options: dict[str, Any], place: int
) -> Callable[[int], bool]:
    """Become a worker: one thread on a CPU, so that the number of workers changes no rounding."""
    if device == "cpu":
        torch.set_num_threads(1)
    elif device == "cuda":
        device = f"cuda:{place % torch.cuda.device_count()}"
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    encoder = Encoder(root, device=device, **options)

    def work(number: int) -> bool:
        shards.write(number, encoder(shards.planned(number)))
        return True

    return work


@contextmanager
def _alone(folder: Path, part: str) -> Iterator[tuple[Path, Path]]:
    """Be the only one to write this part; give a working folder on the same disk, and the place for the errors."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f".lock{part}", timeout=0):
            place = folder / f".work{part}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            yield place, folder / f"_errors{part}.csv"
            shutil.rmtree(place, ignore_errors=True)
    except Timeout as error:
        raise RuntimeError(f"another process encodes into {folder}: wait for its end") from error


def suffix(part: tuple[int, int]) -> str:
    """Give what the names of a part's own files end with."""
    return "" if part[1] == 1 else f"-{part[0]}-of-{part[1]}"
