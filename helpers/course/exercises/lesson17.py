"""The exercises of lesson 17, Train a CLIP."""

import math

CONSTANT_LOSS = 6.24


def exercise_1(answer: int) -> str | None:
    """Check the batch in which guessing costs so much; one more or less is rounding."""
    if abs(math.log(answer) - CONSTANT_LOSS) < 0.005:
        return None
    return f"Guessing among {answer} costs {math.log(answer):.2f}."
