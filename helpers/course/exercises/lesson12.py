"""The exercises of lesson 12, Where it fails."""

from collections.abc import Callable

import numpy as np

CHANCE, NEAR = 0.5, 0.1  # of 200 tosses, more than this from one half come less than once in 200 times


def exercise_1(guess: float) -> str | None:
    """The accuracy on the test set of a probe that learned shuffled sides: that of a coin."""
    if not 0 <= float(guess) <= 1:
        return f"Expected a number between 0 and 1; got {guess}."
    if abs(guess - CHANCE) <= NEAR:
        return None
    if guess > CHANCE:
        return f"Too high: {guess:.0%} may fit the training set, but shuffled sides say nothing about other images."
    return f"Too low: whoever is right in {guess:.0%} of the cases only needs to answer the opposite."


def exercise_2(rank_without: Callable) -> str | None:
    """Positions by the wanted cosine, without those that fit the unwanted text at least as well."""
    if not callable(rank_without):
        return f"Expected a function of two vectors and an array; got {type(rank_without).__name__}."
    wanted, unwanted = np.eye(3)[:2]
    features = np.array([[0.6, 0.8, 0.0], [0.5, 0.1, 0.86], [0.8, 0.6, 0.0], [0.1, 0.0, 0.99], [0.7, 0.7, 0.14]])
    given = np.asarray(rank_without(wanted, unwanted, features)).tolist()
    if given == [2, 1, 3]:
        return None
    if given == [2, 4, 1, 3]:
        return "An image that fits both texts equally well must be left out as well."
    if len(given) == len(features):
        return f"Expected only the images that fit `wanted` better than `unwanted`; got all {len(given)}."
    if sorted(given) == [1, 2, 3]:
        return f"The right images, but not ordered by their cosine with `wanted`: {given}."
    if len(given) and set(given) <= {0.0, 1.0}:
        return "Expected positions of images; got zeros and ones."
    return f"Expected positions such as [4, 0, 2], best first; got {given}."
