"""Turn results.json into results.md: tables, and what was asked beside what was found.

``python -m benchmarks.report`` writes it anew, as after a change of notes.md.
"""

import json
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
OURS = "helpers"
PRECISIONS = ("float32", "bfloat16")
TUTORIAL = ("a tutorial's lines, one at a time", "a tutorial's lines, one stack")


def spread(values: list[float]) -> str:
    """Show the smallest and the largest."""
    return f"{min(values):.3g}–{max(values):.3g}"


def table(head: list[str], rows: list[list[object]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def agrees(name: str, row: dict) -> bool:
    """Say whether a contender's features are those of plain clip; if not, its figures do not count."""
    return row["cosine"] >= (0.99999 if name == "helpers, exact=True" else 0.999)


def rates(rows: dict, unit: str, last: tuple[str, callable] | None = None) -> str:
    """Write the table of one work: the fastest first, each beside plain clip in batches."""
    plain = median(rows["clip, in batches"]["per_second"])
    lines = []
    for name, row in sorted(rows.items(), key=lambda item: -median(item[1]["per_second"])):
        rate = median(row["per_second"])
        void = "" if agrees(name, row) else " (void: they disagree)"
        line = [name, f"{rate:.3g}", spread(row["per_second"]), f"{rate / plain:.2f} ×", f"{row['cosine']:.6f}{void}"]
        lines.append([*line, last[1](rate)] if last else line)
    return table(["", unit, "spread", "against clip", "smallest cosine", *([last[0]] if last else [])], lines)


def list_times(found: dict[str, list[float]], label: str, unit: str, scale: float) -> str:
    """Write medians and spreads in a row."""
    scaled = {label.format(name): [scale * value for value in values] for name, values in found.items()}
    return ", ".join(f"{name} {median(values):.3g}{unit} ({spread(values)})" for name, values in scaled.items())


def fastest_peer(rows: dict) -> tuple[str, float]:
    """Name the fastest of those that are neither ours nor a tutorial's."""
    peers = {name: row for name, row in rows.items() if OURS not in name and name not in TUTORIAL and agrees(name, row)}
    return max(((name, median(row["per_second"])) for name, row in peers.items()), key=lambda pair: pair[1])


def list_marks(results: dict) -> list[tuple[str, float, str, float]]:
    """List what was asked: the sentence, the figure found, whether it must be ≥ or ≤, and the mark."""
    marks = []
    least = {"12 megapixels": 1.2, "2 megapixels": 1.0, "640 pixels": 1.0}
    for size, rows in results["folders"].items():
        ours = median(rows[OURS]["per_second"])
        name, rate = fastest_peer(rows)
        marks.append(
            (
                f"(a) {size}: against a tutorial's lines, one at a time",
                ours / median(rows[TUTORIAL[0]]["per_second"]),
                "≥",
                2,
            )
        )
        marks.append((f"(a) {size}: against the fastest peer, {name}", ours / rate, "≥", least[size]))
    forward = results["forward"]
    work = forward["operations of one picture"]
    speed = {p: median(forward[p]["rows"][OURS]["per_second"]) for p in PRECISIONS if p in forward}
    marks += [("(b) float32: share of the peak", speed["float32"] * work / forward["float32"]["peak"], "≥", 0.9)]
    if "bfloat16" in speed:
        marks += [
            ("(b) bfloat16 against float32", speed["bfloat16"] / speed["float32"], "≥", 2),
            ("(b) bfloat16: share of its peak", speed["bfloat16"] * work / forward["bfloat16"]["peak"], "≥", 0.75),
        ]
    for kind, rows in results["texts"].items():
        ours = median(rows[OURS]["per_second"])
        marks.append((f"(c) {kind}: against plain clip", ours / median(rows["clip, in batches"]["per_second"]), "≥", 6))
        marks.append((f"(c) {kind}: against transformers", ours / median(rows["transformers"]["per_second"]), "≥", 1))
    memory = {n: median(values) for n, values in results["memory"].items()}
    search = {name: median(values) for name, values in results["search"].items()}
    return [
        *marks,
        ("(d) first batch against later ones, warmed up", median(results["cold"]["True"]), "≤", 1.2),
        ("(e) seconds from the start to the heatmap", median(results["start"]["seconds"]), "≤", 10),
        ("(f) a million rows: against faiss flat", search["faiss, flat"] / search["helpers"], "≥", 1),
        ("(g) peak memory, 10,000 pictures against 100", memory["10000"] / memory["100"], "≤", 1.1),
        ("(h) seconds of `import helpers` beyond torch's and clip's", median(results["import"]), "≤", 0.3),
    ]


def make_report(results: dict, notes: str) -> str:
    """Write the report; ``notes`` tells what was tried."""
    machine, forward = results["machine"], results["forward"]
    parts = [
        "# How fast it is\n\nWritten by `make bench`. The figures are in [results.json](results.json).\n",
        ", ".join(f"{name} {value}" for name, value in machine.items()) + "\n",
        "## What was asked, and what was found\n",
        table(
            ["", "found", "mark", ""],
            [
                [
                    text,
                    f"{found:.2f}",
                    f"{sign} {mark}",
                    "yes" if (found >= mark if sign == "≥" else found <= mark) else "**no**",
                ]
                for text, found, sign, mark in list_marks(results)
            ],
        ),
    ]
    for size, rows in results["folders"].items():
        parts += [f"## (a) Folder of JPEG files, {size}\n", rates(rows, "pictures/s")]
    for precision in PRECISIONS:
        if precision not in forward:
            parts.append(f"## (b) Forward pass alone, {precision}\n\nNot measured: this processor lacks it.\n")
            continue
        peak, work = forward[precision]["peak"], forward["operations of one picture"]
        share = ("share of the peak", lambda rate, peak=peak, work=work: f"{rate * work / peak:.0%}")
        parts += [
            f"## (b) Forward pass alone, {precision}\n",
            f"Matrix-multiply peak {peak:.0f} billion operations a second; one picture takes {work:.2f} billion as "
            "clip writes it, left-out work counted.\n",
            rates(forward[precision]["rows"], "pictures/s", share),
            "Where the time of `helpers` goes, on one thread: "
            + ", ".join(
                f"{name.removeprefix('aten::')} {part:.0%}" for name, part in results["profile"][precision].items()
            )
            + ".\n",
        ]
    for kind, rows in results["texts"].items():
        parts += [f"## (c) Texts: {kind}\n", rates(rows, "texts/s")]
    memory = ", ".join(f"{median(values):.0f} MiB for {n} pictures" for n, values in results["memory"].items())
    parts += [
        "## (d) to (h)\n",
        "- First batch against the median of later ones: " + list_times(results["cold"], "with warm_up={}", "", 1),
        f"- From the start of `example.py` to its heatmap: {median(results['start']['seconds']):.2f} s "
        f"({spread(results['start']['seconds'])}). The same steps, timed one by one: "
        + ", ".join(f"{name} {value:.2f} s" for name, value in results["start"]["parts"].items()),
        "- Top-10 of 1,000,000 × 512, one query: " + list_times(results["search"], "{}", " ms", 1000),
        f"- Peak memory: {memory}",
        f"- `import helpers` beyond torch, torchvision and clip: {median(results['import']):.3f} s\n",
        notes,
    ]
    return "\n".join(parts)


def write_report(folder: Path = HERE) -> None:
    """Write results.md beside results.json."""
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.md").write_text(make_report(results, (HERE / "notes.md").read_text()))


if __name__ == "__main__":
    write_report()
