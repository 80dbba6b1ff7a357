"""The exercises of lesson 21, Encode millions."""

from collections.abc import Mapping


def exercise_1(twice: int, accidents: Mapping[str, int]) -> str | None:
    """Check the most images that are encoded twice."""
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
    if cards * each < job["images"]:
        return f"In {job['hours']} hours they do {cards * each:,} images."
    return "Fewer are enough." if (cards - 1) * each >= job["images"] else None
