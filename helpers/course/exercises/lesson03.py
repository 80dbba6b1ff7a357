"""The exercises of lesson 3, Preprocess images and texts."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

PANORAMA = (4000, 1000)
MOST_OFF = 2  # of 255: rounding


def exercise_1(share: float) -> str | None:
    """What a centre crop keeps of a panorama."""
    if not 0 <= share <= 1:
        return f"a share lies between 0 and 1, and {share} does not."
    right = min(PANORAMA) / max(PANORAMA)
    if abs(share - right) < 0.005:
        return None
    return f"CLIP sees {'less' if share > right else 'more'} of it."


def exercise_2(seen: Image.Image, tensor: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> str | None:
    """The image of a preprocessed tensor."""
    if not isinstance(seen, Image.Image):
        return f"a PIL image is asked for, and this is a {type(seen).__name__}."
    right = ((tensor * std + mean) * 255).permute(1, 2, 0).numpy()
    values = np.asarray(seen.convert("RGB"), dtype=float)
    if values.shape != right.shape:
        return f"it has {seen.width} × {seen.height} pixels, the tensor {right.shape[1]} × {right.shape[0]}."
    off = np.abs(values - right).max()
    return None if off <= MOST_OFF else f"a colour is off by {off:.0f} of 255."


def exercise_3(places: Sequence[int], tokens: torch.Tensor) -> str | None:
    """The place of the end token of each text."""
    places = [int(place) for place in places]
    if len(places) != len(tokens):
        return f"there are {len(tokens)} texts, and you give {len(places)} places."
    wrong = [i for i, place in enumerate(places) if place != tokens[i].argmax()]
    return f"text {wrong[0]} ends at another place." if wrong else None
