"""Measure the helpers beside what a user would otherwise call; keep figures/PROCESSOR.json and write results.md.

python -m benchmarks.run                     what `make bench` does: half an hour on a quiet machine
python -m benchmarks.run --only many         many images and a million rows: Linux, two hours; needs
                                             pip install -e '.[bench,ray,lance]'
python -m benchmarks.run --only forward start    some works anew; the other figures stay

All contenders have the same weights, images and prompts, and take turns, slice by slice; a figure is the median of
its slices. Every contender's features are compared with plain clip's, and its row is void if they disagree. Files are
kept in ~/.cache/clip-course/benchmarks (or $BENCH_DIR): four gigabytes, and three more for `many`.
"""

import argparse
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import faiss
import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import helpers
from benchmarks.contenders import Contender, list_contenders
from benchmarks.photographs import SIZES, write_drawings, write_photographs
from benchmarks.report import count_operations, label, write_report
from helpers._linear import Linear
from helpers.forward import image_features
from helpers.models import emulates_bfloat16

ROOT = Path(__file__).resolve().parent.parent
SLICES = 5
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "open_clip_torch", "transformers", "sentence-transformers",
            "onnxruntime", "faiss-cpu", "pyarrow", "ray", "lancedb")  # fmt: skip
WORDS = (
    "a the red blue green old small large wooden happy sleeping running painted broken shiny cat dog horse house tree "
    "car boat bicycle guitar maze game table window garden street mountain river child woman man on under near behind "
    "beside with without in front of and morning evening snow rain light shadow photo drawing sketch close up"
).split()

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
helpers.load, helpers.encode_images, helpers.encode_texts, helpers.cosine_similarity
print(time.perf_counter() - start)
"""
EXAMPLE_JOB = """
import time
marks = [("", time.perf_counter())]
def mark(name): marks.append((name, time.perf_counter()))
import torch; mark("import torch")
import torchvision, clip; mark("import torchvision and clip")
import helpers; load = helpers.load; mark("import helpers")
model, preprocess = load("tiny"); mark("load tiny")
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
    """Run code in a new process, and return the last line that it prints."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1]


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
        For each name ``per_second``, one figure per slice, and ``cosine``, the smallest one with plain clip's features.
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


def cut(items: list) -> list[list]:
    """Cut into slices of equal length."""
    size = len(items) // SLICES
    return [items[start : start + size] for start in range(0, SLICES * size, size)]


def measure_folders(contenders: list[Contender], cache: Path, count: int) -> dict:
    """Measure the way from JPEG files to features."""
    results = {}
    for name, size in SIZES.items():
        folder = cache / f"{name} {count}"
        paths = sorted(folder.glob("*.jpg"))
        if len(paths) < count:
            paths = write_photographs(folder, size, count)
        results[name] = take_turns(contenders, "folder", cut(paths))
    return results


def measure_peak(precision: torch.dtype) -> float:
    """Return the largest rate of square matrix products by oneDNN, in billions of operations per second.

    The second matrix is packed beforehand, which is the fastest that PyTorch offers. Its own product is MKL's in
    float32, and reaches half as much on some processors.
    """
    rates = []
    for n in (1024, 2048, 4096):
        a, b = (torch.randn(n, n).to(precision) for _ in range(2))
        packed = torch.ops.mkldnn._reorder_linear_weight(b, None)
        calls = [lambda a=a, p=packed: torch.ops.mkldnn._linear_pointwise(a, p, None, "none", [], "")] * 9
        rates.append(2 * n**3 / statistics.median(map(seconds_of, calls)) / 1e9)
    return max(rates)


def measure_forward(contenders: list[Contender], model: torch.nn.Module, count: int) -> dict:
    """Measure the way from preprocessed pixels to features, beside the peak of before and after."""
    pixels = torch.randn(count, 3, 224, 224)
    results = {"operations of one image": count_operations(model.visual) / 1e9}
    for precision, kind in ((torch.float32, "pixels"), (torch.bfloat16, "half_pixels")):
        if any(getattr(contender, kind) for contender in contenders):
            before = measure_peak(precision)
            rows = take_turns(contenders, kind, [pixels] * SLICES, reference="pixels")
            peak = statistics.mean((before, measure_peak(precision)))
            results[str(precision).removeprefix("torch.")] = {"peak": peak, "peak of": "oneDNN", "rows": rows}
    return results


def profile_forward(model: torch.nn.Module) -> dict[str, float]:
    """Return the part that each operation has in the time of one forward pass, on one thread."""
    threads, pixels, linear = torch.get_num_threads(), torch.randn(48, 3, 224, 224), Linear()
    torch.set_num_threads(1)
    with torch.inference_mode():
        image_features(model, pixels, linear)  # packs the weights
        with profile(activities=[ProfilerActivity.CPU]) as watched:
            image_features(model, pixels, linear)
    torch.set_num_threads(threads)
    own = {event.key: event.self_cpu_time_total for event in watched.key_averages()}
    return {name: value / sum(own.values()) for name, value in sorted(own.items(), key=lambda pair: -pair[1])[:8]}


def measure_texts(contenders: list[Contender], count: int) -> dict:
    """Measure prompts of 5 to 12 words; and names in 80 templates, the case of the prompt ensemble."""
    rng = random.Random(0)
    prompts = [" ".join(rng.choices(WORDS, k=rng.randint(5, 12))) for _ in range(count)]
    templates = [" ".join(["a", *rng.choices(WORDS, k=rng.randint(2, 6)), "of a {}."]) for _ in range(80)]
    ensemble = [template.format(name) for name in rng.sample(WORDS, -(-count // 80)) for template in templates]
    return {kind: take_turns(contenders, "texts", cut(t)) for kind, t in (("prompts", prompts), ("ensemble", ensemble))}


def measure_start() -> dict:
    """Measure from the start of a process to example.py's heatmap, and what it is made of."""
    whole, parts = [], []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "example.py", "--output", f"{folder}/similarity.png"]
        for _ in range(5):
            whole.append(seconds_of(lambda: subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)))
            parts.append(json.loads(run_python(EXAMPLE_JOB)))
    return {"seconds": whole, "parts": {name: statistics.median(part[name] for part in parts) for name in parts[0]}}


