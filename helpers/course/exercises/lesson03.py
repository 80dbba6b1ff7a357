"""The exercises of lesson 3, Preprocess."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

PANORAMA = (4000, 1000)
MOST_OFF = 1.01  # of 255: rounding


def exercise_1(fraction: float) -> str | None:
    """What a centre crop keeps of a panorama."""
    fraction = float(fraction)
    if not 0 <= fraction <= 1:
        return f"Expected a number between 0 and 1; got {fraction:g}."
    right = min(PANORAMA) / max(PANORAMA)
    if abs(fraction - right) < 0.005:
        return None
    return f"CLIP sees {'less' if fraction > right else 'more'} of it than {fraction:.0%}."


def exercise_2(to_image: Callable, tensor: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> str | None:
    """The image of a preprocessed tensor."""
    if not callable(to_image):
        return f"Expected a function of a tensor; got {type(to_image).__name__}."
    bright = tensor + 1  # some values leave the range
    for given in (tensor, bright):
        seen = to_image(given)
        if not isinstance(seen, Image.Image):
            return f"Expected a PIL image; the function returned {type(seen).__name__}."
        right = ((given * std + mean) * 255).clamp(0, 255).permute(1, 2, 0).numpy()
        values = np.asarray(seen.convert("RGB"), dtype=float)
        if values.shape != right.shape:
            return f"The image has {seen.width} × {seen.height} pixels, the tensor {right.shape[1]} × {right.shape[0]}."
        off = np.abs(values - right).max()
        if off > MOST_OFF:
            return f"A value is off by {off:.0f} of 255."
    return None
