"""Many images: how fast `python -m helpers encode` is, how much memory it takes, and Ray beside it; Linux only.

`python -m benchmarks.run --only many` measures them, and the search of a million rows (`ways.py`).
"""

import csv
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from clip.model import CLIP

from benchmarks.photographs import write_drawings
from benchmarks.ways import measure_search

ROOT = Path(__file__).resolve().parent.parent
SHARD = 500


def write_manifest(folder: Path, count: int, files: int) -> Path:
    """Write a manifest of ``count`` rows on the first ``files`` images, which it writes first."""
    images = folder / f"images {files}"
    if not images.is_dir():
        write_drawings(images, files)
    manifest = folder / f"{count} of {files}.csv"
    with manifest.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["id", "path"])
        writer.writerows([i, f"{images.name}/{i % files:05}.png"] for i in range(count))
    return manifest


def command(manifest: Path, out: Path, workers: int, *more: str) -> list[str]:
    """Return the command line of an encoding into a new folder."""
    shutil.rmtree(out, ignore_errors=True)
    run = [sys.executable, "-m", "helpers", "encode", str(manifest), str(out)]
    return [*run, "--workers", str(workers), "--shard-size", str(SHARD), *more]


def seconds_of(command: list[str]) -> float:
    """Time a command from its start to its end."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure_encode(cache: Path, count: int) -> dict:
    """Encode with one worker and with two, twice each, and compare the bytes of the shards."""
    manifest, rates, shards = write_manifest(cache, count, count), {1: [], 2: []}, {}
    for workers in (1, 2, 2, 1):
        out = cache / f"by {workers}"
        rates[workers].append(count / seconds_of(command(manifest, out, workers)))
        shards[workers] = {file.name: file.read_bytes() for file in out.glob("*.parquet")}
        print(f"{workers} workers: {rates[workers][-1]:.0f} images per second", flush=True)
    return {
        "images": count,
        "shard": SHARD,
        "shards": len(shards[1]),
        **{f"{workers} workers": found for workers, found in rates.items()},
        "the same bytes by 1 and by 2": shards[1] == shards[2],
    }


def own_memory(process: psutil.Process) -> float:
    """Return the memory of a process in MiB without what it shares, such as libraries; 0 if it is gone."""
    with suppress(psutil.NoSuchProcess):
        found = process.memory_info()
        return (found.rss - found.shared) / 2**20
    return 0


def measure_memory(cache: Path, count: int) -> dict:
    """Return the peak of the command and of its worker for few, more and many rows.

    A small model with random weights is enough, because the memory that grows with the manifest is not the model's.
    """
    found, small = {}, cache / "small.pt"
    torch.manual_seed(0)
    torch.save(CLIP(64, 64, 2, 64, 16, 77, 49408, 64, 1, 2).state_dict(), small)
    for rows in (count // 10, count, 10 * count):
        manifest = write_manifest(cache, rows, count // 10)
        line = command(manifest, cache / "memory", 1, "--model", str(small))
        process, peak = psutil.Popen(line, cwd=ROOT, stderr=subprocess.DEVNULL), {}
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                for one in (process, *process.children(recursive=True)):
                    peak[one.pid] = max(peak.get(one.pid, 0), own_memory(one))
            time.sleep(0.1)
        found[rows] = {"command": peak.pop(process.pid), "worker": max(peak.values(), default=0)}
        print(rows, found[rows], flush=True)
    return found


def measure_ray(cache: Path, count: int) -> dict:
    """Encode the same images with Ray and with the command; and two images, for the time to start."""
    few, many = write_manifest(cache, 2, 2), write_manifest(cache, count, count)

    def measure(name: str, *more: str) -> dict:
        start, seconds = (seconds_of(command(manifest, cache / name, 2, *more)) for manifest in (few, many))
        return {"seconds for two images": start, "seconds": seconds, "images a second": count / seconds}

    return {"images": count, "ray": measure("by ray", "--ray"), "helpers": measure("by 2")}


def measure_many(cache: Path, count: int, rows: int) -> dict:
    """Measure all of it, for ``count`` images and a search of ``rows``."""
    cache.mkdir(exist_ok=True)
    return {
        "encode": measure_encode(cache, count),
        "memory": measure_memory(cache, count),
        "ray": measure_ray(cache, count),
        "search": measure_search(cache, rows),
    }
