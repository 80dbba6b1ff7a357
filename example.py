"""Check the installation: compare pictures with texts, and draw the heatmap.

Without arguments it asks the model `tiny` about two mazes. It needs no network.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

import helpers

IMAGES = Path(__file__).resolve().parent / "images"


def main() -> int:
    """Run the six steps: choose a model, load it, preprocess, encode, normalize, compare."""
    options = _parse()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if any(not text.strip() for text in options.texts):
            raise ValueError("a text is empty; give at least one word")
        pictures = [helpers.open_image(path) for path in options.images]
        model, preprocess = helpers.load(options.model, device=device)
        image_features = helpers.encode_images(model, preprocess, pictures)
        text_features = helpers.encode_texts(model, options.texts)
        similarity = helpers.cosine_similarity(text_features, image_features)
        if options.output or not options.json:
            output = options.output or Path("similarity.png")
            axes = helpers.plot_similarity(similarity, options.texts, pictures)
            axes.figure.savefig(output, dpi=150, bbox_inches="tight")  # type: ignore[union-attr]
    except (ValueError, OSError) as error:
        print(f"example.py: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(similarity.round(6).tolist()))
    else:
        print(f"model {options.model} on {device}")
        print(_table(similarity, options.texts, options.images))
        print(f"heatmap: {output}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", default=[IMAGES / "maze1.jpeg", IMAGES / "maze2.jpeg"], type=Path)
    parser.add_argument("--texts", nargs="+", default=["maze", "game", "cat", "win the game"], metavar="TEXT")
    parser.add_argument("--model", default="tiny", help="a name of available_models(), or a checkpoint's path")
    parser.add_argument("--output", type=Path, help="file of the heatmap, by default similarity.png")
    parser.add_argument("--json", action="store_true", help="print the matrix as JSON and nothing else")
    return parser.parse_args()


def _table(similarity, texts: list[str], images: list[Path]) -> str:
    width = max(len(text) for text in texts)
    header = " " * width + "".join(f"  {path.name}" for path in images)
    rows = []
    for text, row in zip(texts, similarity.round(3) + 0.0, strict=True):
        cells = (f"  {value:{len(path.name)}.3f}" for value, path in zip(row, images, strict=True))
        rows.append(f"{text:<{width}}" + "".join(cells))
    return "\n".join([header, *rows])


if __name__ == "__main__":
    sys.exit(main())
