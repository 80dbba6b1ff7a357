"""Many images: how fast, how steady, how large. Writes scale.json, which lesson 17 shows.

python -m benchmarks.scale [--only machine encode memory ray search] [--images 20000] [--rows 1000000]

Needs Linux, ``pip install -e '.[ray,lance,bench]'`` and a quiet machine; with two cores, two hours. Each work is saved
when it is done; ``--only`` measures some anew. For figures of one thread, set OMP_NUM_THREADS=1 LANCE_CPU_THREADS=1.
"""

import argparse
import contextlib
import csv
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from clip.model import CLIP

from benchmarks.search_folder import write_images

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).parent
KILLS = 10
SHARD = 500


def write_manifest(folder: Path, count: int, files: int) -> Path:
    """Write a manifest of ``count`` rows on the first ``files`` images, which it writes first."""
    images = folder / f"images {files}"
    if not images.is_dir():
        write_images(images, files)
    manifest = folder / f"{count} of {files}.csv"
    with manifest.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["id", "path"])
        writer.writerows([i, f"{images.name}/{i % files:05}.png"] for i in range(count))
    return manifest


def command(manifest: Path, out: Path, workers: int, shard: int = SHARD) -> list[str]:
    """Give the command line of an encoding."""
    options = ["--workers", str(workers), "--shard-size", str(shard)]
    return [sys.executable, "-m", "helpers", "encode", str(manifest), str(out), *options]


