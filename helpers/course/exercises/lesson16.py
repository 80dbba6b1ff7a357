"""The exercises of lesson 16, The contrastive loss."""

import math
from collections.abc import Callable

import numpy as np

SEEDS = range(4)


def exercise_1(expected_loss: float) -> str | None:
    """Check the loss of a perfect model when each caption occurs four times."""
    found = float(expected_loss)
    if abs(found - math.log(4)) < 0.02:
        return None
    if abs(found) < 0.02:
        return "A perfect model still cannot tell four equal images apart."
    if abs(found - math.log(64)) < 0.02:
        return "That is guessing. A perfect model excludes every image of another product."
    if abs(found - math.log(16)) < 0.02:
        return "The number of products does not matter. How many candidates are equally right for one caption?"
    return f"Expected minus the logarithm of the probability that each right answer gets; got {found:.2f}."


def exercise_2(answer: Callable[[np.ndarray, float], float]) -> str | None:
    """Check a loss on random matrices, beside one that goes from question to question."""
    for seed in SEEDS:
        n, scale = 3 + seed, 5.0 + seed
        cosines = np.random.default_rng(seed).uniform(-1, 1, (n, n))
        found = float(answer(cosines, scale))
        by_rows, by_columns = (_questions(matrix, scale) for matrix in (cosines, cosines.T))
        if math.isclose(found, (by_rows + by_columns) / 2, rel_tol=1e-5):
            continue
        if math.isclose(found, by_rows, rel_tol=1e-5) or math.isclose(found, by_columns, rel_tol=1e-5):
            return "That is one direction only. Texts choose among images, and images choose among texts."
        if math.isclose(found, by_rows + by_columns, rel_tol=1e-5):
            return "That is the sum of both directions; the loss is their mean."
        return f"For a random matrix of {n} × {n}, expected {(by_rows + by_columns) / 2:.3f}; got {found:.3f}."
    return None


def _questions(cosines: np.ndarray, scale: float) -> float:
    costs = []
    for i, row in enumerate(cosines):
        total = sum(math.exp(scale * (value - row[i])) for value in row)
        costs.append(math.log(total))
    return sum(costs) / len(costs)
