"""Search many rows in ways that are exact and in ways that are not: recall, milliseconds, bytes.

The rows are `tiny`'s features of drawn scenes: one to three things of any colour, size and angle on a cluttered ground.
They lie in clusters that run into each other, as those of photographs do. Rows of white noise have no neighbours to
speak of, so every index looks bad on them.
"""

import json
import random
import shutil
import time
from collections.abc import Callable
from functools import cache as remember
from pathlib import Path

import faiss
import numpy as np
import torch
from PIL import Image

import helpers
from helpers import drawings

K, QUERIES, DRAWN = 10, 200, 10_000
LARGEST = 56  # pixels of a thing
COLOURS = "#e53935 #fb8c00 #fdd835 #43a047 #00897b #1e88e5 #5e35b1 #d81b60 #6d4c41 #546e7a #212121 #eeeeee".split()
TEXTS = ("a {}", "a picture of a {}", "a drawing of a {}", "two things, one of them a {}", "a {} in the corner")


@remember
def _sticker(name: str, colour: str, angle: int) -> Image.Image:
    return drawings.sticker(name, LARGEST, colour=colour, angle=angle)


@remember
def _ground(seed: int) -> Image.Image:
    return drawings.clutter((64, 64), seed)


def scene(seed: int) -> Image.Image:
    """Draw a scene of 64 pixels; the same one for the same seed."""
    rng = random.Random(seed)
    picture = (
        _ground(rng.randrange(300)).copy() if rng.random() < 0.7 else Image.new("RGB", (64, 64), rng.choice(COLOURS))
    )
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        thing = _sticker(rng.choice(drawings.drawing_names()), rng.choice(COLOURS), rng.randrange(0, 360, 45))
        side = rng.randint(20, LARGEST)
        thing = thing.resize((side, side))
        picture.paste(thing, (rng.randrange(-8, 73 - thing.width), rng.randrange(-8, 73 - thing.height)), thing)
    return picture


def make_rows(cache: Path, count: int) -> np.ndarray:
    """Give ``(count, d)`` float32 unit rows of scenes, drawn and encoded once and kept."""
    model, preprocess = helpers.load()
    size = model.text_projection.shape[1]
    place = cache / "scenes"
    place.mkdir(exist_ok=True)
    for start in range(0, count, DRAWN):
        block = place / f"{start:08}.npy"
        if not block.exists():
            pictures = (scene(seed) for seed in range(start, start + DRAWN))
            rows = helpers.normalize(helpers.encode_images(model, preprocess, pictures, progress=False))
            np.save(block.with_suffix(".part.npy"), rows)
            block.with_suffix(".part.npy").rename(block)
            print(f"{start + DRAWN} rows", flush=True)
    rows = np.empty((count, size), np.float32)
    for start in range(0, count, DRAWN):
        rows[start : start + DRAWN] = np.load(place / f"{start:08}.npy")[: count - start]
    return rows


def make_questions() -> dict[str, np.ndarray]:
    """Give unit rows of scenes that are not among the rows, and of texts."""
    model, preprocess = helpers.load()
    pictures = [scene(10**9 + i) for i in range(QUERIES)]
    texts = [text.format(name) for name in drawings.drawing_names() for text in TEXTS]
    return {
        "pictures": helpers.normalize(helpers.encode_images(model, preprocess, pictures, progress=False)),
        "texts": helpers.normalize(helpers.encode_texts(model, texts, progress=False)),
    }


def best(scores: np.ndarray) -> np.ndarray:
    """Give the K best, the best first."""
    near = np.argpartition(scores, -K)[-K:]
    return near[np.argsort(-scores[near])]


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    """Give the mean share of the K nearest that was found."""
    return float(np.mean([len(set(a.tolist()) & set(b.tolist())) / K for a, b in zip(found, truth, strict=True)]))


class Bench:
    """Rows, questions and their true answers; takes the measurements."""

    def __init__(self, rows: np.ndarray, questions: dict[str, np.ndarray]) -> None:
        self.rows, self.questions = rows, questions
        flat = faiss.IndexFlatIP(rows.shape[1])
        flat.add(rows)
        self.truth = {kind: flat.search(asked, K)[1] for kind, asked in questions.items()}
        self.found: list[dict] = []

    def measure(self, name: str, setting: str, search: Callable[[np.ndarray], np.ndarray], **facts: float) -> None:
        """Ask all questions, one at a time."""
        row: dict = {"name": name, "setting": setting, **facts}
        for kind, asked in self.questions.items():
            search(asked[0])
            times, answers = [], []
            for question in asked if row.get("milliseconds", 0) < 300 else asked[:20]:
                start = time.perf_counter()
                answers.append(search(question))
                times.append(1000 * (time.perf_counter() - start))
            row.setdefault("milliseconds", float(np.median(times)))
            row[f"recall, {kind}"] = recall(np.array(answers), self.truth[kind][: len(answers)])
        self.found.append(row)
        print(json.dumps(row), flush=True)


def measure_numpy(bench: Bench) -> None:
    """Exact search: float32 at once, and float16 by blocks."""
    rows = bench.rows
    bench.measure("NumPy, float32", "", lambda q: best(rows @ q), bytes=rows.nbytes, build=0)
    half = rows.astype(np.float16)

    def by_blocks(question: np.ndarray) -> np.ndarray:
        parts = [half[i : i + 16_384].astype(np.float32) @ question for i in range(0, len(half), 16_384)]
        return best(np.concatenate(parts))

    bench.measure("NumPy, float16 by blocks", "", by_blocks, bytes=half.nbytes, build=0)


