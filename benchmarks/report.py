"""Turn figures/*.json, the figures of each processor, into results.md.

``python -m benchmarks.report`` writes it anew, as after a change of notes.md.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
OURS, PLAIN = "helpers", "clip, in batches"
PRECISIONS = ("float32", "bfloat16")


def table(head: list[str], rows: list[list[object]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def spread(values: list[float], unit: str = "", scale: float = 1) -> str:
    """Write the median, and the smallest and the largest."""
    return f"{scale * median(values):.3g}{unit} ({scale * min(values):.3g}–{scale * max(values):.3g})"


def label(machine: dict) -> str:
    """Name a machine by its processor."""
    return re.sub(r"\((R|TM)\)| Processor\b|[,@]", "", machine["processor"]).strip()


def rate(rows: dict, name: str) -> float:
    """Return the median of a contender's slices, per second."""
    return median(rows[name]["per_second"])


def agrees(name: str, row: dict) -> bool:
    """Say whether a contender's features are those of plain clip; if not, its figures do not count."""
    return row["cosine"] >= (0.99999 if name == "helpers, fast_decode=False" else 0.999)


def fastest_peer(rows: dict) -> str:
    """Name the fastest of those that are neither ours nor a tutorial's."""
    peers = [n for n, row in rows.items() if OURS not in n and "tutorial" not in n and agrees(n, row)]
    return max(peers, key=lambda name: rate(rows, name))


def list_tables(results: dict) -> dict[str, dict]:
    """List what was measured of all contenders on one machine: the title, and a row for each contender."""
    forward = {p: results.get("forward", {}).get(p) for p in PRECISIONS}
    return {
        **{f"JPEG files of {size}, images": rows for size, rows in results.get("folders", {}).items()},
        **{f"Forward pass alone, {p}, images": found["rows"] for p, found in forward.items() if found},
        **{f"Texts, {kind}, texts": rows for kind, rows in results.get("texts", {}).items()},
    }


def compare(rows: dict) -> str:
    """Tell how many times as fast as plain clip and as the fastest peer we are: in bold where we are slower."""
    peer = fastest_peer(rows)
    ours, against = rate(rows, OURS) / rate(rows, PLAIN), rate(rows, OURS) / rate(rows, peer)
    return f"{ours:.2f} × clip, " + (f"{against:.2f} ×" if against >= 1 else f"**{against:.2f} ×**") + f" {peer}"


def rates(tables: dict[str, dict], told: Callable[[str, float], str] = lambda machine, found: "") -> str:
    """Write the table of one work: two columns per machine, the fastest on the first machine at the top.

    Each figure stands beside its spread, and beside plain clip in batches on the same machine. ``told`` adds to each
    rate what else is to be said of it.
    """
    names = dict.fromkeys(name for rows in tables.values() for name in sorted(rows, key=lambda n: -rate(rows, n)))
    lines = []
    for name in names:
        line: list[object] = [name]
        for machine, rows in tables.items():
            if name not in rows:
                line += ["", ""]
                continue
            void = "" if agrees(name, rows[name]) else " (void: they disagree)"
            line.append(spread(rows[name]["per_second"]) + told(machine, rate(rows, name)) + void)
            line.append(f"{rate(rows, name) / rate(rows, PLAIN):.2f} ×")
        lines.append([*line, f"{min(rows[name]['cosine'] for rows in tables.values() if name in rows):.6f}"])
    return table(["", *(head for machine in tables for head in (machine, "× clip")), "smallest cosine"], lines)


def make_report(machines: list[dict], notes: str) -> str:
    """Write the report of the results of each machine; ``notes`` tells what was tried."""
    of = {label(results["machine"]): results for results in machines}
    tables = {name: list_tables(results) for name, results in of.items()}
    facts = dict.fromkeys(fact for results in machines for fact in results["machine"])
    titles = dict.fromkeys(title for found in tables.values() for title in found)
    parts = [
        "# How fast it is\n\nWritten by `make bench`, which measures one machine; the figures of each are in "
        "[figures](figures). Compare within a column: the machines differ.\n",
        table(["", *of], [[fact, *(results["machine"].get(fact, "") for results in of.values())] for fact in facts]),
        "## `helpers` beside plain clip and the fastest peer\n\nBold: a peer is faster.\n",
        table(
            ["", *of],
            [[t, *(compare(found[t]) if t in found else "not measured" for found in tables.values())] for t in titles],
        ),
    ]
    for title in titles:
        measured = {name: found[title] for name, found in tables.items() if title in found}
        precision = next((p for p in PRECISIONS if p in title), None)
        parts.append(f"## {title} per second\n")
        if precision:
            parts.append(describe_forward({name: of[name] for name in measured}, precision))
            parts.append(
                rates(measured, lambda name, found, p=precision: f", {share(of[name], p, found):.0%} of the peak")
            )
        else:
            parts.append(rates(measured))
    parts.append("## Start, search, memory\n")
    parts += [f"**{name}.**\n\n{describe_rest(results)}" for name, results in of.items()]
    parts += [describe_many(name, results["many"]) for name, results in of.items() if "many" in results]
    return "\n".join([*parts, notes])


def share(results: dict, precision: str, found: float) -> float:
    """Return the part of the peak that a rate of images reaches."""
    return found * results["forward"]["operations of one image"] / results["forward"][precision]["peak"]


