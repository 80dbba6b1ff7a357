"""The exercises of lesson 6, Compare images with texts."""

from collections.abc import Sequence

import numpy as np
import torch

from helpers.encode import encode_texts
from helpers.similarity import cosine_similarity, probabilities

TOLERANCE = 0.005


def exercise_1(text: str, model: torch.nn.Module, to_beat: float, image_features: np.ndarray) -> str | None:
    """A text that fits an image better than another one."""
    if not isinstance(text, str):
        return f"a text is asked for, and this is a {type(text).__name__}."
    cosine = cosine_similarity(encode_texts(model, text), image_features[None])[0, 0]
    return None if cosine > to_beat + 1e-4 else f"its cosine is {cosine:.2f}, to beat is {to_beat:.2f}."


def exercise_2(found: int, table: np.ndarray) -> str | None:
    """How many captions find their own drawing."""
    own = np.arange(len(table))
    right, other = ((table.argmax(axis=axis) == own).sum() for axis in (1, 0))
    if found == right:
        return None
    return "so many drawings find their caption." if found == other else "look along each row for its largest cell."


def exercise_3(answer: Sequence[float], row: np.ndarray, scale: float) -> str | None:
    """The probabilities of the images, given a text."""
    shares = np.asarray(answer, dtype=float)
    if shares.shape != row.shape:
        return f"there are {len(row)} images, and your shares have shape {shares.shape}."
    if abs(shares.sum() - 1) > TOLERANCE:
        return f"your shares sum to {shares.sum():.2f}."
    right = probabilities(row[None], scale, axis=1)[0]
    return None if np.abs(shares - right).max() < TOLERANCE else "they sum to 1, but what about the logit scale?"
