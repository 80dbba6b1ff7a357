"""Measure the helpers beside what a user would otherwise call, and write results.md and figures/PROCESSOR.json.

make bench

All contenders have the same weights, images and prompts, and take turns, slice by slice; a figure is the median of
its slices. Every contender's features are compared with plain clip's, and its row is void if they disagree. Files are
kept in ~/.cache/clip-course/benchmarks (or $BENCH_DIR), four gigabytes.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import faiss
import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import helpers
from benchmarks.contenders import Contender, list_contenders
from benchmarks.photographs import SIZES, write_photographs
from benchmarks.report import count_operations, label, write_report
from helpers.index.store import FeatureStore
from helpers.models import emulates_bfloat16

ROOT = Path(__file__).resolve().parent.parent
SLICES = 5
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "open_clip_torch", "transformers", "sentence-transformers",
            "onnxruntime", "faiss-cpu")  # fmt: skip
WORDS = (
    "a the red blue green old small large wooden happy sleeping running painted broken shiny cat dog horse house tree "
    "car boat bicycle guitar maze game table window garden street mountain river child woman man on under near behind "
    "beside with without in front of and morning evening snow rain light shadow photo drawing sketch close up"
).split()

LOAD_AND_ENCODE = """
import sys, time, torch, helpers
model, preprocess = helpers.load(sys.argv[1], warm_up=sys.argv[2] == "True")
pixels, seconds = torch.zeros(16, 3, 224, 224), []
for _ in range(6):
    start = time.perf_counter()
    with torch.inference_mode():
        helpers.forward.image_features(model, pixels)
    seconds.append(time.perf_counter() - start)
print(seconds[0] / sorted(seconds[1:])[2])
"""
PEAK_MEMORY = """
import re, sys
from pathlib import Path
import helpers
model, preprocess = helpers.load("tiny")
files = sorted(Path(sys.argv[1]).iterdir()) * int(sys.argv[2])
rows = helpers.encode_images(model, preprocess, files[: int(sys.argv[2])], progress=False)
assert len(rows) == int(sys.argv[2])
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""
IMPORT_TIME = """
import time
import torch, torchvision, clip
start = time.perf_counter()
import helpers
print(time.perf_counter() - start)
"""
EXAMPLE_JOB = """
import time
marks = [("", time.perf_counter())]
def mark(name): marks.append((name, time.perf_counter()))
import torch; mark("import torch")
import torchvision, clip; mark("import torchvision and clip")
import helpers; mark("import helpers")
model, preprocess = helpers.load("tiny"); mark("load tiny")
files, texts = ["images/maze1.jpeg", "images/maze2.jpeg"], ["maze", "game", "cat", "win the game"]
images = helpers.encode_images(model, preprocess, files); mark("encode two images")
words = helpers.encode_texts(model, texts); mark("encode four texts")
import os, tempfile, matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot as plt; mark("import matplotlib")
figure = helpers.plot_similarity(helpers.cosine_similarity(words, images), texts, files).figure
with tempfile.TemporaryDirectory() as folder: figure.savefig(folder + "/similarity.png")
mark("draw and save the heatmap")
import json
print(json.dumps({name: at - before for (_, before), (name, at) in zip(marks, marks[1:])}))
"""