def timed(*arguments: str) -> tuple[float, str]:
    """Run a command to its end, and give its seconds and what it said."""
    start = time.perf_counter()
    done = subprocess.run(arguments, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return time.perf_counter() - start, done.stdout


def files_of(out: Path) -> dict[str, bytes]:
    """Read the shards."""
    return {file.name: file.read_bytes() for file in out.glob("*.parquet")}


def descendants(pid: int) -> list[int]:
    """List the processes below one, as Linux knows them."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return sorted(found - {pid})


def workers_of(pid: int) -> list[int]:
    """List the workers: children of the server that forks them, grown by a model."""
    return [worker for server in descendants(pid) for worker in descendants(server) if resident(worker) > 150]


def resident(pid: int) -> float:
    """Give the memory of a process in MiB, that of libraries left out; 0 if it is gone."""
    with contextlib.suppress(OSError):
        found = re.search(r"RssAnon:\s+(\d+)", (Path("/proc") / str(pid) / "status").read_text())
        return int(found[1]) / 1024 if found else 0
    return 0


def measure_encode(cache: Path, count: int) -> dict:
    """Encode with one worker and with two, compare the bytes, and kill ten times."""
    manifest, found = write_manifest(cache, count, count), {}
    for workers in (1, 2, 2, 1):
        out = cache / f"by {workers}"
        shutil.rmtree(out, ignore_errors=True)
        seconds, _ = timed(*command(manifest, out, workers))
        found.setdefault(f"{workers} workers", []).append(count / seconds)
        print(f"{workers} workers: {count / seconds:.0f} images a second", flush=True)
    whole = files_of(cache / "by 1")
    found["the same bytes by 1 and by 2"] = whole == files_of(cache / "by 2")
    return {"images": count, "shard": SHARD, "shards": len(whole), **found, **kill(manifest, cache / "killed", whole)}


def strike(process: subprocess.Popen, kind: str, rng: random.Random) -> bool:
    """Kill a command, or one of its workers; say whether it still ran."""
    while process.poll() is None:
        victims = workers_of(process.pid) if kind == "worker" else [process.pid]
        with contextlib.suppress(IndexError, ProcessLookupError):
            os.kill(rng.choice(victims), signal.SIGKILL)
            return True
    return False


def kill(manifest: Path, out: Path, whole: dict[str, bytes]) -> dict:
    """Kill five workers and five commands, and count what is encoded twice."""
    shutil.rmtree(out, ignore_errors=True)
    rng, process, killed, lost = random.Random(0), None, {"worker": 0, "command": 0}, []
    targets = sorted(rng.sample(range(1, len(whole) - 1), min(KILLS, len(whole) - 2)))
    for i, target in enumerate(targets):
        if process is None or process.poll() is not None:
            process = subprocess.Popen(command(manifest, out, 2), cwd=ROOT, stderr=subprocess.DEVNULL)
        kind, below = "worker" if i % 2 else "command", []
        while process.poll() is None and (len(list(out.glob("*.parquet"))) < target or not below):
            time.sleep(0.002)
            below = workers_of(process.pid)
        time.sleep(rng.uniform(0, 0.5))
        if not strike(process, kind, rng):  # it came to its end in between
            continue
        killed[kind] += 1
        lost.append(1 if kind == "worker" else 2)
        if kind == "command":
            process.wait()
    process = process if process.poll() is None else subprocess.Popen(command(manifest, out, 2), cwd=ROOT)
    code = process.wait()
    return {
        "kills": killed,
        "exit code at the end": code,
        "the same bytes after the kills": files_of(out) == whole,
        "shards at risk": sum(lost),
    }


def write_small_model(file: Path) -> Path:
    """Write a CLIP of 3 million parameters, nearly all of them for words."""
    torch.manual_seed(0)
    sizes = {"embed_dim": 64, "image_resolution": 64, "vision_layers": 2, "vision_width": 64, "vision_patch_size": 16}
    words = {"context_length": 77, "vocab_size": 49408, "transformer_width": 64, "transformer_heads": 1}
    torch.save(CLIP(**sizes, **words, transformer_layers=2).state_dict(), file)
    return file


def measure_memory(cache: Path, counts: tuple[int, ...] = (2_000, 20_000, 200_000)) -> dict:
    """Give the peak of the command and of its worker, by the length of the manifest.

    A small model with random weights does, for the memory that grows with the manifest is no matter of the model.
    """
    found, model = {}, write_small_model(cache / "small.pt")
    for count in counts:
        manifest, out = write_manifest(cache, count, 2_000), cache / "memory"
        shutil.rmtree(out, ignore_errors=True)
        process, peak = subprocess.Popen([*command(manifest, out, 1, 2_000), "--model", str(model)], cwd=ROOT), {}
        while process.poll() is None:
            for pid in (process.pid, *descendants(process.pid)):
                peak[pid] = max(peak.get(pid, 0), resident(pid))
            time.sleep(0.1)
        found[count] = {"command": peak.pop(process.pid), "worker": max(peak.values())}
        print(count, found[count], flush=True)
    return found


def measure_ray(cache: Path, count: int) -> dict:
    """Encode the same images with Ray, and say when its first file is there."""
    manifest, found = write_manifest(cache, count, count), {}
    small = write_manifest(cache, 2, 2)
    for name, given, out in (("seconds for two images", small, "ray 2"), ("seconds", manifest, "ray")):
        shutil.rmtree(cache / out, ignore_errors=True)
        place = str(cache / out)
        options = ["--actors", "2", "2", "--block", str(SHARD)]
        found[name], _ = timed(sys.executable, "-m", "cluster.encode", str(given), place, *options)
    shutil.rmtree(cache / "by 2", ignore_errors=True)
    seconds, _ = timed(*command(manifest, cache / "by 2", 2))
    shutil.rmtree(cache / "two", ignore_errors=True)
    start, _ = timed(*command(small, cache / "two", 2))
    ours = {"seconds": seconds, "images a second": count / seconds, "seconds for two images": start}
    return {"images": count, "ray": {**found, "images a second": count / found["seconds"]}, "helpers": ours}


def describe_machine() -> dict:
    """Tell what the figures depend on."""
    cpu = Path("/proc/cpuinfo").read_text()
    names = ("torch", "numpy", "pyarrow", "ray", "lancedb", "faiss-cpu")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": re.search(r"model name\s*: (.*)", cpu)[1],
        "cores": os.cpu_count(),
        "load before": os.getloadavg()[0],  # above a half: not quiet
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def works(cache: Path, options: argparse.Namespace) -> Iterator[tuple[str, object]]:
    """Name what can be measured."""
    from benchmarks.scale_search import measure_search

    yield "machine", describe_machine
    yield "encode", lambda: measure_encode(cache, options.images)
    yield "memory", lambda: measure_memory(cache)
    yield "ray", lambda: measure_ray(cache, options.images)
    yield "search", lambda: measure_search(cache, options.rows)


def main() -> None:
    """Run the works that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=HERE / "scale.json")
    options = parser.parse_args()
    cache = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache" / "clip-course" / "benchmarks")) / "scale"
    cache.mkdir(parents=True, exist_ok=True)
    results = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name, work in works(cache, options):
        if options.only is None or name in options.only:
            print(name, flush=True)
            results[name] = work()
            options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
