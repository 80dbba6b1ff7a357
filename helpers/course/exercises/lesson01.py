"""The exercises of lesson 1, List the models."""

from collections.abc import Sequence

import torch

from helpers._clip import CLIP
from helpers.models import ModelInfo

MOST_MIB = 300
B32_MINUTES, TOLERANCE_MINUTES = 10, 2


def exercise_1(name: str, models: Sequence[ModelInfo]) -> str | None:
    """The best model whose file is below 300 MiB."""
    chosen = {model.name: model for model in models}.get(name)
    if chosen is None:
        return f"{name!r} is not the name of a model in the table."
    if chosen.imagenet_accuracy is None:
        return f"{name} has no figure for ImageNet."
    if chosen.download_mib >= MOST_MIB:
        return f"the file of {name} has {chosen.download_mib} MiB."
    small = [model.imagenet_accuracy or 0 for model in models if 0 < model.download_mib < MOST_MIB]
    return "another file below 300 MiB holds a better model." if chosen.imagenet_accuracy < max(small) else None


def exercise_2(minutes: float, figures: dict[str, ModelInfo]) -> str | None:
    """The time of ViT-L/14, where ViT-B/32 takes ten minutes."""
    right = B32_MINUTES * figures["ViT-L/14"].gflops / figures["ViT-B/32"].gflops
    if abs(minutes - right) <= TOLERANCE_MINUTES:
        return None
    return f"{minutes} is too {'short' if minutes < right else 'long'}: how many times the work is it?"


def exercise_3(count: int) -> str | None:
    """The number of parameters of ViT-B/16."""
    by_patch = {}
    for patch in (16, 32):
        with torch.device("meta"):
            model = CLIP(512, 224, 12, 768, patch, 77, 49408, 512, 8, 12)
        by_patch[patch] = sum(parameter.numel() for parameter in model.parameters())
    if count == by_patch[32]:
        return "that is ViT-B/32: is the side of your patches 16?"
    return None if count == by_patch[16] else "only the side of a patch differs from ViT-B/32."
