"""Encode the images of a manifest into shards, in local processes or on a Ray cluster; resume after a kill."""

import atexit
import csv
import io
import multiprocessing
import os
import signal
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from os import PathLike
from pathlib import Path
from threading import RLock, Thread, current_thread, main_thread
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from filelock import FileLock, Timeout
from pyarrow import compute, parquet
from tqdm import tqdm

from helpers._validation import path_of, printable, whole
from helpers.encode import progress_bar
from helpers.models import checked_device, default_precision
from helpers.shards.manifest import KEYS, Manifest
from helpers.shards.shard import (
    Settings,
    about,
    encode_shard,
    is_current,
    name_of,
    shard_files,
    unfinished,
    whole_file,
)

ON_RAY = 64  # shards that a cluster has in work at once, so that it can see how many machines to start
HEADER = (*KEYS, "error")  # of the list of errors
LOCK = ".clip-encode.lock"  # nobody else's, for locking empties the file
PATIENCE = 0.5  # seconds after which Windows notices Ctrl-C

Submit = Callable[..., Future]


class EncodeResult(NamedTuple):
    """A summary of what was encoded.

    Attributes:
        rows: rows of the manifest, or of the part that was encoded.
        kept: rows in shards that existed and are current.
        errors: rows without features, including kept ones; ``_errors.csv`` lists them.
    """

    rows: int
    kept: int
    errors: int


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
    ray: bool = False,
    progress: bool = True,
) -> EncodeResult:
    """Encode the images of a manifest into Parquet files, called shards.

    Shard ``000003.parquet`` holds the fourth 4,096 rows of the manifest, in the same order and with all their columns.
    Four columns are added: ``sha256`` and ``stamp`` (size, timestamps, inode) of the image file, ``features`` as
    `encode_images` returns them, and ``error``. A row with an error has NaN for features. The metadata of a shard
    describe the model and hold a checksum of the whole file, which `read_shard` verifies.

    A shard is written under a temporary name and then renamed, so that it is either complete or absent. After an
    interruption, make the same call again: existing shards are kept unless one of their rows or images has changed.
    Rows may be added at the end of the manifest. A deleted image keeps its features. The files do not depend on the
    number of workers, on the same kind of processor. A script must make the call below ``if __name__ == "__main__":``,
    because the workers import the script.

    Args:
        manifest: CSV with a header, or Parquet, with the columns ``id`` (unique) and ``path`` (relative to the folder
            of the manifest). Other columns are kept. All ids must fit into memory.
        out: folder for the shards, which need not exist yet.
        model, device, precision: as `load` takes them.
        workers: number of processes, each with its own copy of the model. By default one per GPU, or else one per core;
            on a CPU each has one thread. With ``ray``, number of shards in progress at once, by default 64.
        shard_size: rows per shard.
        batch_size: images per forward pass.
        fast_decode: as in `encode_images`.
        float16: write features in 16 bits, half the space; their values change by less than a thousandth.
        part: ``(2, 8)`` encodes the second of eight parts, so that eight machines with one ``out`` share the work.
        retry: encode again the shards in which an image could not be read.
        ray: run on the cluster that Ray is connected to, or else with Ray on this machine. All machines must see the
            manifest, the images and ``out`` under the same paths.
        progress: show a progress bar if the work takes longer than two seconds.

    Returns:
        The numbers of rows encoded, kept, and failed.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: the manifest cannot be read; ``out`` holds features of another model, other rows, a damaged shard or
            files that are not shards; or an option is out of range.
        RuntimeError: another process is encoding into ``out``, or a worker was killed.
        OSError: ``out`` cannot be written.
    """
    shard_size, batch_size = whole("shard_size", shard_size), whole("batch_size", batch_size)
    if not 1 <= part[0] <= part[1]:
        raise ValueError(f"Expected part as (k, n) with 1 <= k <= n, such as (2, 8); got {part}.")
    chosen = torch.device(device or "cpu") if ray else checked_device(device)
    several = {"cpu": torch.get_num_threads(), "cuda": torch.cuda.device_count()}
    usual = several.get(chosen.type, 1) if chosen.index is None else 1
    at_once = whole("workers", (ON_RAY if ray else usual) if workers is None else workers)
    table, folder = Manifest(path_of("manifest", manifest).absolute()), path_of("out", out).absolute()
    precision = precision or default_precision(chosen)
    settings = Settings(table.file.parent, model, str(chosen), precision, batch_size, fast_decode, float16)
    count = -(-table.rows // shard_size)
    files = {number: folder / f"{name_of(number)}.parquet" for number in range(part[0] - 1, count, part[1])}
    errors = folder / f"_errors{suffix(part)}.csv"
    with _alone(folder, part):
        _refuse_others(folder, count, errors)
        before = _left(folder, files)
        _clear(folder, files, errors)
        try:
            with _runner(ray, at_once, chosen) as submit:
                maker = submit(about, settings).result()
                todo = {
                    number: rows.num_rows
                    for number, rows in _cut(table, shard_size, files)
                    if not is_current(files[number], rows, maker, settings.root, retry)
                }
                tasks = (
                    (rows.num_rows, submit(encode_shard, rows, files[number], maker, settings))
                    for number, rows in _cut(table, shard_size, todo)
                )
                with progress_bar(range(sum(todo.values())), "images", progress) as bar:
                    for size in _as_they_end(tasks, at_once + 1):
                        bar.update(size)
        except BrokenExecutor as error:
            raise RuntimeError(_what_died(before & _left(folder, files), shard_size)) from error
        except BaseException:
            _clear(folder, files, errors)
            raise
        failed = _list_errors(files.values(), errors)
    rows = sum(min(shard_size, table.rows - number * shard_size) for number in files)
    return EncodeResult(rows, rows - sum(todo.values()), failed)


def _cut(table: Manifest, size: int, numbers: Container[int]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the numbers and the rows of some shards."""
    return ((number, rows) for number, rows in enumerate(table.tables(size)) if number in numbers)


def _as_they_end(tasks: Iterator[tuple[int, Future]], at_once: int) -> Iterator[int]:
    """Run some tasks at a time, and yield the size of each when it ends; raise what it raises."""
    running = {future: size for size, future in islice(tasks, at_once)}
    while running:
        done = wait(running, PATIENCE, FIRST_COMPLETED).done
        for future in done:
            future.result()
            yield running.pop(future)
        running |= {future: size for size, future in islice(tasks, at_once - len(running))}


def _runner(ray: bool, workers: int, device: torch.device) -> AbstractContextManager[Submit]:
    if not ray:
        return _in_processes(workers, device)
    from helpers.shards.on_ray import on_ray  # Ray is large, and seldom installed

    return on_ray(device)


@contextmanager
def _in_processes(workers: int, device: torch.device) -> Iterator[Submit]:
    """Run work in processes, which start when there is something to do and are killed if an error is raised."""
    context = multiprocessing.get_context("spawn")  # the same on every system, and safe beside threads
    places, others = context.SimpleQueue(), set(multiprocessing.active_children())
    for place in range(workers):
        places.put(place)
    threads = 1 if device.type == "cpu" else max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(workers, context, _begin, (str(device), threads, places))

    def submit(*work: Any) -> Future:
        with _ctrl_c_held_back():
            return pool.submit(*work)

    try:
        yield submit
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Block Ctrl-C while a process starts, which inherits the block; it could be left behind half started."""
    if current_thread() is not main_thread():  # where Ctrl-C never arrives
        yield
        return
    pressed: list[bool] = []
    handler = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if os.name == "posix" else None
    try:
        yield
    finally:
        if masked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        signal.signal(signal.SIGINT, handler)
    if pressed:
        raise KeyboardInterrupt


def _begin(device: str, threads: int, places: Any) -> None:
    """Become a worker: one thread on a CPU, so that the number of workers changes no rounding."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gives the work
    Thread(target=_end_with_parent, daemon=True).start()
    atexit.register(os._exit, 0)  # the work is done by then; PyTorch takes a second to go, and may print what it leaks
    tqdm.set_lock(RLock())  # its own is one of processes, which a kill would leak
    torch.set_num_threads(threads)
    if device == "cuda":
        torch.cuda.set_device(places.get() % torch.cuda.device_count())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)


@contextmanager
def _alone(folder: Path, part: tuple[int, int]) -> Iterator[None]:
    """Keep every other process from writing this part."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f"{LOCK}{suffix(part)}", timeout=0):
            yield
    except Timeout as error:
        raise RuntimeError(f"Another process is encoding into {printable(folder)}. Wait for it to finish.") from error


def suffix(part: tuple[int, int]) -> str:
    """Return the suffix of the names of a part's own files."""
    return "" if part[1] == 1 else f"-{part[0]}-of-{part[1]}"


def _refuse_others(folder: Path, count: int, errors: Path) -> None:
    """Refuse to write beside files that are not ours, or that another manifest made."""
    if files := [file for file in shard_files(folder) if int(file.stem) >= count]:
        raise ValueError(
            f"Expected {count} shards, as many as the manifest fills; got {printable(files[0])} as well. "
            "Use another folder for another manifest or shard size."
        )
    if errors.exists() and not errors.read_bytes().startswith(",".join(HEADER).encode()):
        raise ValueError(f"Expected a list of errors that `encode` wrote; got {printable(errors)}. Move it away.")


def _left(folder: Path, files: dict[int, Path]) -> set[int]:
    """Return the shards that a killed process was writing."""
    names = {name_of(number): number for number in files}
    return {names[stem] for stem in unfinished(folder, names).values()}


def _clear(folder: Path, files: dict[int, Path], errors: Path) -> None:
    """Remove what a killed process left."""
    for file in unfinished(folder, {errors.stem, *map(name_of, files)}):
        file.unlink(missing_ok=True)


def _what_died(again: set[int], size: int) -> str:
    """Explain that a worker was killed and, if it was not the first time, which rows to check."""
    killed = "A worker process was killed, often because memory ran out."
    if not again:
        return f"{killed} Run the same command again to resume."
    rows = ", ".join(f"{number * size + 1:,} to {(number + 1) * size:,}" for number in sorted(again))
    return f"{killed} The previous run ended at the same rows: {rows}. Check their images, or use fewer workers."


def _list_errors(files: Iterable[Path], listed: Path) -> int:
    """Write a line for each row without features into a file, and count them."""
    text, count = io.StringIO(), 0
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for file in files:
        rows = parquet.read_table(file, columns=list(HEADER), partitioning=None)
        bad = rows.filter(compute.field("error").is_valid()).to_pylist()
        writer.writerows([row[name] for name in HEADER] for row in bad)
        count += len(bad)
    with whole_file(listed) as part:
        part.write_bytes(text.getvalue().encode())
    return count
