"""Check the installation: compare images with texts, and draw the heatmap.

Without arguments it asks the model `tiny` about two mazes. It needs no network.
"""

import argparse
import json
import sys
from pathlib import Path

try:
    import torch

    import helpers
    from helpers._validation import printable
except ModuleNotFoundError as error:
    venv = Path(__file__).resolve().parent / ".venv"
    ready = [str(file) for name in ("bin/python", "Scripts/python.exe") for file in venv.glob(name)]
    do = f"`{ready[0]} example.py`" if ready and sys.prefix != str(venv) else "`make run`"
    sys.exit(f"example.py: Expected the packages of the course; got {sys.executable} without {error.name}. Run {do}.")

IMAGES = Path(__file__).resolve().parent / "images"


def main() -> int:
    """Run the six steps: choose a model, load it, preprocess, encode, normalize, compare."""
    options = _parse()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if any(not text.strip() for text in options.texts):
            raise ValueError("a text is empty; give at least one word")
        if options.output and not (options.output.suffix and options.output.parent.is_dir()):
            raise ValueError(f"--output is {str(options.output)!r}; give a file such as similarity.png, in a folder")
        for path in options.images:
            helpers.open_image(path, min_side=1)  # a bad one is named before the work begins
        model, preprocess = helpers.load(options.model, device=device)
        image_features = helpers.encode_images(model, preprocess, options.images)
        text_features = helpers.encode_texts(model, options.texts)
        similarity = helpers.cosine_similarity(text_features, image_features)
        if options.output or not options.json:
            output = options.output or Path("similarity.png")
            axes = helpers.plot_similarity(similarity, options.texts, options.images)
            axes.figure.savefig(output, dpi=150, bbox_inches="tight")  # type: ignore[union-attr]
    except (ValueError, OSError) as error:
        print(f"example.py: {printable(error)}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(similarity.round(6).tolist()))
    else:
        print(f"model {printable(options.model)} on {device}")
        print(_table(similarity, options.texts, options.images))
        print(f"heatmap: {printable(output)}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", default=[IMAGES / "maze1.jpeg", IMAGES / "maze2.jpeg"], type=Path)
    parser.add_argument("--texts", nargs="+", default=["maze", "game", "cat", "win the game"], metavar="TEXT")
    parser.add_argument("--model", default="tiny", help="a name of list_models(), or a checkpoint's path")
    parser.add_argument("--output", type=Path, help="file of the heatmap, by default similarity.png")
    parser.add_argument("--json", action="store_true", help="print the matrix as JSON and nothing else")
    return parser.parse_args()


def _table(similarity, texts: list[str], images: list[Path]) -> str:
    texts, names = list(map(printable, texts)), [printable(path.name) for path in images]
    width = max(map(len, texts))
    header = " " * width + "".join(f"  {name}" for name in names)
    rows = []
    for text, row in zip(texts, similarity.round(3) + 0.0, strict=True):
        cells = (f"  {value:{len(name)}.3f}" for value, name in zip(row, names, strict=True))
        rows.append(f"{text:<{width}}" + "".join(cells))
    return "\n".join([header, *rows])


if __name__ == "__main__":
    sys.exit(main())
