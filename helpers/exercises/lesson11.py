"""The exercises of lesson 11, why."""

from collections.abc import Callable

import torch
from PIL import Image

from helpers.explain import word_drops

TEXT = "a bird and a bus"
AS_GOOD_AS_EQUAL = 1e-4


def exercise_1(pictures: int, size: tuple[int, int], patch: int, stride: int) -> str | None:
    """Check how many pictures a map costs: one for each place of the patch, and the picture itself."""
    columns, rows = ((length - patch) // stride + 1 for length in size)
    if pictures == columns * rows + 1:
        return None
    if pictures == columns * rows:
        return "Nearly: to know how far the score falls, one more picture is needed."
    return f"Too {'many' if pictures > columns * rows else 'few'}. The patch must lie inside of the picture everywhere."


def exercise_2(word: str, model: torch.nn.Module, preprocess: Callable, picture: Image.Image) -> str | None:
    """Check which word speaks most against the picture."""
    words, drops = word_drops(model, preprocess, picture, TEXT)
    if word not in words:
        return f"Your word must be one of: {', '.join(dict.fromkeys(words))}."
    best = min(drop for found, drop in zip(words, drops, strict=True) if found == word)
    return None if best <= drops.min() + AS_GOOD_AS_EQUAL else f"Another word than {word!r} has a smaller drop."
