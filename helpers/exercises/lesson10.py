"""The exercises of lesson 10, Search a folder."""

from collections.abc import Sequence

import numpy as np
import torch

from helpers.compare import normalize
from helpers.encode import encode_texts
from helpers.search import Changes

WANTED, UNWANTED, WEIGHT = "a bus", "a car", 0.5


def exercise_1(first: int, model: torch.nn.Module, index: np.ndarray) -> str | None:
    """The best match of one text minus half of another."""
    wanted, unwanted = normalize(encode_texts(model, [WANTED, UNWANTED], progress=False))
    scores = index @ (wanted - WEIGHT * unwanted)
    if not 0 <= first < len(scores):
        return f"There is no file {first}: the last one is {len(scores) - 1}."
    higher = int((scores > scores[first] + 1e-5).sum())
    return f"{higher} of the files score higher than file {first}." if higher else None


def exercise_2(predicted: Sequence[int], changes: Changes) -> str | None:
    """What an update makes of a copy."""
    encoded, known = predicted
    if (encoded, known) == (changes.encoded, changes.known):
        return None
    if encoded != changes.encoded:
        return f"Not {encoded} encoded: is its content new?"
    return f"Not {known} known: how many paths are new?"
