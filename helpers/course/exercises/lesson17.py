"""The exercises of lesson 17, Train a CLIP."""

import math
from collections.abc import Callable, Sequence

import numpy as np

CONSTANT_LOSS = 6.24


def exercise_1(batch_size: int) -> str | None:
    """Check the batch in which guessing costs so much; one more or less is rounding."""
    if batch_size < 2:
        return f"Expected at least two pairs; got {batch_size}."
    if abs(math.log(batch_size) - CONSTANT_LOSS) < 0.005:
        return None
    return f"Guessing among {batch_size} costs {math.log(batch_size):.2f}, not {CONSTANT_LOSS}."


def exercise_2(clip_gradients: Callable[[Sequence[np.ndarray], float], Sequence[np.ndarray]]) -> str | None:
    """Gradients clipped together, by one factor."""
    if not callable(clip_gradients):
        return f"Expected a function of a list of arrays and a length; got {type(clip_gradients).__name__}."
    long = [np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([12.0])]  # 13 long
    for gradients, longest in ((long, 1.0), (long, 6.5), (long, 20.0), ([np.zeros(3)], 1.0)):
        length = math.sqrt(sum((g**2).sum() for g in gradients))
        factor = min(1.0, longest / max(length, 1e-12))
        given = [np.asarray(g) for g in clip_gradients([g.copy() for g in gradients], longest)]
        if [g.shape for g in given] != [g.shape for g in gradients]:
            return "Expected arrays of the same shapes as the given ones, in the same order."
        if all(np.allclose(a, factor * g, atol=1e-6) for a, g in zip(given, gradients, strict=True)):
            continue
        if factor == 1:
            return f"Gradients of length {length:.0f} are not longer than {longest:.0f}, and should stay unchanged."
        if not all(np.allclose(a * g.flat[-1], g * a.flat[-1]) for a, g in zip(given, gradients, strict=True)):
            return "A direction changed. Scale by one factor."
        found = math.sqrt(sum((g**2).sum() for g in given))
        return f"Gradients of length {length:.0f}, all together, should get the length {longest:.1f}; got {found:.2f}."
    return None
