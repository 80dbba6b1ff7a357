"""Turn scale.json, the figures of many images, into the last part of results.md."""

from statistics import median


def table(head: list[str], rows: list[list[object]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def describe_scale(results: dict) -> str:
    """Write all that was measured of many images."""
    machine, packages = results["machine"], ("torch", "numpy", "pyarrow", "ray", "lancedb", "faiss-cpu")
    told = ", ".join(f"{name} {machine[name]}" for name in packages)
    return "\n".join(
        [
            "## Many images\n",
            f"Written by `python -m benchmarks.scale`; the figures lie in [scale.json](scale.json). {machine['date']}, "
            f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {told}.\n",
            *map("- {}".format, describe_encoding(results)),
            "",
            describe_search(results["search"]),
        ]
    )


def describe_encoding(results: dict) -> list[str]:
    """Say how fast, how steady and how large the encoding is."""
    found, memory = results["encode"], results["memory"]
    one, two = (median(found[f"{workers} workers"]) for workers in (1, 2))
    kills, by_ray, ours = found["kills"], results["ray"]["ray"], results["ray"]["helpers"]
    peaks = (f"{peak['command']:.0f} and {peak['worker']:.0f} MiB for {int(n):,} rows" for n, peak in memory.items())
    return [
        f"`python -m helpers encode`, {found['images']:,} drawings, `tiny`: {one:.0f} images a second by one "
        f"worker, {two:.0f} by two, {two / one:.2f} times as many. The same bytes: "
        f"{'yes' if found['the same bytes by 1 and by 2'] else '**no**'}.",
        f"`kill -9` of {kills['worker']} workers and {kills['command']} whole commands: of {found['shards']} shards at "
        f"most {found['shards at risk']} were encoded twice. The same bytes in the end: "
        f"{'yes' if found['the same bytes after the kills'] else '**no**'}.",
        f"Peak memory of the command and of its largest worker, libraries left out: {', '.join(peaks)}.",
        f"Two images by Ray: {by_ray['seconds for two images']:.0f} s, by the command "
        f"{ours['seconds for two images']:.0f} s. {results['ray']['images']:,} by Ray: "
        f"{by_ray['images a second']:.0f} a second, by the command {ours['images a second']:.0f}.",
    ]


def describe_search(found: dict) -> str:
    """Write the table of all ways to search."""
    rows = [
        [way["name"], way["setting"], f"{way['milliseconds']:.3g}"]
        + [f"{way[f'recall, {kind}']:.3f}" for kind in ("images", "texts")]
        + [f"{way['bytes'] / 1e6:,.0f}", f"{way['build']:,.0f}"]
        for way in found["ways"]
    ]
    head = ["", "setting", "ms a question", "recall@10, images", "recall@10, texts", "MB", "seconds to build"]
    return "\n".join(
        [
            f"## Search of {found['rows']:,} × {found['size']}\n",
            f"Features of drawn scenes, by `tiny`. All ways were asked in turns, threads: {found['threads']}; the "
            "median time counts. Building is told in seconds of processor time. MB are those of rows and codes as "
            "they are kept, in memory or, for LanceDB, on disk. A way that compares candidates by their full rows "
            "needs these, too.\n",
            table(head, rows),
        ]
    )
