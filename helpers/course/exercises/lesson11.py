"""The exercises of lesson 11, What CLIP sees."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

PANORAMA, SIDE = 4000, 1000
SIZES = ((512, 256), (256, 256), (800, 200), (300, 1000), (410, 400))


def exercise_1(count: int) -> str | None:
    """How many squares that overlap by half cover a panorama."""
    right = (PANORAMA - SIDE) // (SIDE // 2) + 1
    if int(count) == right == count:
        return None
    if count == PANORAMA // SIDE:
        return "That many squares cover the panorama without any overlap."
    if count == 2 * PANORAMA // SIDE:
        return f"The last of {count} squares would end beyond the edge of the panorama."
    return f"Expected the number of starts from 0 to {PANORAMA - SIDE}, one every {SIDE // 2} pixels; got {count}."


def exercise_2(squares: Callable) -> str | None:
    """Square parts that cover an image and overlap by half."""
    if not callable(squares):
        return f"Expected a function of an image; got {type(squares).__name__}."
    for width, height in SIZES:
        fault = _fault(squares(_ruler(width, height)), width, height)
        if fault:
            return f"For an image of {width} × {height} pixels, {fault}"
    return None


def _ruler(width: int, height: int) -> Image.Image:
    """Draw an image whose red and green say where along the longer side each pixel is."""
    along = np.arange(max(width, height))
    pixels = np.stack([along // 256, along % 256, np.zeros_like(along)], axis=-1).astype(np.uint8)
    pixels = np.broadcast_to(pixels, (min(width, height), *pixels.shape))
    return Image.fromarray(np.ascontiguousarray(pixels if width >= height else pixels.transpose(1, 0, 2)))


def _fault(parts: list[Image.Image], width: int, height: int) -> str | None:
    side, longer = sorted((width, height))
    sizes = {part.size for part in parts}
    if sizes != {(side, side)}:
        return f"expected squares of {side} × {side} pixels; got {sorted(sizes)}."
    corners = np.array([part.convert("RGB").getpixel((0, 0)) for part in parts], dtype=int)
    starts = np.sort(corners[:, 0] * 256 + corners[:, 1])
    if starts[0] or starts[-1] != longer - side:
        return (
            f"expected the squares to reach from one end to the other; the first starts at {starts[0]} and the "
            f"last ends at {starts[-1] + side} of {longer}."
        )
    if np.diff(starts).max(initial=0) > math.ceil(side / 2):
        return f"expected neighbours to overlap by at least half; two starts are {np.diff(starts).max()} pixels apart."
    most = math.ceil((longer - side) / (side / 2)) + 1
    return f"{most} squares are enough; got {len(parts)}." if len(parts) > most else None
