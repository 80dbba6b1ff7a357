"""The exercises of lesson 13, Ask why."""

from collections.abc import Callable

import torch
from PIL import Image

from helpers.explain.occlusion import word_drops

TEXT = "a bird and a bus"
AS_GOOD_AS_EQUAL = 1e-4


def exercise_1(images: int, size: tuple[int, int], patch: int, stride: int) -> str | None:
    """Check how many images a map costs: one for each place of the patch, and the image itself."""
    columns, rows = ((length - patch) // stride + 1 for length in size)
    if images == columns * rows + 1:
        return None
    if images == columns * rows:
        return "Nearly: to know how far the score falls, one more image is needed."
    return f"Too {'many' if images > columns * rows else 'few'}. The patch must lie inside of the image everywhere."


def exercise_2(word: str, model: torch.nn.Module, preprocess: Callable, image: Image.Image) -> str | None:
    """Check which word speaks most against the image."""
    words, drops = word_drops(model, preprocess, image, TEXT)
    if word not in words:
        return f"Your word must be one of: {', '.join(dict.fromkeys(words))}."
    best = min(drop for found, drop in zip(words, drops, strict=True) if found == word)
    return None if best <= drops.min() + AS_GOOD_AS_EQUAL else f"Another word than {word!r} has a smaller drop."