def run_python(code: str, *arguments: object) -> str:
    """Run code in a new process, and give the last line that it prints."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]


def seconds_of(call: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def smallest_cosine(found: np.ndarray, expected: np.ndarray) -> float:
    """Compare features row by row."""
    return float((helpers.normalize(found) * helpers.normalize(expected)).sum(axis=1).min())


def take_turns(contenders: list[Contender], kind: str, slices: list, reference: str | None = None) -> dict:
    """Let every contender encode every slice, one after the other, in a new order each time.

    Returns:
        For each name ``per_second``, one figure a slice, and ``cosine``, the smallest one with plain clip's features.
    """
    plain, rng = getattr(contenders[0], reference or kind), random.Random(1)
    contenders = [contender for contender in contenders if getattr(contender, kind)]
    for contender in contenders:
        getattr(contender, kind)(slices[0][:4])
    found = {contender.name: {"per_second": [], "cosine": 1.0} for contender in contenders}
    for i, some in enumerate(slices):
        expected = plain(some)
        for contender in rng.sample(contenders, len(contenders)):
            time.sleep(0.5)  # the threads of the one before still spin
            start = time.perf_counter()
            features = getattr(contender, kind)(some)
            seconds = time.perf_counter() - start
            row = found[contender.name]
            row["per_second"].append(len(some) / seconds)
            row["cosine"] = min(row["cosine"], smallest_cosine(features, expected))
        print(kind, f"slice {i + 1} of {len(slices)}", flush=True)
    return found


def cut(items: list | torch.Tensor, slices: int = SLICES) -> list:
    """Cut into slices of equal length."""
    size = len(items) // slices
    return [items[start : start + size] for start in range(0, slices * size, size)]


def measure_folders(contenders: list[Contender], cache: Path, count: int) -> dict:
    """(a) From JPEG files to features."""
    results = {}
    for name, size in SIZES.items():
        folder = cache / f"{name} {count}"
        paths = sorted(folder.glob("*.jpg"))
        if len(paths) < count:
            paths = write_photographs(folder, size, count)
        results[name] = take_turns(contenders, "folder", cut(paths))
    return results


def measure_peak(precision: torch.dtype, device: str) -> float:
    """Give the largest rate of square matrix multiplications, in billions of operations a second."""
    rates = []
    for n in (1024, 2048, 4096):
        a, b = (torch.randn(n, n, device=device).to(precision) for _ in range(2))
        (a @ b).sum().item()
        seconds = statistics.median(seconds_of(lambda a=a, b=b: (a @ b)[0, 0].item()) for _ in range(9))
        rates.append(2 * n**3 / seconds / 1e9)
    return max(rates)


def measure_forward(contenders: list[Contender], model: torch.nn.Module, device: str, count: int) -> dict:
    """(b) From preprocessed pixels to features, beside the matrix-multiply peak of before and after."""
    pixels = torch.randn(count, 3, 224, 224, device=device)
    results = {"operations of one image": count_operations(model.visual) / 1e9}
    kinds = {torch.float32: "pixels", torch.bfloat16: "half_pixels"}
    for precision, kind in kinds.items():
        if not any(getattr(contender, kind) for contender in contenders):
            continue
        peaks = [measure_peak(precision, device)]
        table = take_turns(contenders, kind, [pixels] * SLICES, reference="pixels")
        peaks.append(measure_peak(precision, device))
        results[str(precision).removeprefix("torch.")] = {"peak": statistics.mean(peaks), "peaks": peaks, "rows": table}
    return results


def profile_forward(model: torch.nn.Module, pixels: torch.Tensor) -> dict[str, float]:
    """Give the share of each operation in the time of one forward pass, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        helpers.forward.image_features(model, pixels)
        with profile(activities=[ProfilerActivity.CPU]) as watched:
            helpers.forward.image_features(model, pixels)
    torch.set_num_threads(threads)
    own = {event.key: event.self_cpu_time_total for event in watched.key_averages()}
    return {name: value / sum(own.values()) for name, value in sorted(own.items(), key=lambda pair: -pair[1])[:8]}