def build(name: str, rows: np.ndarray) -> tuple[faiss.Index, float, int]:
    """Build an index of faiss, and give its seconds and bytes."""
    index, start = faiss.index_factory(rows.shape[1], name, faiss.METRIC_INNER_PRODUCT), time.perf_counter()
    if not index.is_trained:
        index.train(rows[np.random.default_rng(0).permutation(len(rows))[:200_000]])
    index.add(rows)
    return index, time.perf_counter() - start, len(faiss.serialize_index(index))


def ask(index: faiss.Index, rows: np.ndarray, candidates: int) -> Callable[[np.ndarray], np.ndarray]:
    """Search, and compare the candidates by their full rows, if there are more than wanted."""

    def search(question: np.ndarray) -> np.ndarray:
        found = index.search(question[None], candidates)[1][0]
        found = found[found >= 0]
        return found if candidates == K else found[np.argsort(-(rows[found] @ question))[:K]]

    return search


def measure_faiss(bench: Bench) -> None:
    """Flat, product quantization, inverted lists, both, and the graph."""
    rows, size = bench.rows, bench.rows.shape[1]
    lists = 2 ** round(np.log2(4 * len(rows) ** 0.5))
    flat, seconds, size_of = build("Flat", rows)
    bench.measure("faiss, flat", "", ask(flat, rows, K), bytes=size_of, build=seconds)
    del flat
    for code in (size // 4, size // 8):
        index, seconds, size_of = build(f"PQ{code}", rows)
        for candidates in (K, 100):
            name = f"{candidates} candidates"
            bench.measure(f"PQ, {code} bytes", name, ask(index, rows, candidates), bytes=size_of, build=seconds)
    index, seconds, size_of = build(f"IVF{lists},Flat", rows)
    for opened in (1, 2, 4, 8, 16, 32, 64):
        index.nprobe = opened
        name = f"{opened} of {lists} lists"
        bench.measure("IVF", name, ask(index, rows, K), bytes=size_of, build=seconds)
    index, seconds, size_of = build(f"IVF{lists},PQ{size // 8}", rows)
    for opened in (1, 2, 4, 8, 16, 32, 64):
        index.nprobe = opened
        name = f"{opened} of {lists} lists, 100 candidates"
        bench.measure(f"IVF and PQ, {size // 8} bytes", name, ask(index, rows, 100), bytes=size_of, build=seconds)
    index, seconds, size_of = build("HNSW32", rows)
    for breadth in (16, 32, 64, 128, 256):
        index.hnsw.efSearch = breadth
        bench.measure("HNSW", f"breadth {breadth}", ask(index, rows, K), bytes=size_of, build=seconds)


def measure_lance(bench: Bench, place: Path) -> None:
    """LanceDB: without an index, with its product quantization, with its graph."""
    import lancedb
    import pyarrow as pa
    from lancedb.index import HnswSq, IvfPq

    def batches() -> object:
        for start in range(0, len(bench.rows), 100_000):
            some = bench.rows[start : start + 100_000]
            features = pa.FixedSizeListArray.from_arrays(pa.array(some.reshape(-1)), some.shape[1])
            ids = pa.array(range(start, start + len(some)), pa.int64())
            parity = pa.array((np.arange(start, start + len(some)) % 10).astype("i1"))
            yield pa.record_batch([ids, parity, features], ["id", "digit", "features"])

    shutil.rmtree(place, ignore_errors=True)
    first = next(iter(batches()))
    start = time.perf_counter()
    table = lancedb.connect(place).create_table("rows", batches(), schema=first.schema)
    written = time.perf_counter() - start

    def search(lists: int = 20, refine: int = 10, where: str | None = None) -> Callable[[np.ndarray], np.ndarray]:
        def ask_table(question: np.ndarray) -> np.ndarray:
            asked = table.search(question, vector_column_name="features").distance_type("dot").limit(K)
            asked = asked.nprobes(lists).refine_factor(refine)
            asked = asked.where(where, prefilter=True) if where else asked
            return asked.select(["id", "_distance"]).to_arrow()["id"].to_numpy()

        return ask_table

    def disk() -> int:
        return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())

    bench.measure("LanceDB, no index", "", search(), bytes=disk(), build=written)
    for name, config in {
        "LanceDB, IVF and PQ": IvfPq(distance_type="dot", num_sub_vectors=bench.rows.shape[1] // 8),
        "LanceDB, IVF and HNSW": HnswSq(distance_type="dot"),
    }.items():
        start = time.perf_counter()
        table.create_index("features", config=config, replace=True)
        seconds = time.perf_counter() - start
        for lists in (1, 5, 20, 60):
            facts = {"bytes": disk(), "build": seconds}
            bench.measure(name, f"{lists} lists, {10 * K} candidates", search(lists), **facts)
    truth, bench.truth = bench.truth, {}
    tenth = bench.rows[7::10]
    for kind, asked in bench.questions.items():
        bench.truth[kind] = np.array([best(tenth @ question) * 10 + 7 for question in asked])
    bench.measure("LanceDB, IVF and HNSW, a tenth by a filter", "20 lists", search(where="digit = 7"), bytes=disk())
    bench.truth = truth


def measure_search(cache: Path, count: int) -> dict:
    """Measure all ways, with as many threads as the machine has cores."""
    faiss.omp_set_num_threads(torch.get_num_threads())
    bench = Bench(make_rows(cache, count), make_questions())
    measure_numpy(bench)
    measure_faiss(bench)
    measure_lance(bench, cache / "lance")
    return {"rows": count, "size": bench.rows.shape[1], "ways": bench.found}
