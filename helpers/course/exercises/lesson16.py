"""The exercises of lesson 16, The contrastive loss."""

import math
from collections.abc import Callable

import numpy as np

SEEDS = range(4)


def exercise_1(answer: Callable[[np.ndarray, float], float]) -> str | None:
    """Check a loss on random matrices, beside one that goes from question to question."""
    for seed in SEEDS:
        n, scale = 3 + seed, 5.0 + seed
        cosines = np.random.default_rng(seed).uniform(-1, 1, (n, n))
        found = float(answer(cosines, scale))
        by_rows, by_columns = (_questions(matrix, scale) for matrix in (cosines, cosines.T))
        if math.isclose(found, (by_rows + by_columns) / 2, rel_tol=1e-5):
            continue
        if math.isclose(found, by_rows, rel_tol=1e-5) or math.isclose(found, by_columns, rel_tol=1e-5):
            return "That is one half: rows ask, and columns ask, too."
        if math.isclose(found, by_rows + by_columns, rel_tol=1e-5):
            return "That is the sum of both halves; the loss is their mean."
        return f"For a random matrix of {n} × {n} it gives {found:.3f}, and should not."
    return None


def _questions(cosines: np.ndarray, scale: float) -> float:
    costs = []
    for i, row in enumerate(cosines):
        total = sum(math.exp(scale * (value - row[i])) for value in row)
        costs.append(math.log(total))
    return sum(costs) / len(costs)
