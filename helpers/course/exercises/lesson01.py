"""The exercises of lesson 1, Choose a model."""

from collections.abc import Callable
from dataclasses import replace

from helpers.models import list_models

PARAMETERS = {"ViT-B/16": 149_620_737, "ViT-B/32": 151_277_313}


def exercise_1(parameters: int) -> str | None:
    """The parameters of ViT-B/16."""
    if parameters == PARAMETERS["ViT-B/16"]:
        return None
    if parameters == PARAMETERS["ViT-B/32"]:
        return "This is ViT-B/32; change the side of a patch."
    return f"Expected the number of parameters of ViT-B/16; got {parameters:,}."


def exercise_2(best_below: Callable) -> str | None:
    """The most accurate model up to a size."""
    if not callable(best_below):
        return f"Expected a function of candidates and mib; got {type(best_below).__name__}."
    official = [m for m in list_models() if m.imagenet_accuracy]
    exact = [replace(official[0], name="just", download_mib=10)]
    cases = [
        (list_models(), 300, "RN101", "at most 300 MiB"),
        (official[::-1], 400, "ViT-B/16", "at most 400 MiB, in another order"),
        (exact, 10, "just", "exactly 10 MiB, and 10 allowed"),
        (list_models(), 5, None, "at most 5 MiB, where none with a measured accuracy fits"),
    ]
    for models, mib, right, what in cases:
        given = best_below(models, mib)
        if given != right:
            return f"For {what}, expected {right!r}; got {given!r}."
    return None
