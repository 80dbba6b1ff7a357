"""The exercises of lesson 4, Encode in batches."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

FILES, BATCH = 5, 2  # the last batch is not full
TOLERANCE = 1e-2  # of the largest value: loose enough for half precision
SAME_DISTANCE = 1e-3  # two pairs whose distances differ less are equally near


def exercise_1(encode: Callable, files: Sequence[Path], features: np.ndarray) -> str | None:
    """A function that encodes files in batches."""
    if not callable(encode):
        return f"a function is asked for, and this is a {type(encode).__name__}."
    given, right = np.asarray(encode(list(files[:FILES]), BATCH)), features[:FILES]
    if given.shape != right.shape:
        return f"{FILES} files in batches of {BATCH} give shape {given.shape}."
    close = np.abs(given - right).max() < TOLERANCE * np.abs(right).max()
    return None if close else "the shape fits, the features don't: is each file in its place?"


def exercise_2(shape: tuple[int, ...], features: np.ndarray) -> str | None:
    """The shape of the features of no text."""
    if tuple(shape) == (0, features.shape[1]):
        return None
    return f"an array of shape {tuple(shape)} can't be joined with one of shape {features.shape} and leave it as it is."


def exercise_3(pair: Sequence[str], captions: Sequence[str], features: np.ndarray) -> str | None:
    """The two captions that are nearest to each other."""
    unknown = [caption for caption in pair if caption not in captions]
    if unknown or len(set(pair)) != 2:
        return f"two captions out of the table are asked for, and this is {pair}."
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distance = np.linalg.norm(unit[:, None] - unit[None], axis=-1)
    nearest = distance[~np.eye(len(unit), dtype=bool)].min()
    mine = distance[captions.index(pair[0]), captions.index(pair[1])]
    return None if mine < nearest + SAME_DISTANCE else f"their distance is {mine:.2f}; another pair is nearer."
