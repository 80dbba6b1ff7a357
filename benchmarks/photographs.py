"""Write image files of the sizes that people have."""

from pathlib import Path

import numpy as np
from PIL import Image

from helpers.course.drawings import photograph

SIZES = {"12 megapixels": (4000, 3000), "2 megapixels": (1632, 1224), "640 pixels": (640, 480)}


def write_photographs(folder: Path, size: tuple[int, int], count: int) -> list[Path]:
    """Write ``count`` JPEG files: a twentieth of them drawn, the others shifted copies of these."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:05}.jpg" for i in range(count)]
    drawn = [photograph(*size, seed) for seed in range(-(-count // 20))]
    for i, path in enumerate(paths):
        pixels = np.roll(np.asarray(drawn[i % len(drawn)]), (137 * i) % size[0], axis=1)
        Image.fromarray(pixels).save(path, quality=90)
    return paths
