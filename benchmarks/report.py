"""Turn the figures of each processor into results.md: tables, and what was asked beside what was found.

``python -m benchmarks.report`` writes it anew, as after a change of notes.md.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.scale_report import describe_scale, table

HERE = Path(__file__).parent
OURS = "helpers"
PRECISIONS = ("float32", "bfloat16")
TUTORIAL = ("a tutorial's lines, one at a time", "a tutorial's lines, one stack")


def spread(values: list[float]) -> str:
    """Show the smallest and the largest."""
    return f"{min(values):.3g}–{max(values):.3g}"


def agrees(name: str, row: dict) -> bool:
    """Say whether a contender's features are those of plain clip; if not, its figures do not count."""
    return row["cosine"] >= (0.99999 if name == "helpers, exact=True" else 0.999)


def label(machine: dict) -> str:
    """Name a machine by its processor, or by its GPU."""
    name = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    return re.sub(r"\((R|TM)\)| Processor\b", "", name).strip()


def rates(tables: dict[str, dict], unit: str, last: tuple[str, dict[str, Callable]] | None = None) -> str:
    """Write the table of one work: two columns a machine, the fastest on the first machine at the top.

    Each figure stands beside its spread, and beside plain clip in batches on the same machine. ``last`` tells one more
    thing of each rate.
    """
    names = dict.fromkeys(name for rows in tables.values() for name in sorted(rows, key=lambda n: -rate(rows, n)))
    lines = []
    for name in names:
        line: list[object] = [name]
        for machine, rows in tables.items():
            if name not in rows:
                line += ["", ""]
                continue
            told = f", {last[1][machine](rate(rows, name))}" if last else ""
            void = "" if agrees(name, rows[name]) else " (void: they disagree)"
            line.append(f"{rate(rows, name):.3g} ({spread(rows[name]['per_second'])}){told}{void}")
            line.append(f"{rate(rows, name) / rate(rows, 'clip, in batches'):.2f} ×")
        lines.append([*line, f"{min(rows[name]['cosine'] for rows in tables.values() if name in rows):.6f}"])
    heads = [head for machine in tables for head in (f"{machine}: {unit}{f', {last[0]}' if last else ''}", "× clip")]
    return table(["", *heads, "smallest cosine"], lines)


def rate(rows: dict, name: str) -> float:
    """Give the median of a contender's slices, a second."""
    return median(rows[name]["per_second"])


def list_times(found: dict[str, list[float]], label: str, unit: str, scale: float) -> str:
    """Write medians and spreads in a row."""
    scaled = {label.format(name): [scale * value for value in values] for name, values in found.items()}
    return ", ".join(f"{name} {median(values):.3g}{unit} ({spread(values)})" for name, values in scaled.items())