def measure_texts(contenders: list[Contender], count: int) -> dict:
    """(c) Prompts of 5 to 12 words; and names in 80 templates, the case of the prompt ensemble."""
    rng = random.Random(0)
    prompts = [" ".join(rng.choices(WORDS, k=rng.randint(5, 12))) for _ in range(count)]
    templates = [" ".join(["a", *rng.choices(WORDS, k=rng.randint(2, 6)), "of a {}."]) for _ in range(80)]
    ensemble = [template.format(name) for name in rng.sample(WORDS, count // 80) for template in templates]
    return {
        "prompts": take_turns(contenders, "texts", cut(prompts)),
        "ensemble": take_turns(contenders, "texts", cut(ensemble)),
    }


def measure_cold(weights: Path) -> dict:
    """(d) The first batch after load against later ones."""
    turns = [(warm, float(run_python(LOAD_AND_ENCODE, weights, warm))) for _ in range(5) for warm in (False, True)]
    return {str(kind): [ratio for warm, ratio in turns if warm == kind] for kind in (False, True)}


def measure_start() -> dict:
    """(e) From the start of a process to example.py's heatmap; and what it is made of."""
    whole, parts = [], []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "example.py", "--output", f"{folder}/similarity.png"]
        for _ in range(5):
            whole.append(seconds_of(lambda: subprocess.run(command, cwd=ROOT, capture_output=True, check=True)))
            parts.append(json.loads(run_python(EXAMPLE_JOB)))
    return {"seconds": whole, "parts": {name: statistics.median(part[name] for part in parts) for name in parts[0]}}


def measure_search(cache: Path, rows: int = 1_000_000, size: int = 512) -> dict:
    """(f) The ten best of a million rows, by `FolderIndex.search` and by faiss."""
    rng = np.random.default_rng(0)
    place = cache / f"index of format 2, {rows} rows"
    store = FeatureStore(place, {}, size)
    with store.writing():
        for start in range(len(store.row_of), rows, 50_000):
            features = helpers.normalize(rng.standard_normal((50_000, size), dtype=np.float32))
            new = {str(start + i): row for i, row in enumerate(features)}
            stamp = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1}
            store.commit([{"path": f"{int(i):07}", **stamp, "sha256": i} for i in new], new)
    index = helpers.FolderIndex(ROOT / "images", *helpers.load())
    index.store = store
    flat = faiss.IndexFlatIP(size)
    flat.add(np.ascontiguousarray(store.features))
    queries = helpers.normalize(rng.standard_normal((9, size), dtype=np.float32))
    seconds = {"helpers": [], "faiss, flat": []}
    for query in [queries[0], *queries]:
        helpers.index.searchable.encode_query = lambda *question, query=query: query
        start = time.perf_counter()
        ours = index.search("", k=10)
        seconds["helpers"].append(time.perf_counter() - start)
        start = time.perf_counter()
        theirs = flat.search(query[None], 10)[1][0]
        seconds["faiss, flat"].append(time.perf_counter() - start)
        assert [int(match.path.name) for match in ours] == theirs.tolist()
    return {name: values[1:] for name, values in seconds.items()}


def measure_memory(cache: Path, count: int) -> dict:
    """(g) The peak of encoding 100, 1,000 and 10,000 images with `tiny`, in MiB; Linux only."""
    folder = cache / f"640 pixels {count}"
    return {n: [float(run_python(PEAK_MEMORY, folder, n)) for _ in range(3)] for n in (100, 1_000, 10_000)}


def describe_machine(device: str) -> dict:
    """Tell what the figures depend on."""
    cpu = Path("/proc/cpuinfo")
    text = cpu.read_text() if cpu.exists() else ""
    names = [line.split(": ")[1] for line in text.splitlines() if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "bfloat16": "AMX" if "amx_bf16" in text else "AVX-512" if "avx512_bf16" in text else "none",
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def main() -> None:
    """Run all works; the figures are saved after each, so that a stop loses little."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="images in a folder; five times as many prompts")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder of results.md and figures/")
    parser.add_argument("--only", nargs="*", help="works to measure anew; the other figures stay")
    options = parser.parse_args()
    cache = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache" / "clip-course" / "benchmarks"))
    cache.mkdir(parents=True, exist_ok=True)
    contenders = list_contenders(cache, options.device)
    precisions = ["float32", "bfloat16"]
    if emulates_bfloat16(torch.device(options.device)):
        print("bfloat16 is left out: this processor lacks it, and emulates it many times slower", flush=True)
        precisions.remove("bfloat16")
        contenders = [contender for contender in contenders if "bfloat16" not in contender.name]
        for contender in contenders:
            contender.half_pixels = None
    weights = cache / "vit-b-32.pt"
    model, _ = helpers.load(weights, options.device, precision="float32")
    pixels = torch.randn(32, 3, 224, 224, device=options.device)
    works = {
        "machine": lambda: describe_machine(options.device),
        "texts": lambda: measure_texts(contenders, 5 * options.count),
        "forward": lambda: measure_forward(contenders, model, options.device, 128),
        "profile": lambda: {
            precision: profile_forward(helpers.load(weights, options.device, precision=precision)[0], pixels)
            for precision in precisions
        },
        "folders": lambda: measure_folders(contenders, cache, options.count),
        "cold": lambda: measure_cold(weights),
        "start": measure_start,
        "import": lambda: [float(run_python(IMPORT_TIME)) for _ in range(5)],
        "memory": lambda: measure_memory(cache, options.count),
        "search": lambda: measure_search(cache),
    }
    name = label(describe_machine(options.device)).lower().replace(" ", "-")
    path = options.output / "figures" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    results = json.loads(path.read_text()) if options.only else {}
    for name in options.only or works:
        print(name, flush=True)
        results[name] = works[name]()
        path.write_text(json.dumps(results, indent=1) + "\n")
    write_report(options.output)


if __name__ == "__main__":
    main()
