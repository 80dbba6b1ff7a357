"""Search a million rows: exactly, by faiss, by LanceDB. Recall against milliseconds, bytes and the work of building.

The rows are `tiny`'s features of drawn scenes, one to three things of any colour, size and angle. They lie in clusters
that run into each other, as the features of photographs do. White noise has no neighbours to speak of, so every index
looks bad on it. Rows and indexes are kept in the cache, so an interrupted run resumes.
"""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from functools import cache as remember
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import lancedb
import numpy as np
import pyarrow as pa
import torch
from lancedb.index import HnswSq, IvfPq
from PIL import Image

import helpers
from helpers.course import drawings

K, TURN = 10, 10
SLOW = 100  # milliseconds: a slower way gets a tenth of the queries
QUERIES, DRAWN = 200, 10_000
LARGEST = 56  # pixels of a thing
COLOURS = "#e53935 #fb8c00 #fdd835 #43a047 #00897b #1e88e5 #5e35b1 #d81b60 #6d4c41 #546e7a #212121 #eeeeee".split()
TEXTS = ("a {}", "a picture of a {}", "a drawing of a {}", "two things, one of them a {}", "a {} in the corner")

Search = Callable[[np.ndarray], np.ndarray]
sticker = remember(lambda name, colour, angle: drawings.sticker(name, LARGEST, colour=colour, angle=angle))
ground = remember(lambda seed: drawings.clutter((64, 64), seed))


class Way(NamedTuple):
    """A way to search, in one of its settings.

    Attributes:
        name, setting: what it is called.
        search: finds the numbers of the K nearest rows of a query ``(d,)``.
        bytes: that it keeps, in memory or on disk.
        build: seconds of processor time.
    """

    name: str
    setting: str
    search: Search
    bytes: int
    build: float


def scene(seed: int) -> Image.Image:
    """Draw a scene of 64 pixels; the same one for the same seed."""
    rng = random.Random(seed)
    spots = rng.random() < 0.7
    image = ground(rng.randrange(300)).copy() if spots else Image.new("RGB", (64, 64), rng.choice(COLOURS))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        thing = sticker(rng.choice(drawings.drawing_names()), rng.choice(COLOURS), rng.randrange(0, 360, 45))
        side = rng.randint(20, LARGEST)
        thing = thing.resize((side, side))
        image.paste(thing, (rng.randrange(-8, 73 - thing.width), rng.randrange(-8, 73 - thing.height)), thing)
    return image


def make_rows(cache: Path, count: int) -> np.ndarray:
    """Return ``(count, d)`` float32 unit rows of scenes, drawn and encoded once and kept."""
    model, preprocess = helpers.load("tiny")
    place = cache / "scenes"
    place.mkdir(exist_ok=True)
    blocks = []
    for start in range(0, count, DRAWN):
        block = place / f"{start:08}.npy"
        if not block.exists():
            images = (scene(seed) for seed in range(start, start + DRAWN))
            rows = helpers.normalize(helpers.encode_images(model, preprocess, images, progress=False))
            np.save(block.with_suffix(".part.npy"), rows)
            block.with_suffix(".part.npy").rename(block)
            print(f"{start + DRAWN} rows", flush=True)
        blocks.append(np.load(block))
    return np.concatenate(blocks)[:count]


def make_queries() -> dict[str, np.ndarray]:
    """Return unit rows of scenes that are not among the rows, and of texts."""
    model, preprocess = helpers.load("tiny")
    images = [scene(10**9 + i) for i in range(QUERIES)]
    texts = [text.format(name) for name in drawings.drawing_names() for text in TEXTS]
    return {
        "images": helpers.normalize(helpers.encode_images(model, preprocess, images, progress=False)),
        "texts": helpers.normalize(helpers.encode_texts(model, texts, progress=False)),
    }


def best(scores: np.ndarray) -> np.ndarray:
    """Return the K best, the best first."""
    near = np.argpartition(scores, -K)[-K:]
    return near[np.argsort(-scores[near])]


def kept(place: Path, make: Callable[[], None]) -> tuple[int, float]:
    """Make a file or folder unless it is there; return its bytes and the seconds of processor time that it took."""
    note = place.with_name(f"{place.name}.seconds")
    if not note.exists():
        start = time.process_time()
        make()
        note.write_text(str(time.process_time() - start))
        print(f"{place.name}: {float(note.read_text()):.0f} s of processor time", flush=True)
    files = [place] if place.is_file() else place.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()), float(note.read_text())


def numpy_ways(rows: np.ndarray) -> Iterator[Way]:
    """Exact search: float32 at once, and float16 by blocks."""
    yield Way("NumPy, float32", "", lambda query: best(rows @ query), rows.nbytes, 0)
    half = rows.astype(np.float16)

    def by_blocks(query: np.ndarray) -> np.ndarray:
        parts = [half[i : i + 16_384].astype(np.float32) @ query for i in range(0, len(half), 16_384)]
        return best(np.concatenate(parts))

    yield Way("NumPy, float16 by blocks", "", by_blocks, half.nbytes, 0)


