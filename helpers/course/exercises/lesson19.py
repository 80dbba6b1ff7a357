"""The exercises of lesson 19, Search your images."""

from collections.abc import Sequence

import numpy as np
import torch

from helpers.encode import encode_texts
from helpers.index.folder_index import UpdateResult
from helpers.similarity import normalize

WANTED, UNWANTED, WEIGHT = "a bus", "a car", 0.5


def exercise_1(third: int, model: torch.nn.Module, index: np.ndarray) -> str | None:
    """The third match of one text minus half of another."""
    wanted, unwanted = normalize(encode_texts(model, [WANTED, UNWANTED], progress=False))
    if not 0 <= third < len(index):
        return f"There is no file {third}: the last one is {len(index) - 1}."
    scores = index @ (wanted - WEIGHT * unwanted)
    if _may_be_third(third, scores):
        return None
    if _may_be_third(third, index @ wanted):
        return f"File {third} is the third for {WANTED!r} alone: nothing is subtracted."
    return f"{(scores > scores[third]).sum()} of the files score higher than file {third}."


def _may_be_third(place: int, scores: np.ndarray) -> bool:
    higher, as_high = (int((scores > scores[place] + margin).sum()) for margin in (1e-5, -1e-5))
    return higher <= 2 < as_high


def exercise_2(predicted: Sequence[int], changes: UpdateResult) -> str | None:
    """What an update makes of a copy."""
    encoded, known = predicted
    if (encoded, known) == (changes.encoded, changes.known):
        return None
    if encoded != changes.encoded:
        return f"Not {encoded} encoded: is its content new?"
    return f"Not {known} known: how many paths are new?"
