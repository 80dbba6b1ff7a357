"""Draw pictures with the statistics of photographs: shapes of many sizes that cover each other, texture, and noise.

Leaves that fall on each other give a picture the edges and the spectrum of nature (Lee, Mumford and Huang 2001,
"Occlusion Models for Natural Images"). At 12 megapixels and JPEG quality 90 a file has about 2.5 MB, as many
photographs have, so a decoder has about as much to do.
"""

import math
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZES = {"12 megapixels": (4000, 3000), "2 megapixels": (1632, 1224), "640 pixels": (640, 480)}
LEAVES = 900


def draw_photograph(width: int, height: int, seed: int) -> Image.Image:
    """Draw one picture: RGB, ``width`` by ``height`` pixels."""
    rng = random.Random(seed)
    picture = Image.new("RGB", (width, height), tuple(rng.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(LEAVES):
        radius = 0.01 * width / math.sqrt(rng.uniform(0.001, 1))  # many small ones, few large ones
        x, y, stretch = rng.uniform(0, width), rng.uniform(0, height), math.exp(rng.gauss(0, 0.5))
        box = (x - radius * stretch, y - radius / stretch, x + radius * stretch, y + radius / stretch)
        light = rng.uniform(0.2, 1)
        colour = tuple(round(light * rng.triangular(30, 255)) for _ in range(3))
        (pen.rectangle if rng.random() < 0.3 else pen.ellipse)(box, fill=colour)
    picture = picture.filter(ImageFilter.GaussianBlur(width / 3000))
    numbers = np.random.default_rng(seed)
    texture = sum(
        np.asarray(Image.fromarray(numbers.normal(0, 5, (height // part + 1, width // part + 1)).astype(np.float32))
                   .resize((width, height), Image.Resampling.BICUBIC))
        for part in (2, 8, 32, 128)
    )  # fmt: skip
    values = np.asarray(picture, dtype=np.float32) + texture[..., None] + numbers.normal(0, 2, (height, width, 1))
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))


def write_photographs(folder: Path, size: tuple[int, int], count: int) -> list[Path]:
    """Write ``count`` JPEG files: a twentieth of them drawn, the others shifted copies of these."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:05}.jpg" for i in range(count)]
    drawn = [draw_photograph(*size, seed) for seed in range(-(-count // 20))]
    for i, path in enumerate(paths):
        pixels = np.roll(np.asarray(drawn[i % len(drawn)]), (137 * i) % size[0], axis=1)
        Image.fromarray(pixels).save(path, quality=90)
    return paths
