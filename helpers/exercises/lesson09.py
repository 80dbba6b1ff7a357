"""The exercises of lesson 9, What CLIP sees."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from helpers.compare import normalize
from helpers.encode import encode_images
from helpers.openai import tokenizer

HEIGHT, SEEN = 1000, 0.9
ROOM = 75


def exercise_1(
    cosine: float,
    model: torch.nn.Module,
    preprocess: Callable,
    pictures: Sequence[Image.Image],
    reference: np.ndarray,
) -> str | None:
    """The better of two squares, on average."""
    height = pictures[0].height
    lefts = (0, pictures[0].width - height)
    parts = [[picture.crop((left, 0, left + height, height)) for picture in pictures] for left in lefts]
    rows = [normalize(encode_images(model, preprocess, part, progress=False)) for part in parts]
    each = np.stack([(row * reference).sum(axis=1) for row in rows])
    if abs(cosine - each.max(axis=0).mean()) < 0.005:
        return None
    if abs(cosine - each.mean()) < 0.005:
        return "That is the mean over both squares: take the better one of each picture."
    return "Too " + ("high." if cosine > each.max(axis=0).mean() else "low: take the better square of each picture.")


def exercise_2(width: float) -> str | None:
    """The widest picture of which 90 % is seen."""
    share = min(width, HEIGHT) / max(width, HEIGHT)
    if abs(width - HEIGHT / SEEN) < 2:
        return None
    if width < HEIGHT:
        return "That is a picture higher than wide: how much wider than high may it be?"
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
