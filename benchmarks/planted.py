"""Plant two things in an image, ask for one, and see whether a map's peak lies on it: the pointing game.

python -m benchmarks.planted [MODEL …]

Each image has two drawings that the model names when each stands alone, in two of its four quarters. Occlusion with
its default patch is compared with `patch_similarity`. The rule is that of Zhang et al. 2016 (arXiv 1608.00507, section
4.2): a hit is a peak within the thing's box. Chance is what a place chosen blindly hits. The same figures each time.
"""

import random
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from helpers import cosine_similarity, encode_images, encode_texts, load, occlusion_maps, patch_similarity
from helpers.course import drawings
from helpers.explain.occlusion import MEAN_COLOUR

SIDE, PAIRS = 256, 200
HALF = SIDE // 2


def known_names(model, preprocess: Callable) -> list[str]:
    """List the drawings that the model calls by their own name when each stands alone on white."""
    names = drawings.drawing_names()
    images = encode_images(model, preprocess, [drawings.draw(name) for name in names])
    best = cosine_similarity(encode_texts(model, [f"a {name}" for name in names]), images).argmax(axis=0)
    return [name for i, name in enumerate(names) if best[i] == i]


def plant(names: list[str], quarters: list[int], ground: str | Image.Image) -> Image.Image:
    """Draw each thing in its quarter, counted from 0 at the upper left, row by row."""
    places = [(HALF * (quarter % 2 + 0.5), HALF * (quarter // 2 + 0.5), HALF) for quarter in quarters]
    return drawings.scene(names, (SIDE, SIDE), ground, places=places)


def inside(rows: int, quarter: int) -> np.ndarray:
    """Return which cells of a grid ``(rows, rows)`` have their middle in this quarter of the image."""
    later = np.arange(rows) + 0.5 >= rows / 2
    return np.outer(later == (quarter // 2 == 1), later == (quarter % 2 == 1))


def ways_of(colour: str | tuple[int, int, int]) -> dict[str, Callable]:
    """Return both ways to make a map; occlusion covers with this colour."""
    return {"occlusion": partial(occlusion_maps, colour=colour, progress=False), "patches": patch_similarity}


def play(model, preprocess: Callable, ground: Callable, ways: dict[str, Callable]) -> dict[str, np.ndarray]:
    """Return for each way, per image, if it hits and how often chance does; ``ground`` makes that of image ``i``."""
    rng, names = random.Random(2026), known_names(model, preprocess)
    hits: dict[str, list[tuple[bool, float]]] = {way: [] for way in ways}
    for i in range(PAIRS):
        two, quarters = rng.sample(names, 2), rng.sample(range(4), 2)
        image = plant(two, quarters, ground(i))
        for way, make_map in ways.items():
            one_map = make_map(model, preprocess, image, f"a {two[0]}")[0]
            box = inside(len(one_map), quarters[0])
            peak = one_map >= one_map.max() - 1e-6  # occlusion's is a square of equal pixels
            hits[way].append((box[peak].mean() > 0.5, box.mean()))
    return {way: np.array(rows) for way, rows in hits.items()}


def main() -> None:
    """Print the table of the models named, or of the bundled ones."""
    grounds = {
        "white": (lambda i: "white", ways_of("white")),  # covers the thing, and adds nothing
        "clutter": (lambda i: drawings.clutter((SIDE, SIDE), seed=i), ways_of(MEAN_COLOUR)),
    }
    print("| model | ground | map | peak on the asked thing | only with this map | chance |\n|---|---|---|---|---|---|")
    for name in sys.argv[1:] or ("tiny", "tiny-vit"):
        model, preprocess = load(name)
        for ground, (make, ways) in grounds.items():
            found = play(model, preprocess, make, ways)
            alone = sum(rows[:, 0] for rows in found.values()) == 1  # images that only one of the ways hits
            for way, rows in found.items():
                share, chance = rows.mean(axis=0)
                only = int(rows[alone, 0].sum())
                print(f"| {name} | {ground} | {way} | {share:.1%} | {only} | {chance:.0%} |", flush=True)


if __name__ == "__main__":
    main()
