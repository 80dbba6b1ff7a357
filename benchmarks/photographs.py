"""Write image files of the sizes that people have."""

import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from helpers.course import drawings

SIZES = {"12 megapixels": (4000, 3000), "2 megapixels": (1632, 1224), "640 pixels": (640, 480)}
COLOURS = ("tomato", "royalblue", "gold", "seagreen", "orchid", "lightgrey", "black", "white")


def write_photographs(folder: Path, size: tuple[int, int], count: int) -> list[Path]:
    """Write ``count`` JPEG files: a twentieth of them drawn, the others shifted copies of these."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:05}.jpg" for i in range(count)]
    drawn = [drawings.photograph(*size, seed) for seed in range(-(-count // 20))]
    for i, path in enumerate(paths):
        pixels = np.roll(np.asarray(drawn[i % len(drawn)]), (137 * i) % size[0], axis=1)
        Image.fromarray(pixels).save(path, quality=90)
    return paths


def write_drawings(folder: Path, count: int) -> Path:
    """Write drawings of 96 pixels, each shifted and tinted differently, and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    base = [drawings.draw(name, 96, background) for name in drawings.drawing_names() for background in COLOURS]
    for i in range(count):
        image = ImageChops.offset(base[i % len(base)], rng.randrange(-9, 10), rng.randrange(-9, 10))
        tint = Image.new("RGB", image.size, tuple(rng.randrange(256) for _ in range(3)))
        Image.blend(image, tint, 0.1).save(folder / f"{i:05}.png")
    return folder