def faiss_index(rows: np.ndarray, name: str, cache: Path) -> tuple[faiss.Index, int, float]:
    """Build an index, or read it; return its bytes and its seconds as well."""
    place = cache / f"{name}.faiss"

    def make() -> None:
        index = faiss.index_factory(rows.shape[1], name, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(rows[np.random.default_rng(0).permutation(len(rows))[:200_000]])
        index.add(rows)
        faiss.write_index(index, str(place))

    size, seconds = kept(place, make)
    return faiss.read_index(str(place)), size, seconds


def ask_faiss(rows: np.ndarray, index: faiss.Index, setting: Callable[[], None], candidates: int = K) -> Search:
    """Search, and compare the candidates by their full rows, if there are more than wanted."""

    def search(query: np.ndarray) -> np.ndarray:
        setting()
        found = index.search(query[None], candidates)[1][0]
        found = found[found >= 0]
        return found if candidates == K else found[np.argsort(-(rows[found] @ query))[:K]]

    return search


def faiss_ways(rows: np.ndarray, cache: Path) -> Iterator[Way]:
    """Flat, product quantization, inverted lists, both, and the graph."""
    size, lists = rows.shape[1], 2 ** round(np.log2(4 * len(rows) ** 0.5))
    index = faiss.IndexFlatIP(size)
    index.add(rows)
    yield Way("faiss, flat", "", ask_faiss(rows, index, lambda: None), rows.nbytes, 0)
    index, *facts = faiss_index(rows, f"PQ{size // 8}", cache)
    for candidates in (K, 100, 1000):
        search = ask_faiss(rows, index, lambda: None, candidates)
        yield Way(f"PQ, {size // 8} bytes", f"{candidates} candidates", search, *facts)
    for name, kind, candidates in (("IVF", "Flat", K), (f"IVF and PQ, {size // 8} bytes", f"PQ{size // 8}", 100)):
        index, *facts = faiss_index(rows, f"IVF{lists},{kind}", cache)
        for opened in (1, 2, 4, 8, 16, 32, 64):
            search = ask_faiss(rows, index, partial(setattr, index, "nprobe", opened), candidates)
            yield Way(name, f"{opened} of {lists} lists", search, *facts)
    index, *facts = faiss_index(rows, "HNSW32", cache)
    for breadth in (16, 32, 64, 128, 256):
        search = ask_faiss(rows, index, partial(setattr, index.hnsw, "efSearch", breadth))
        yield Way("HNSW", f"breadth {breadth}", search, *facts)


def lance_table(rows: np.ndarray, place: Path, config: Any) -> tuple[lancedb.table.Table, int, float]:
    """Write a table with an index, or open it; return its bytes and its seconds as well."""

    def make() -> None:
        shutil.rmtree(place, ignore_errors=True)
        ids = pa.array(np.arange(len(rows)))
        features = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
        data = pa.table({"id": ids, "features": features})
        lancedb.connect(place).create_table("rows", data).create_index("features", config=config)

    facts = kept(place, make)
    return lancedb.connect(place).open_table("rows"), *facts


def ask_lance(table: lancedb.table.Table, **settings: int) -> Search:
    """Search a table; without settings, all of it."""

    def search(query: np.ndarray) -> np.ndarray:
        asked = table.search(query, vector_column_name="features").distance_type("dot").limit(K)
        asked = asked if settings else asked.bypass_vector_index()
        for name, value in settings.items():
            asked = getattr(asked, name)(value)
        return asked.select(["id", "_distance"]).to_arrow()["id"].to_numpy()

    return search


def lance_ways(rows: np.ndarray, cache: Path) -> Iterator[Way]:
    """LanceDB: without an index, with its product quantization, with its graph."""
    codes = IvfPq(distance_type="dot", num_sub_vectors=rows.shape[1] // 8)
    table, *facts = lance_table(rows, cache / "lance, codes", codes)
    yield Way("LanceDB, no index", "", ask_lance(table), rows.nbytes, 0)
    for lists in (1, 5, 20, 60):
        search = ask_lance(table, nprobes=lists, refine_factor=10)
        yield Way("LanceDB, IVF and PQ", f"{lists} lists, {10 * K} candidates", search, *facts)
    table, *facts = lance_table(rows, cache / "lance, graph", HnswSq(distance_type="dot"))
    for breadth in (16, 64, 256):
        search = ask_lance(table, nprobes=20, ef=breadth)
        yield Way("LanceDB, IVF and HNSW", f"20 lists, breadth {breadth}", search, *facts)


def ask_all(ways: list[Way], rows: np.ndarray, queries: dict[str, np.ndarray]) -> list[dict]:
    """Ask all ways in turns, ten queries at a time, and return the median time and the mean recall of each."""
    truth = {kind: [{*best(rows @ query).tolist()} for query in asked] for kind, asked in queries.items()}
    times: list[list[float]] = [[] for _ in ways]
    recalls: list[dict[str, list[float]]] = [{kind: [] for kind in queries} for _ in ways]
    for way in ways:
        way.search(queries["images"][-1])  # warm up
    for kind, asked in queries.items():
        for start in range(0, len(asked), TURN):
            for way, taken, hits in zip(ways, times, recalls, strict=True):
                if start % (10 * TURN) and np.median(taken) > SLOW:
                    continue
                for i in range(start, min(start + TURN, len(asked))):
                    begin = time.perf_counter()
                    found = way.search(asked[i])
                    taken.append(1000 * (time.perf_counter() - begin))
                    hits[kind].append(len({*found.tolist()} & truth[kind][i]) / K)
    return [
        {"name": way.name, "setting": way.setting, "milliseconds": float(np.median(taken))}
        | {"bytes": way.bytes, "build": way.build}
        | {f"recall, {kind}": float(np.mean(found)) for kind, found in hits.items()}
        for way, taken, hits in zip(ways, times, recalls, strict=True)
    ]


def measure_search(cache: Path, count: int) -> dict:
    """Measure all ways, with as many threads as PyTorch takes."""
    faiss.omp_set_num_threads(torch.get_num_threads())
    rows, place = make_rows(cache, count), cache / f"indexes of {count}"
    place.mkdir(exist_ok=True)
    ways = [*numpy_ways(rows), *faiss_ways(rows, place), *lance_ways(rows, place)]
    found = ask_all(ways, rows, make_queries())
    return {"rows": count, "size": rows.shape[1], "threads": torch.get_num_threads(), "ways": found}
