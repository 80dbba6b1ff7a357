"""Search the images of a folder by text, by image, or by both. New images are encoded first.

A text or an image may have a weight in front, such as "0.5*snow". The best matches are printed first, each with its
cosine similarity to the query. The exit status is 0 if an image was found, 1 if none was, and 2 after an error.
"""

import argparse
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from helpers._validation import number, printable, told, whole
from helpers.index.folder_index import FolderIndex
from helpers.index.page import are_photographs, page, refuse_foreign, write_page
from helpers.index.query import encode_query
from helpers.models import load

WEIGHT = re.compile(r"(\d*\.?\d+)\*(.+)", re.S)
KNOW_NO_PHOTOGRAPHS = ("tiny", "tiny-vit")
SAMPLE = 16  # images that are looked at, to tell what a folder holds
LISTED = 3  # of the images that cannot be read


def main(arguments: list[str]) -> int:
    """Update the index of a folder, search it, and print what was found."""
    options = _parser().parse_intermixed_args(arguments)
    try:
        with _interruptible():
            return _search(options)
    except (ValueError, TypeError, OSError, RuntimeError, ModuleNotFoundError) as error:
        print(told(error), file=sys.stderr)
        return 2


@contextmanager
def _interruptible() -> Iterator[None]:
    """End the process as soon as Ctrl-C is pressed, whatever its threads are doing: a kill never damages the index."""

    def stop(*_: object) -> NoReturn:
        print("Interrupted. What was encoded is saved; run the same command to resume.", file=sys.stderr, flush=True)
        os._exit(130)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m helpers search", description=__doc__)
    parser.add_argument("folder", help="folder of images; its index is kept inside it, in .clip-index")
    parser.add_argument("text", nargs="*", help="text to search for")
    parser.add_argument("--image", action="append", default=[], metavar="FILE", help="image to search for")
    parser.add_argument("--not", action="append", default=[], metavar="TEXT", dest="no_text", help="subtract this text")
    parser.add_argument("--not-image", action="append", default=[], metavar="FILE", help="subtract this image")
    parser.add_argument("-k", type=int, default=10, help="largest number of results (default: 10)")
    parser.add_argument("--threshold", type=float, metavar="SCORE", help="list only images with a higher score")
    parser.add_argument("--model", default=os.environ.get("CLIP_MODEL", "tiny"), help="default: $CLIP_MODEL, or tiny")
    parser.add_argument("--precision", help="float32, float16, bfloat16, or auto (bfloat16 where the CPU has it)")
    parser.add_argument("--index-folder", metavar="FOLDER", help="keep the index here instead of inside the folder")
    parser.add_argument("--html", metavar="FILE", help="write the results to an HTML page as well")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser


def _search(options: argparse.Namespace) -> int:
    whole("k", options.k)
    if options.threshold is not None:
        number("threshold", options.threshold)
    texts = [*_weighted(options.text, 1), *_weighted(options.no_text, -1)]
    images = [*_weighted(options.image, 1), *_weighted(options.not_image, -1)]
    query = _written(texts + images)
    if options.html:
        refuse_foreign(Path(options.html))
    model, preprocess = load(options.model, precision=options.precision)
    encode_query(model, preprocess, texts, images)  # what is wrong with it is told before a folder is encoded
    index = FolderIndex(options.folder, model, preprocess, options.index_folder)
    update = index.update()
    best = index.search(texts, images, options.k)
    matches = [match for match in best if options.threshold is None or match.score > options.threshold]
    notes = _notes(index, options.model)
    if options.json:
        found = [{"path": str(match.path), "score": round(match.score, 4)} for match in matches]
        told: dict[str, Any] = {"model": options.model, "query": query, "matches": found, "notes": notes}
        print(json.dumps({**told, "update": update._asdict(), "errors": index.errors}, indent=1))
    else:
        print(f"{options.model}, {len(index.paths):,} images: {printable(query)}", file=sys.stderr)
        for match in matches:
            print(f"{match.score:6.3f}  {printable(Path(options.folder) / match.path.relative_to(index.folder))}")
        print(*map(printable, notes), sep="\n", end="\n" * bool(notes), file=sys.stderr)
    if options.html:
        write_page(Path(options.html), page(query, options.model, best, notes, options.threshold))
    return 0 if matches else 1


def _weighted(parts: list[str], sign: int) -> list[tuple[str, float]]:
    """Take the weight off the front of each part."""
    found = [(part, WEIGHT.fullmatch(part)) for part in parts]
    return [(match[2], sign * float(match[1])) if match else (part, float(sign)) for part, match in found]


def _written(parts: list[tuple[str, float]]) -> str:
    """Write a query as it was understood: "a red car - 0.5*snow"."""
    signs = (f"{'-' if weight < 0 else '+'} {'' if abs(weight) == 1 else f'{abs(weight):g}*'}" for _, weight in parts)
    return " ".join(sign + part for sign, (part, _) in zip(signs, parts, strict=True)).removeprefix("+ ")


def _notes(index: FolderIndex, model: str) -> list[str]:
    """List what a person should know before trusting the result."""
    errors, paths = list(index.errors.items()), index.paths
    notes = [f"left out: {path}: {reason}" for path, reason in errors[:LISTED]]
    if len(errors) > LISTED:
        notes.append(f"left out: {len(errors) - LISTED:,} more; --json lists all")
    sample = [index.folder / path for path in paths[:: -(-len(paths) // SAMPLE)]]
    if model in KNOW_NO_PHOTOGRAPHS and are_photographs(sample):
        notes.append(f"most images here look like photographs, which {model} does not recognize: try --model ViT-B/32")
    return notes
