"""The exercises of lesson 22, Search millions."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Answer = tuple[np.ndarray, np.ndarray]


def exercise_1(compared: float, job: Mapping[str, int]) -> str | None:
    """Check with how many vectors a query is compared."""
    inside = job["opened"] * job["vectors"] / job["lists"]
    compared = float(compared)
    if abs(compared - inside - job["lists"]) < job["opened"]:
        return None
    if abs(compared - inside) < job["opened"]:
        return "The query is also compared with the centroids, to choose the lists."
    if abs(compared - inside / job["opened"] - job["lists"]) < job["opened"]:
        return "That is with one list opened."
    return (
        f"Expected {'fewer' if compared > inside else 'more'}; got {compared:,.0f}. How many vectors are in one list?"
    )


def exercise_2(merge: Callable[[Sequence[Answer]], Sequence[int]], answers: Sequence[Answer]) -> str | None:
    """Check a function that merges the best of several machines."""
    if not callable(merge):
        return f"Expected a function of answers; got {type(merge).__name__}."
    found = [int(number) for number in merge(answers)]
    scores = {int(number): float(score) for part in answers for number, score in zip(*part, strict=True)}
    if len(found) != 10 or len(set(found)) != 10:
        return f"Expected 10 different numbers; got {len(found)}, of which {len(set(found))} differ."
    if not set(found) <= scores.keys():
        return f"Vector {next(number for number in found if number not in scores)} is in no answer."
    best = sorted(scores.values(), reverse=True)[:10]
    if sorted((scores[number] for number in found), reverse=True) != best:
        return "A vector with a higher score is in the answers and not among yours."
    return None if [scores[number] for number in found] == best else "Those are the right ten. Put the best first."
