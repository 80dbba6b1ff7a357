"""The exercises of lesson 12, Where it fails."""

from collections.abc import Sequence

import numpy as np
import torch

from helpers.encode import encode_texts
from helpers.similarity import cosine_similarity

A_COIN_IS_THIS_NEAR = 0.1  # of 200 tosses, more than this from one half come less than once in 200 times
AS_GOOD_AS_EQUAL = 1e-4


def exercise_1(answer: Sequence[int], model: torch.nn.Module, features: np.ndarray) -> str | None:
    """Check an order of all images, the least like a cat first."""
    order = np.asarray(answer)
    if sorted(order.tolist()) != list(range(len(features))):
        return f"The order must hold each number from 0 to {len(features) - 1} once."
    cat = cosine_similarity(encode_texts(model, "a picture of a cat"), features)[0]
    if np.all(np.diff(cat[order]) > -AS_GOOD_AS_EQUAL):
        return None
    if cat[order[-1]] < cat.max() - AS_GOOD_AS_EQUAL:
        return "What is most like a cat must come last."
    return "The last is right, but the others are not in the order of their cosine with a cat."


def exercise_2(guess: float, known: np.ndarray, unknown: np.ndarray, sides: np.ndarray) -> str | None:
    """Check the accuracy that a probe of shuffled sides is expected to have on the test set: a coin's."""
    if not 0 <= float(guess) <= 1:
        return "An accuracy is a number from 0 to 1."
    if len(known) + len(unknown) != len(sides):
        return "`known`, `unknown` and `sides` are not those of the lesson any more; run it again from its top."
    chance = np.bincount(sides[len(known) :], minlength=2).max() / len(unknown)
    if abs(guess - chance) <= A_COIN_IS_THIS_NEAR:
        return None
    return f"Too {'high' if guess > chance else 'low'}. Random sides tell nothing about images that it never saw."
