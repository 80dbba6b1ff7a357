"""The exercises of lesson 17, many machines."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Answer = tuple[np.ndarray, np.ndarray]


def exercise_1(twice: int, accidents: Mapping[str, int]) -> str | None:
    """Check the most pictures that are encoded twice."""
    workers, shard, kills, outages = (accidents[name] for name in ("workers", "shard", "kills", "outages"))
    right = (kills + outages * workers) * shard
    if twice == right:
        return None
    if twice == (kills + outages) * shard:
        return "An outage kills more than one worker."
    return "Too " + ("many." if twice > right else "few.") + " Count the shards in work at each accident."


def exercise_2(cards: int, job: Mapping[str, int]) -> str | None:
    """Check how many cards do a job in time."""
    each = job["a second"] * 3600 * job["hours"]
    if cards != int(cards):
        return "That is a part of a card."
    if cards * each < job["pictures"]:
        return f"In {job['hours']} hours they do {cards * each:,} pictures."
    return "Fewer are enough." if (cards - 1) * each >= job["pictures"] else None


def exercise_3(merge: Callable[[Sequence[Answer]], Sequence[int]], answers: Sequence[Answer]) -> str | None:
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
