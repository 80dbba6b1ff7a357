"""Search a million rows: exactly, by faiss, by LanceDB. Recall against milliseconds, bytes and the work of building.

Rows and indexes are kept in the cache, so an interrupted run goes on. All ways are then asked in turn, ten questions
at a time: what else the machine does meets all of them alike. Building is told in seconds of processor time.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import lancedb
import numpy as np
import pyarrow as pa
import torch
from lancedb.index import HnswSq, IvfPq

from benchmarks.scale_rows import make_questions, make_rows

K, TURN = 10, 10
SLOW = 100  # milliseconds: a slower way gets a tenth of the questions


Search = Callable[[np.ndarray], np.ndarray]


class Way(NamedTuple):
    """A way to search, in one of its settings.

    Attributes:
        name, setting: what it is called.
        search: finds the numbers of the K nearest rows of a question ``(d,)``.
        bytes: that it keeps, in memory or on disk.
        build: seconds of processor time.
        digit: that the numbers of the rows asked for end with; None for all rows.
    """

    name: str
    setting: str
    search: Search
    bytes: int
    build: float
    digit: int | None = None


def best(scores: np.ndarray) -> np.ndarray:
    """Give the K best, the best first."""
    near = np.argpartition(scores, -K)[-K:]
    return near[np.argsort(-scores[near])]


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    """Give the share of the K nearest that was found."""
    return len({*found.tolist()} & {*truth.tolist()}) / K


def kept(place: Path, make: Callable[[], None]) -> tuple[int, float]:
    """Make a file or folder unless it is there; give its bytes and the seconds of processor time that it took."""
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
    yield Way("NumPy, float32", "", lambda question: best(rows @ question), rows.nbytes, 0)
    half = rows.astype(np.float16)

    def by_blocks(question: np.ndarray) -> np.ndarray:
        parts = [half[i : i + 16_384].astype(np.float32) @ question for i in range(0, len(half), 16_384)]
        return best(np.concatenate(parts))

    yield Way("NumPy, float16 by blocks", "", by_blocks, half.nbytes, 0)


def faiss_index(rows: np.ndarray, name: str, cache: Path) -> tuple[faiss.Index, int, float]:
    """Build an index, or read it; give its bytes and its seconds."""
    place = cache / f"{name}.faiss"

    def make() -> None:
        index = faiss.index_factory(rows.shape[1], name, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(rows[np.random.default_rng(0).permutation(len(rows))[:200_000]])
        index.add(rows)
        faiss.write_index(index, str(place))

    size, seconds = kept(place, make)
    return faiss.read_index(str(place)), size, seconds


def ask_faiss(rows: np.ndarray, index: faiss.Index, setting: Callable[[], None], candidates: int) -> Search:
    """Search, and compare the candidates by their full rows, if there are more than wanted."""

    def search(question: np.ndarray) -> np.ndarray:
        setting()
        found = index.search(question[None], candidates)[1][0]
        found = found[found >= 0]
        return found if candidates == K else found[np.argsort(-(rows[found] @ question))[:K]]

    return search


def faiss_ways(rows: np.ndarray, cache: Path) -> Iterator[Way]:
    """Flat, product quantization, inverted lists, both, and the graph."""
    size, lists = rows.shape[1], 2 ** round(np.log2(4 * len(rows) ** 0.5))
    index = faiss.IndexFlatIP(size)
    index.add(rows)
    yield Way("faiss, flat", "", ask_faiss(rows, index, lambda: None, K), rows.nbytes, 0)
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
        search = ask_faiss(rows, index, partial(setattr, index.hnsw, "efSearch", breadth), K)
        yield Way("HNSW", f"breadth {breadth}", search, *facts)


def lance_table(rows: np.ndarray, place: Path, config: Any) -> tuple[lancedb.table.Table, int, float]:
    """Write a table with an index, or open it; give its bytes and its seconds."""

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(rows), 100_000):
            some = rows[start : start + 100_000]
            ids = np.arange(start, start + len(some))
            features = pa.FixedSizeListArray.from_arrays(pa.array(some.reshape(-1)), some.shape[1])
            yield pa.record_batch([pa.array(ids), pa.array(ids % 10), features], ["id", "digit", "features"])

    def make() -> None:
        shutil.rmtree(place, ignore_errors=True)
        made = lancedb.connect(place).create_table("rows", batches(), schema=next(batches()).schema)
        made.create_index("features", config=config)

    facts = kept(place, make)
    return lancedb.connect(place).open_table("rows"), *facts


def ask_lance(table: lancedb.table.Table, where: str | None = None, **settings: int) -> Search:
    """Search a table; without settings, all of it."""

    def search(question: np.ndarray) -> np.ndarray:
        asked = table.search(question, vector_column_name="features").distance_type("dot").limit(K)
        asked = asked if settings else asked.bypass_vector_index()
        for name, value in settings.items():
            asked = getattr(asked, name)(value)
        asked = asked.where(where, prefilter=True) if where else asked
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
    search = ask_lance(table, "digit = 7", nprobes=20, refine_factor=10)
    yield Way("LanceDB, filtered tenth", f"20 lists, {10 * K} candidates", search, *facts, digit=7)
    table, *facts = lance_table(rows, cache / "lance, graph", HnswSq(distance_type="dot"))
    for breadth in (16, 64, 256):
        search = ask_lance(table, nprobes=20, ef=breadth)
        yield Way("LanceDB, IVF and HNSW", f"20 lists, breadth {breadth}", search, *facts)


def ask_all(ways: list[Way], rows: np.ndarray, questions: dict[str, np.ndarray]) -> list[dict]:
    """Ask all ways in turns, and give of each the median time and the mean recall."""
    truth = {
        (kind, digit): [best(rows[digit or 0 :: digit and 10] @ question) for question in asked]
        for kind, asked in questions.items()
        for digit in {way.digit for way in ways}
    }
    times: list[list[float]] = [[] for _ in ways]
    hits: list[dict[str, list[float]]] = [{kind: [] for kind in questions} for _ in ways]
    for way in ways:
        way.search(questions["images"][-1])  # warm up
    for kind, asked in questions.items():
        for start in range(0, len(asked), TURN):
            for number, way in enumerate(ways):
                if start % (10 * TURN) and np.median(times[number]) > SLOW:
                    continue
                for i in range(start, min(start + TURN, len(asked))):
                    begin = time.perf_counter()
                    found = way.search(asked[i])
                    times[number].append(1000 * (time.perf_counter() - begin))
                    found = found if way.digit is None else found // 10
                    hits[number][kind].append(recall(found, truth[kind, way.digit][i]))
    return [
        {"name": way.name, "setting": way.setting, "milliseconds": float(np.median(taken))}
        | {"bytes": way.bytes, "build": way.build}
        | {f"recall, {kind}": float(np.mean(found)) for kind, found in hit.items()}
        for way, taken, hit in zip(ways, times, hits, strict=True)
    ]


def measure_search(cache: Path, count: int) -> dict:
    """Measure all ways, with as many threads as PyTorch takes."""
    faiss.omp_set_num_threads(torch.get_num_threads())
    rows, questions, place = make_rows(cache, count), make_questions(), cache / f"indexes of {count}"
    place.mkdir(exist_ok=True)
    ways = [*numpy_ways(rows), *faiss_ways(rows, place), *lance_ways(rows, place)]
    found = ask_all(ways, rows, questions)
    print(*map(json.dumps, found), sep="\n", flush=True)
    return {"rows": count, "size": rows.shape[1], "threads": torch.get_num_threads(), "ways": found}