def describe_forward(of: dict[str, dict], precision: str) -> str:
    """Tell of each machine's peak, and where the time goes."""
    lines = []
    for name, results in of.items():
        found, parts = results["forward"][precision], results.get("profile", {}).get(precision, {})
        goes = ", ".join(f"{key.removeprefix('aten::')} {part:.0%}" for key, part in parts.items())
        lines.append(
            f"- {name}: the peak of matrix products by {found['peak of']} is {found['peak']:.0f} billion operations "
            f"per second, and one image takes {results['forward']['operations of one image']:.2f} billion as clip "
            f"writes it. Where the time of `helpers` goes, on one thread: {goes}."
        )
    return "\n".join(lines) + "\n"


def describe_rest(results: dict) -> str:
    """Tell of the start, the search and the memory of one machine."""
    lines = []
    if start := results.get("start"):
        parts = ", ".join(f"{name} {value:.2f} s" for name, value in start["parts"].items())
        lines.append(f"From the start of `example.py` to its heatmap: {spread(start['seconds'], ' s')}. {parts}")
    if found := results.get("import"):
        lines.append(f"`import helpers` beyond torch, torchvision and clip: {spread(found, ' s')}")
    if found := results.get("search"):
        times = ", ".join(f"{name} {spread(values, ' ms', 1000)}" for name, values in found.items())
        lines.append(f"Top-10 of a million rows of 512, one query: {times}")
    if found := results.get("index"):
        lines.append(
            f"Index of a folder of {found['images']:,} drawings: {found['images per second']:.0f} images per second, "
            f"{found['seconds to open']:.2f} s to open, {found['seconds unchanged']:.2f} s to update when nothing "
            f"changed, {1000 * found['seconds to search']:.0f} ms per query"
        )
    if found := results.get("memory"):
        lines.append("Peak memory: " + ", ".join(f"{median(v):.0f} MiB for {n} images" for n, v in found.items()))
    return "\n".join(f"- {line}" for line in lines) + "\n"


def describe_many(name: str, results: dict) -> str:
    """Tell of many images and of the search of a million rows."""
    encode, memory, ray, machine = (results[key] for key in ("encode", "memory", "ray", "machine"))
    one, two = (median(encode[f"{workers} workers"]) for workers in (1, 2))
    peaks = ", ".join(f"{p['command']:.0f} and {p['worker']:.0f} MiB for {int(n):,} rows" for n, p in memory.items())
    same = "yes" if encode["the same bytes by 1 and by 2"] else "**no**"
    by_ray, ours, query = ray["ray"], ray["helpers"], results["search"]
    rows = [
        [way["name"], way["setting"], f"{way['milliseconds']:.3g}"]
        + [f"{way[f'recall, {kind}']:.3f}" for kind in ("images", "texts")]
        + [f"{way['bytes'] / 1e6:,.0f}", f"{way['build']:,.0f}"]
        for way in query["ways"]
    ]
    head = ["", "setting", "ms per query", "recall@10, images", "recall@10, texts", "MB", "seconds to build"]
    return "\n".join(
        [
            f"## Many images, {name}\n",
            f"Measured by `python -m benchmarks.run --only many` on {machine['date']}, "
            f"ray {machine['ray']}, lancedb {machine['lancedb']}, pyarrow {machine['pyarrow']}.\n",
            f"- `python -m helpers encode`, {encode['images']:,} drawings, `tiny`: {one:.0f} images per second by one "
            f"worker, {two:.0f} by two, {two / one:.2f} times as many. The same bytes: {same}.",
            f"- Peak memory of the command and of its largest worker, libraries left out: {peaks}.",
            f"- Two images by Ray: {by_ray['seconds for two images']:.0f} s, by the command "
            f"{ours['seconds for two images']:.0f} s. {ray['images']:,} by Ray: {by_ray['images a second']:.0f} per "
            f"second, by the command {ours['images a second']:.0f}.\n",
            f"### Search of {query['rows']:,} × {query['size']}\n",
            f"Features of drawn scenes, by `tiny`. All ways took turns, threads: {query['threads']}; the median "
            "counts. Building is in seconds of processor time. MB are those of rows and codes as they are kept, in "
            "memory or, for LanceDB, on disk. A way that compares candidates by their full rows needs these as well.\n",
            table(head, rows),
        ]
    )


def count_operations(visual) -> int:
    """Count the multiplications and additions of a ViT's matrix products for one image, as clip writes them."""
    width, patch = visual.conv1.out_channels, visual.conv1.kernel_size[0]
    patches = (visual.input_resolution // patch) ** 2
    positions, blocks = patches + 1, visual.transformer.layers
    linear = 12 * positions * width**2  # query, key, value, output: 4; the two layers four times as wide: 8
    attention = 2 * positions**2 * width
    return 2 * (patches * 3 * patch**2 * width + blocks * (linear + attention) + width * visual.output_dim)


def read_figures(folder: Path = HERE) -> list[dict]:
    """Read the results of each machine, in the reverse order of their files' names."""
    return [json.loads(path.read_text()) for path in sorted((folder / "figures").glob("*.json"), reverse=True)]


def write_report(folder: Path = HERE) -> None:
    """Write results.md of what is in its folder ``figures``."""
    (folder / "results.md").write_text(make_report(read_figures(folder), (HERE / "notes.md").read_text()))


if __name__ == "__main__":
    write_report()
