"""The exercises of lesson 13, Ask why."""

from collections.abc import Callable


def exercise_1(count: int, size: tuple[int, int], patch: int, stride: int) -> str | None:
    """How many images a map costs: one for each position of the patch, and the image itself."""
    columns, rows = ((length - patch) // stride + 1 for length in size)
    if count == columns * rows + 1:
        return None
    if count == columns * rows:
        return "Nearly: the score of the uncovered image is needed as well."
    if count == (size[0] // stride) * (size[1] // stride) + 1:
        return "At the last of these positions, the patch would reach beyond the image."
    return f"Expected columns × rows + 1, where the patch stays inside the image; got {count}."


def exercise_2(pair_drops: Callable) -> str | None:
    """The drop for each pair of hidden places."""
    if not callable(pair_drops):
        return f"Expected a function of score and places; got {type(pair_drops).__name__}."

    def score(hidden: set[str]) -> float:
        return 0.9 * (not {"eye", "beak"} <= set(hidden)) - 0.2 * ("boat" not in hidden)

    given = pair_drops(score, ["eye", "beak", "boat"])
    right = {("eye", "beak"): 0.9, ("eye", "boat"): -0.2, ("beak", "boat"): -0.2}
    if not isinstance(given, dict):
        return f"Expected a dictionary; got {type(given).__name__}."
    if set(given) != set(right):
        return f"Expected the pairs {list(right)} of the places eye, beak and boat; got {list(given)}."
    for pair, drop in right.items():
        if abs(given[pair] + drop) < 1e-6:
            return f"The drop of {pair} has the wrong sign: it is the old score minus the new one."
        if abs(given[pair] - drop) > 1e-6:
            return f"Expected the drop when both of {pair} are hidden at once, {drop:.1f}; got {given[pair]:.1f}."
    return None
