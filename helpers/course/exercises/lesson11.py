"""The exercises of lesson 11, What CLIP sees."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from helpers._clip import tokenizer
from helpers.encode import encode_images
from helpers.similarity import normalize

HEIGHT, SEEN = 1000, 0.9
ROOM = 75
PLACES = ("things in the middle", "things at the edge")


def exercise_1(
    cosines: Sequence[float],
    model: torch.nn.Module,
    preprocess: Callable,
    middle: Sequence[Image.Image],
    edge: Sequence[Image.Image],
    reference: np.ndarray,
) -> str | None:
    """The best of three squares, on average, for things in the middle and at the edge."""
    for answer, images, place in zip(cosines, (middle, edge), PLACES, strict=True):
        height = images[0].height
        end = images[0].width - height
        parts = [[p.crop((left, 0, left + height, height)) for p in images] for left in (0, end // 2, end)]
        rows = [normalize(encode_images(model, preprocess, part, progress=False)) for part in parts]
        each = np.stack([(row * reference).sum(axis=1) for row in rows])
        right = each.max(axis=0).mean()
        if abs(answer - each.mean()) < 0.005 < abs(answer - right):
            return f"For {place} that is the mean over all squares: take the best one of each image."
        if abs(answer - right) >= 0.005:
            return f"For {place} too " + ("high." if answer > right else "low: take the best of three squares.")
    return None


def exercise_2(width: float) -> str | None:
    """The widest image of which 90 % is seen."""
    share = min(width, HEIGHT) / max(width, HEIGHT)
    if abs(width - HEIGHT / SEEN) < 2:
        return None
    if width < HEIGHT:
        return "That is an image higher than wide: how much wider than high may it be?"
    return f"Of {width:.0f} × {HEIGHT} CLIP sees {share:.0%}."


def exercise_3(count: int, text: str) -> str | None:
    """The words within the first 75 tokens."""
    tokens = tokenizer.encode(text)
    right = len(tokenizer.decode(tokens[:ROOM]).split())
    if count == right:
        return None
    if count == ROOM:
        return "These words need more than one token each."
    return "Too " + ("many." if count > right else "few.") + f" The text has {len(tokens)} tokens, {ROOM} are read."