def count_operations(visual) -> int:
    """Count the multiplications and additions of a ViT's matrix products for one image, as clip writes them."""
    width, patch = visual.conv1.out_channels, visual.conv1.kernel_size[0]
    patches = (visual.input_resolution // patch) ** 2
    places, blocks = patches + 1, visual.transformer.layers
    linear = 12 * places * width**2  # query, key, value, output: 4; the two layers four times as wide: 8
    attention = 2 * places**2 * width
    return 2 * (patches * 3 * patch**2 * width + blocks * (linear + attention) + width * visual.output_dim)


def fastest_peer(rows: dict) -> tuple[str, float]:
    """Name the fastest of those that are neither ours nor a tutorial's."""
    peers = {name: row for name, row in rows.items() if OURS not in name and name not in TUTORIAL and agrees(name, row)}
    return max(((name, rate(rows, name)) for name in peers), key=lambda pair: pair[1])


def list_marks(results: dict) -> dict[tuple[str, str, float], tuple[float, str]]:
    """List what was asked: a sentence, whether the figure must be ≥ or ≤, and the mark; beside it, what was found.

    Of a peer, its name is told, too: another may be the fastest on another machine.
    """
    marks: dict[tuple[str, str, float], tuple[float, str]] = {}
    least = {"12 megapixels": 1.2, "2 megapixels": 1.0, "640 pixels": 1.0}
    for size, rows in results["folders"].items():
        peer, fastest = fastest_peer(rows)
        against = rate(rows, OURS) / rate(rows, TUTORIAL[0])
        marks[(f"(a) {size}: against a tutorial's lines, one at a time", "≥", 2)] = (against, "")
        marks[(f"(a) {size}: against the fastest peer", "≥", least[size])] = (rate(rows, OURS) / fastest, peer)
    forward = results["forward"]
    work = forward["operations of one image"]
    speed = {p: rate(forward[p]["rows"], OURS) for p in PRECISIONS if p in forward}
    marks[("(b) float32: share of the peak", "≥", 0.9)] = (speed["float32"] * work / forward["float32"]["peak"], "")
    if "bfloat16" in speed:
        share = speed["bfloat16"] * work / forward["bfloat16"]["peak"]
        marks[("(b) bfloat16 against float32", "≥", 2)] = (speed["bfloat16"] / speed["float32"], "")
        marks[("(b) bfloat16: share of its peak", "≥", 0.75)] = (share, "")
    for kind, rows in results["texts"].items():
        for peer, least_of in (("clip, in batches", 6), ("transformers", 1)):
            marks[(f"(c) {kind}: against {peer}", "≥", least_of)] = (rate(rows, OURS) / rate(rows, peer), "")
    memory = {n: median(values) for n, values in results["memory"].items()}
    search = {name: median(values) for name, values in results["search"].items()}
    return marks | {
        ("(d) first batch against later ones, warmed up", "≤", 1.2): (median(results["cold"]["True"]), ""),
        ("(e) seconds from the start to the heatmap", "≤", 10): (median(results["start"]["seconds"]), ""),
        ("(f) a million rows: against faiss flat", "≥", 1): (search["faiss, flat"] / search["helpers"], ""),
        ("(g) peak memory, 10,000 images against 100", "≤", 1.1): (memory["10000"] / memory["100"], ""),
        ("(h) seconds of `import helpers` beyond torch's and clip's", "≤", 0.3): (median(results["import"]), ""),
    }


def show_mark(marks: dict, key: tuple[str, str, float]) -> str:
    """Show what one machine found, in bold where the mark is missed."""
    if key not in marks:
        return "not measured"
    (found, peer), (_, sign, mark) = marks[key], key
    reached = found >= mark if sign == "≥" else found <= mark
    return (f"{found:.2f}" if reached else f"**{found:.2f}**") + (f" ({peer})" if peer else "")


def make_report(machines: list[dict], scale: dict, notes: str) -> str:
    """Write the report of the results of each machine and of many images; ``notes`` tells what was tried."""
    of = {label(results["machine"]): results for results in machines}
    marks = {name: list_marks(results) for name, results in of.items()}
    keys = dict.fromkeys(key for found in marks.values() for key in found)
    facts = [[fact, *(results["machine"].get(fact, "") for results in of.values())] for fact in machines[0]["machine"]]
    parts = [
        "# How fast it is\n\nWritten by `make bench`, which measures one machine; the figures of each lie in "
        "[figures](figures). Compare within a column: the machines differ.\n",
        table(["", *of], facts),
        "## What was asked, and what was found\n\nA mark that is missed is in bold.\n",
        table(
            ["", "mark", *of],
            [[key[0], f"{key[1]} {key[2]}", *(show_mark(found, key) for found in marks.values())] for key in keys],
        ),
    ]
    for size in machines[0]["folders"]:
        tables = {name: results["folders"][size] for name, results in of.items()}
        parts += [f"## (a) Folder of JPEG files, {size}\n", rates(tables, "images/s")]
    for precision in PRECISIONS:
        parts.append(f"## (b) Forward pass alone, {precision}\n")
        having = {name: results for name, results in of.items() if precision in results["forward"]}
        lacking = [name for name in of if name not in having]
        if lacking:
            parts.append(f"Not measured on {' and '.join(lacking)}: the processor lacks it.\n")
        if having:
            parts += describe_forward(having, precision)
    for kind in machines[0]["texts"]:
        tables = {name: results["texts"][kind] for name, results in of.items()}
        parts += [f"## (c) Texts: {kind}\n", rates(tables, "texts/s")]
    parts.append("## (d) to (h)\n")
    for name, results in of.items():
        parts.append(f"**{name}.**\n\n{describe_rest(results)}")
    return "\n".join([*parts, describe_scale(scale), notes])


def describe_forward(of: dict[str, dict], precision: str) -> list[str]:
    """Tell of the forward pass alone: the rates beside the machine's peak, and where the time goes."""
    work = next(iter(of.values()))["forward"]["operations of one image"]
    peaks = {name: results["forward"][precision]["peak"] for name, results in of.items()}
    shares = {
        name: lambda found, results=results, peak=peaks[name]: (
            f"{found * results['forward']['operations of one image'] / peak:.0%}"
        )
        for name, results in of.items()
    }
    told = ", ".join(f"{peak:.0f} on {name}" for name, peak in peaks.items())
    goes = [
        f"- {name}: "
        + ", ".join(f"{key.removeprefix('aten::')} {part:.0%}" for key, part in results["profile"][precision].items())
        for name, results in of.items()
    ]
    return [
        f"Matrix-multiply peak, billion operations a second: {told}. One image takes {work:.2f} billion "
        "as clip writes it, left-out work counted.\n",
        rates(
            {name: results["forward"][precision]["rows"] for name, results in of.items()},
            "images/s",
            ("share of the peak", shares),
        ),
        "Where the time of `helpers` goes, on one thread:\n\n" + "\n".join(goes) + "\n",
    ]


def describe_rest(results: dict) -> str:
    """Tell of the start, the search and the memory of one machine."""
    memory = ", ".join(f"{median(values):.0f} MiB for {n} images" for n, values in results["memory"].items())
    lines = [
        "- First batch against the median of later ones: " + list_times(results["cold"], "with warm_up={}", "", 1),
        f"- From the start of `example.py` to its heatmap: {median(results['start']['seconds']):.2f} s "
        f"({spread(results['start']['seconds'])}). The same steps, timed one by one: "
        + ", ".join(f"{name} {value:.2f} s" for name, value in results["start"]["parts"].items()),
        "- Top-10 of 1,000,000 × 512, one query: " + list_times(results["search"], "{}", " ms", 1000),
        f"- Peak memory: {memory}",
        f"- `import helpers` beyond torch, torchvision and clip: {median(results['import']):.3f} s\n",
    ]
    return "\n".join(lines)


def read_figures(folder: Path = HERE) -> list[dict]:
    """Read the results of each machine, in the order of their files' names, the reverse of the alphabet."""
    return [json.loads(path.read_text()) for path in sorted((folder / "figures").glob("*.json"), reverse=True)]


def write_report(folder: Path = HERE) -> None:
    """Write results.md of what lies in its folder ``figures``."""
    scale = json.loads((HERE / "scale.json").read_text())
    (folder / "results.md").write_text(make_report(read_figures(folder), scale, (HERE / "notes.md").read_text()))


if __name__ == "__main__":
    write_report()
