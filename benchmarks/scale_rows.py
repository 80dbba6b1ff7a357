"""Rows to search: `tiny`'s features of drawn scenes, one to three things of any colour, size and angle.

They lie in clusters that run into each other, as those of photographs do. Rows of white noise have no neighbours to
speak of, so every index looks bad on them.
"""

import random
from functools import cache as remember
from pathlib import Path

import numpy as np
from PIL import Image

import helpers
from helpers.course import drawings

QUERIES, DRAWN = 200, 10_000
LARGEST = 56  # pixels of a thing
COLOURS = "#e53935 #fb8c00 #fdd835 #43a047 #00897b #1e88e5 #5e35b1 #d81b60 #6d4c41 #546e7a #212121 #eeeeee".split()
TEXTS = ("a {}", "a picture of a {}", "a drawing of a {}", "two things, one of them a {}", "a {} in the corner")


@remember
def _sticker(name: str, colour: str, angle: int) -> Image.Image:
    return drawings.sticker(name, LARGEST, colour=colour, angle=angle)


@remember
def _ground(seed: int) -> Image.Image:
    return drawings.clutter((64, 64), seed)


def scene(seed: int) -> Image.Image:
    """Draw a scene of 64 pixels; the same one for the same seed."""
    rng = random.Random(seed)
    image = (
        _ground(rng.randrange(300)).copy() if rng.random() < 0.7 else Image.new("RGB", (64, 64), rng.choice(COLOURS))
    )
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        thing = _sticker(rng.choice(drawings.drawing_names()), rng.choice(COLOURS), rng.randrange(0, 360, 45))
        side = rng.randint(20, LARGEST)
        thing = thing.resize((side, side))
        image.paste(thing, (rng.randrange(-8, 73 - thing.width), rng.randrange(-8, 73 - thing.height)), thing)
    return image


def make_rows(cache: Path, count: int) -> np.ndarray:
    """Give ``(count, d)`` float32 unit rows of scenes, drawn and encoded once and kept."""
    model, preprocess = helpers.load()
    size = model.text_projection.shape[1]
    place = cache / "scenes"
    place.mkdir(exist_ok=True)
    for start in range(0, count, DRAWN):
        block = place / f"{start:08}.npy"
        if not block.exists():
            images = (scene(seed) for seed in range(start, start + DRAWN))
            rows = helpers.normalize(helpers.encode_images(model, preprocess, images, progress=False))
            np.save(block.with_suffix(".part.npy"), rows)
            block.with_suffix(".part.npy").rename(block)
            print(f"{start + DRAWN} rows", flush=True)
    rows = np.empty((count, size), np.float32)
    for start in range(0, count, DRAWN):
        rows[start : start + DRAWN] = np.load(place / f"{start:08}.npy")[: count - start]
    return rows


def make_questions() -> dict[str, np.ndarray]:
    """Give unit rows of scenes that are not among the rows, and of texts."""
    model, preprocess = helpers.load()
    images = [scene(10**9 + i) for i in range(QUERIES)]
    texts = [text.format(name) for name in drawings.drawing_names() for text in TEXTS]
    return {
        "images": helpers.normalize(helpers.encode_images(model, preprocess, images, progress=False)),
        "texts": helpers.normalize(helpers.encode_texts(model, texts, progress=False)),
    }