def measure_search(rows: int, size: int = 512) -> dict:
    """Measure the ten best of many rows: by a matrix product and `top_k`, as an index does it, and by faiss."""
    rng = np.random.default_rng(0)
    features = helpers.normalize(rng.standard_normal((rows, size), dtype=np.float32))
    queries = helpers.normalize(rng.standard_normal((10, size), dtype=np.float32))
    flat = faiss.IndexFlatIP(size)
    flat.add(features)
    ways = {
        "helpers": lambda query: helpers.top_k((features @ query)[None], 10)[1][0],
        "faiss, flat": lambda query: flat.search(query[None], 10)[1][0],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for query in queries:
        for name, way in ways.items():
            seconds[name].append(seconds_of(lambda way=way, query=query: way(query)))
        assert list(ways["helpers"](query)) == list(ways["faiss, flat"](query))
    return {name: values[1:] for name, values in seconds.items()}  # the first one warms up


def measure_index(count: int) -> dict:
    """Measure the index of a folder of drawings: filling it, opening and updating it unchanged, one search."""
    model, preprocess = helpers.load("tiny")
    with tempfile.TemporaryDirectory() as root:
        folder = write_drawings(Path(root) / "drawings", count)
        index = helpers.FolderIndex(folder, model, preprocess)
        found = {"images": count, "images per second": count / seconds_of(lambda: index.update(progress=False))}
        found["seconds to open"] = seconds_of(lambda: helpers.FolderIndex(folder, model, preprocess))
        found["seconds unchanged"] = seconds_of(lambda: index.update(progress=False))
        found["seconds to search"] = seconds_of(lambda: index.search("a cat"))
    return found


def measure_memory(cache: Path, count: int) -> dict:
    """Measure the peak of encoding few and many images with `tiny`, in MiB; Linux only."""
    folder = cache / f"640 pixels {count}"
    if not folder.exists():
        write_photographs(folder, SIZES["640 pixels"], count)
    return {
        n: [float(run_python(PEAK_MEMORY, folder, n)) for _ in range(3)] for n in (count // 2, 5 * count, 50 * count)
    }


def describe_machine() -> dict:
    """Tell what the figures depend on."""
    cpu = Path("/proc/cpuinfo")
    text = cpu.read_text() if cpu.exists() else ""
    known = dict(re.findall(r"^(model name|cpu family|model)\s*: (.+)$", text, re.M))
    kind = "{model name}, family {cpu family} model {model}".format_map(known) if len(known) == 3 else ""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = ""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": kind or platform.processor(),  # several generations are called "AMD EPYC"
        "cores": os.cpu_count(),
        "bfloat16": "AMX" if "amx_bf16" in text else "AVX-512" if "avx512_bf16" in text else "none",
        "load before": os.getloadavg()[0],  # above a half: not quiet
        "python": platform.python_version(),
        **versions,
    }


def list_works(cache: Path, options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Name what can be measured; `many`, the last one, only when it is asked for."""
    halves = not emulates_bfloat16(torch.device("cpu"))
    contenders: list[Contender] = []

    def rivals() -> list[Contender]:
        if not contenders:
            contenders.extend(c for c in list_contenders(cache) if halves or "bfloat16" not in c.name)
            for contender in contenders:
                contender.half_pixels = contender.half_pixels if halves else None
        return contenders

    def model(precision: str = "float32") -> torch.nn.Module:
        return rivals() and helpers.load(cache / "vit-b-32.pt", "cpu", precision=precision)[0]

    def many() -> dict:
        from benchmarks.many import measure_many

        return {"machine": describe_machine(), **measure_many(cache / "many", options.images, options.rows)}

    return {
        "machine": describe_machine,
        "texts": lambda: measure_texts(rivals(), 5 * options.count),
        "forward": lambda: measure_forward(rivals(), model(), min(128, options.count)),
        "profile": lambda: {p: profile_forward(model(p)) for p in ("float32", "bfloat16")[: 1 + halves]},
        "folders": lambda: measure_folders(rivals(), cache, options.count),
        "start": measure_start,
        "import": lambda: [float(run_python(IMPORT_TIME)) for _ in range(5)],
        "memory": lambda: measure_memory(cache, options.count),
        "search": lambda: measure_search(options.rows),
        "index": lambda: measure_index(10 * options.count),
        "many": many,
    }


def main() -> None:
    """Run the works; the figures are saved after each, so that a stop loses little."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="works to measure anew")
    parser.add_argument("--count", type=int, default=200, help="images in a folder; five times as many prompts")
    parser.add_argument("--images", type=int, default=20_000, help="drawings that `many` encodes")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows that are searched")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder of results.md and figures/")
    options = parser.parse_args()
    cache = Path(os.environ.get("BENCH_DIR", Path.home() / ".cache" / "clip-course" / "benchmarks"))
    cache.mkdir(parents=True, exist_ok=True)
    works = list_works(cache, options)
    path = options.output / "figures" / f"{label(describe_machine()).lower().replace(' ', '-')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in options.only or [name for name in works if name != "many"]:
        print(name, flush=True)
        results[name] = works[name]()
        path.write_text(json.dumps(results, indent=1) + "\n")
    write_report(options.output)


if __name__ == "__main__":
    main()
