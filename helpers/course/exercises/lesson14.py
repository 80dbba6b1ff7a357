"""The exercises of lesson 14, Inside the encoders."""

from collections.abc import Callable

import torch
from torch.nn import functional


def exercise_1(count: int, resolution: int, patch: int) -> str | None:
    """Check how many rows go into a ViT's first block: one for each patch, and the class token's."""
    patches = (resolution // patch) ** 2
    if count == patches + 1:
        return None
    if count == patches:
        return "Nearly: these are the patches alone."
    return f"Too {'many' if count > patches else 'few'}. Patches don't overlap, and they cover the whole square."


def exercise_2(attend: Callable) -> str | None:
    """Check causal attention of one head with random rows."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 5, 8, generator=generator).unbind()
    found = attend(query, key, value)
    if not isinstance(found, torch.Tensor) or found.shape != value.shape:
        return f"Five rows of eight numbers went in as values; as many must come out, {tuple(value.shape)}."
    later = value.clone()
    later[-1] += 1
    if not torch.allclose(attend(query, key, later)[:-1], found[:-1]):
        return "The last row's value was changed, and an earlier row has seen it."
    if torch.allclose(found, functional.scaled_dot_product_attention(query, key, value, is_causal=True), atol=1e-5):
        return None
    return "No row looks ahead, but the mixture is wrong. Look at the scores' scale, and at the axis of the softmax."
