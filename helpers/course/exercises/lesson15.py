"""The exercises of lesson 15, Where in the image."""

from collections.abc import Callable

import numpy as np


def exercise_1(fraction: float, peak: np.ndarray, quarters: np.ndarray) -> str | None:
    """Check which fraction of the misses is on the other object."""
    missed = peak != quarters[:, 0]
    if not missed.any():
        return "There are no misses here: look at another model's peaks."
    on_other = peak == quarters[:, 1]
    right, of_all = float(on_other[missed].mean()), float(on_other.mean())
    found = float(fraction)
    if np.isclose(found, right, atol=0.006):
        return None
    if np.isclose(found, of_all, atol=0.006):
        return "That is a fraction of all scenes. Look at the misses alone."
    if np.isclose(found, 1 - right, atol=0.006):
        return "That is the fraction on empty ground."
    return f"Expected the mean of a comparison over the missed scenes, from 0 to 1; got {found:.2f}."


def exercise_2(locate: Callable) -> str | None:
    """Check places in upright, wide and high images."""
    rng = np.random.default_rng(0)
    for width, height, rows in ((256, 256, 8), (640, 480, 7), (300, 500, 2), (512, 256, 8)):
        one_map = rng.normal(size=(rows, rows)).astype(np.float32)
        row, column = np.unravel_index(one_map.argmax(), one_map.shape)
        side = min(width, height)
        square = np.array([column + 0.5, row + 0.5]) * side / rows
        right = square + [(width - side) / 2, (height - side) / 2]
        found = np.asarray(locate(one_map, width, height), dtype=float)
        if found.shape != (2,):
            return f"Expected two numbers, x and y; got {found.tolist()}."
        if np.allclose(found, right, atol=0.51):
            continue
        case = f"For a map of {rows} × {rows} and an image of {width} × {height}"
        if np.allclose(found, right[::-1], atol=0.51):
            return f"{case}, x and y are swapped: x counts columns."
        if np.allclose(found, right - side / rows / 2, atol=0.51):
            return f"{case}, that is a corner of the cell. Return its middle."
        if np.allclose(found, square, atol=0.51):
            return f"{case}, the place is right within the crop, but the crop does not begin at 0."
        if np.allclose(found, [(column + 0.5) * width / rows, (row + 0.5) * height / rows], atol=0.51):
            return f"{case}, you spread the map over the whole image. It lies over the centre crop."
        return f"{case}, expected ({right[0]:.0f}, {right[1]:.0f}); got ({found[0]:.0f}, {found[1]:.0f})."
    return None
