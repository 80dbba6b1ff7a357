"""The exercises of lesson 21, Encode millions."""

from collections.abc import Callable, Iterable, Mapping

CASES: tuple[tuple[int, int, int, int, set[int]], ...] = (  # rows, shard size, k, n, shards that are there
    (65, 10, 1, 1, {0, 1, 2}),
    (65, 10, 2, 3, set()),
    (65, 10, 1, 3, {3, 5}),
    (60, 10, 3, 3, {0}),
    (5, 10, 1, 8, set()),
    (5, 10, 2, 8, set()),
    (0, 10, 1, 1, set()),
)


def exercise_1(twice: int, job: Mapping[str, int]) -> str | None:
    """Check the most images that are encoded twice."""
    workers, size, kills, cuts = (job[name] for name in ("workers", "shard size", "kills", "power cuts"))
    right = (kills + cuts) * workers * size
    if twice == right:
        return None
    if twice == (kills + cuts * workers) * size:
        return "When one worker is killed, `encode_manifest` stops the others as well."
    if twice == (kills + cuts) * size:
        return "That is one shard per accident. Count the shards that are in progress at each accident."
    if twice == (kills + cuts) * workers:
        return "Those are shards. Count images."
    return (
        f"Expected {'fewer' if twice > right else 'more'}; got {twice}. Count the shards in progress at each accident."
    )


def exercise_2(to_do: Callable[[int, int, int, int, set[int]], Iterable[int]]) -> str | None:
    """Check which shards a machine still has to encode."""
    if not callable(to_do):
        return f"Expected a function of rows, size, k, n, and there; got {type(to_do).__name__}."
    for rows, size, k, n, there in CASES:
        count = -(-rows // size)
        right = [i for i in range(k - 1, count, n) if i not in there]
        found = [int(i) for i in to_do(rows, size, k, n, set(there))]
        case = f"For {rows} rows, size {size}, machine {k} of {n}, and complete shards {sorted(there)}: got {found}."
        if found == right:
            continue
        if set(found) & there:
            return f"{case} A complete shard is not encoded again."
        if any(not 0 <= i < count for i in found):
            return f"{case} A shard is among them that does not exist. The first has number 0."
        if sorted(found) == right:
            return f"{case} Those are the right ones; return them in ascending order."
        if rows % size and found == right[: len(found)]:
            return f"{case} The last rows may fill only a part of a shard."
        return f"{case} Machine 1 takes shard 0, machine 2 takes shard 1, and each takes every n-th from there."
    return None
