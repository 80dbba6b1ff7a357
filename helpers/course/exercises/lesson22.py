"""The exercises of lesson 22, Search millions."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Answer = tuple[np.ndarray, np.ndarray]


def exercise_1(merge: Callable[[Sequence[Answer]], Sequence[int]], answers: Sequence[Answer]) -> str | None:
    """Check a function that merges the best of several machines."""
    found = [int(number) for number in merge(answers)]
    scores = {int(number): float(score) for part in answers for number, score in zip(*part, strict=True)}
    if len(found) != 10 or len(set(found)) != 10:
        return f"It gives {len(found)} numbers, {len(set(found))} of them different; it must give 10."
    if not set(found) <= scores.keys():
        return f"Row {next(number for number in found if number not in scores)} is in no answer."
    best = sorted(scores.values(), reverse=True)[:10]
    if sorted((scores[number] for number in found), reverse=True) != best:
        return "A better row is in the answers, and not among yours."
    return None if [scores[number] for number in found] == best else "They are the right ten; put the best first."


def exercise_2(compared: float, lists: Mapping[str, int]) -> str | None:
    """Check with how many vectors a question is compared."""
    inside = lists["opened"] * lists["rows"] / lists["lists"]
    if abs(float(compared) - inside - lists["lists"]) < lists["opened"]:
        return None
    if abs(float(compared) - inside) < lists["opened"]:
        return "And the centres, which it is compared with to choose the lists?"
    return "Too " + ("many." if compared > inside else "few.") + " How many rows has one list?"
