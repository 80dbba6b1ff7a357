"""The exercises of lesson 14, Inside the encoders: the parts of a vision transformer, and the course's own parts."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers._clip import ResidualAttentionBlock
from helpers.course.exercises import check

Weights = Mapping[str, Tensor]


def patchify(image: Tensor, side: int) -> Tensor:
    """Cut an image ``(3, h, w)`` into flat patches ``(patches, 3 · side · side)``, line by line."""
    patches = image.unfold(1, side, side).unfold(2, side, side)  # (3, rows, columns, side, side)
    return patches.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalize each token to mean 0 and standard deviation 1; scale and shift."""
    x = x - x.mean(dim=-1, keepdim=True)
    return x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | float = 0) -> tuple[Tensor, Tensor]:
    """Return the weighted averages of the values, and the weights."""
    weights = (query @ key.mT / query.shape[-1] ** 0.5 + mask).softmax(dim=-1)
    return weights @ value, weights


def multi_head(x: Tensor, w: Weights, heads: int, mask: Tensor | float = 0) -> tuple[Tensor, Tensor]:
    """Let the tokens attend to each other in several heads side by side."""
    joint = x @ w["in_proj_weight"].T + w["in_proj_bias"]
    query, key, value = (part.unflatten(-1, (heads, -1)).transpose(0, 1) for part in joint.chunk(3, dim=-1))
    mixed, weights = attend(query, key, value, mask)
    return mixed.transpose(0, 1).flatten(1) @ w["out_proj.weight"].T + w["out_proj.bias"], weights


def block(x: Tensor, w: Weights, heads: int, mask: Tensor | float = 0) -> tuple[Tensor, Tensor]:
    """Add what attention collects, then what the MLP makes of it."""
    attention = {name.removeprefix("attn."): value for name, value in w.items() if name.startswith("attn.")}
    mixed, weights = multi_head(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), attention, heads, mask)
    x = x + mixed
    wide = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"].T + w["mlp.c_fc.bias"]
    return x + wide * torch.sigmoid(1.702 * wide) @ w["mlp.c_proj.weight"].T + w["mlp.c_proj.bias"], weights


def encode_image(pixels: Tensor, w: Weights) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Return the embedding, the tokens before the first and after each block, and each block's attention weights."""
    x = patchify(pixels, w["conv1.weight"].shape[-1]) @ w["conv1.weight"].flatten(1).T
    x = torch.cat([w["class_embedding"][None], x]) + w["positional_embedding"]
    x = layer_norm(x, w["ln_pre.weight"], w["ln_pre.bias"])
    states, weights = [x], []
    for i in range(sum(name.endswith("ln_1.weight") for name in w)):
        prefix = f"transformer.resblocks.{i}."
        part = {name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)}
        x, looks = block(x, part, x.shape[-1] // 64)
        states.append(x)
        weights.append(looks)
    return layer_norm(x[0], w["ln_post.weight"], w["ln_post.bias"]) @ w["proj"], states, weights


PARTS: dict[int, Callable] = dict(enumerate((patchify, layer_norm, attend, multi_head, block, encode_image), start=1))


def finished(exercise: str, answer: Any, *context: object) -> Callable:
    """Return the learner's function if it passes its check, else the course's, so that the lesson runs on either way.

    Args:
        exercise: lesson and number, "14.1" to "14.6".
        answer: the learner's function, or ``...``.
        context: as for `check`.
    """
    if check(exercise, answer, *context).right:
        return answer
    return PARTS[int(exercise.split(".")[1])]


def exercise_1(answer: Callable) -> str | None:
    """Check patches of an image whose rows and columns differ in number."""
    image = torch.randn(3, 8, 12, generator=_generator())
    found, right = answer(image, 4), patchify(image, 4)
    if _same(found, functional.unfold(image[None], 4, stride=4)[0]):
        return "Each patch is a column of your result. Make it a row."
    if isinstance(found, Tensor) and found.shape == right.shape:
        by_columns = right.reshape(2, 3, -1).transpose(0, 1).flatten(0, 1)
        if _same(found, by_columns):
            return "Your patches come column by column. Go through the image line by line, as one reads."
        if _same(found, right.unflatten(1, (3, 16)).mT.flatten(1)):
            return "In each patch, all values of the first colour come first, then the second, then the third."
    return _fault(found, right, "For an image of 3 × 8 × 12 and patches of 4 × 4")


def exercise_2(answer: Callable) -> str | None:
    """Check layer normalization."""
    x, weight, bias = (torch.randn(*shape, generator=_generator(seed)) for seed, shape in enumerate([(5, 8), [8], [8]]))
    x = 3 * x + 1
    found = answer(x, weight, bias)
    plain = functional.layer_norm(x, [8])
    if _same(found, plain):
        return "The tokens are normalized, but weight and bias are not used."
    if _same(found, (x - x.mean(0)) / x.std(0, correction=0) * weight + bias):
        return "You normalize across the tokens. Normalize within each token, along the last dimension."
    if _same(found, plain * (7 / 8) ** 0.5 * weight + bias):
        return "Nearly: divide the sum of squares by the number of values, not by one less (`correction=0`)."
    return _fault(found, functional.layer_norm(x, [8], weight, bias), "For five tokens of eight values")


def exercise_3(answer: Callable) -> str | None:
    """Check attention, with a mask, and with heads as a leading dimension."""
    query, key, value = torch.randn(3, 2, 5, 8, generator=_generator()).unbind()
    for name, q, k, v in (("five tokens", query[0], key[0], value[0]), ("two heads of five tokens", query, key, value)):
        found = answer(q, k, v)
        if not isinstance(found, tuple) or len(found) != 2:
            return "Return two tensors: the weighted averages of the values, and the weights."
        right = functional.scaled_dot_product_attention(q, k, v)
        if _same(found[0], (q @ k.mT).softmax(-1) @ v):
            return "The scores are not divided by the square root of the dimension of a query."
        if isinstance(found[1], Tensor) and torch.allclose(found[1].sum(-2), torch.ones(5), atol=1e-4):
            return "Each column of the weights adds up to 1. Each row should: see the axis of the softmax."
        fault = _fault(found[0], right, f"For {name}")
        if fault:
            return fault
        if not _same(found[1], attend(q, k, v)[1]):
            return "The averages are right. The second result is not the weights that made them."
    mask = torch.full((5, 5), -torch.inf).triu(1)
    masked = answer(query, key, value, mask)[0]
    return _fault(
        masked,
        functional.scaled_dot_product_attention(query, key, value, is_causal=True),
        "With a mask to add to the scores",
    )


def exercise_4(answer: Callable) -> str | None:
    """Check attention in several heads beside torch's."""
    torch_module, x = nn.MultiheadAttention(8, 2), torch.randn(5, 8, generator=_generator())
    w = _random_weights(torch_module)
    right, right_weights = torch_module(x, x, x, average_attn_weights=False)
    found = answer(x, w, 2)
    if not isinstance(found, tuple) or len(found) != 2:
        return "Return two tensors: the tokens, and the weights of all heads."
    if _same(found[0], multi_head(x, w, 1)[0]):
        return "That is one head. Split queries, keys and values into as many parts as there are heads."
    no_projection = {**w, "out_proj.weight": torch.eye(8), "out_proj.bias": torch.zeros(8)}
    if _same(found[0], multi_head(x, no_projection, 2)[0]):
        return "The heads are side by side, but the output projection `out_proj` is missing."
    return _fault(found[0], right, "For five tokens and two heads") or _fault(found[1], right_weights, "The weights:")


def exercise_5(answer: Callable) -> str | None:
    """Check a block beside OpenAI's."""
    theirs, x = ResidualAttentionBlock(16, 2), torch.randn(5, 16, generator=_generator())
    w = _random_weights(theirs)
    right = theirs(x[:, None])[:, 0]
    found = answer(x, w, 2)
    if not isinstance(found, tuple) or len(found) != 2:
        return "Return two tensors: the tokens, and the weights that `multi_head` returned."
    after, weights = multi_head(
        layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), {k[5:]: v for k, v in w.items() if k.startswith("attn.")}, 2
    )
    if _same(found[0], x + after):
        return "That is the first update alone. The MLP is missing."
    if _same(found[0], right - x - after) or _same(found[0], right - x):
        return "An update is *added* to the tokens that were there. One of your updates replaces them."
    return _fault(found[0], right, "For five tokens") or _fault(found[1], weights, "The weights:")


def exercise_6(answer: Callable, vit: Any, pixels: Tensor) -> str | None:
    """Check the whole encoder beside the library's."""
    w = dict(vit.visual.named_parameters())
    found, right = answer(pixels, w), encode_image(pixels, w)
    if not isinstance(found, tuple) or len(found) != 3:
        return "Return three results: the embedding, the list of states, and the list of weights."
    if isinstance(found[0], Tensor) and found[0].shape == right[1][0].shape[1:]:
        return "That is the class token. The projection `w['proj']` is missing."
    fault = _fault(found[0], vit.encode_image(pixels[None])[0], "The embedding:")
    if fault or len(found[1]) == len(right[1]):
        return fault
    return f"Expected {len(right[1])} states, the first before block 0; got {len(found[1])}."


def exercise_7(count: int, resolution: int, side: int) -> str | None:
    """Check how many tokens go into a ViT's first block: one per patch, and the class token."""
    patches = (resolution // side) ** 2
    if count == patches + 1:
        return None
    if count == patches:
        return "Nearly: these are the patches alone."
    return f"Too {'many' if count > patches else 'few'}. Patches don't overlap, and they cover the whole square."


def exercise_8(answer: Callable) -> str | None:
    """Check the average distance that a head attends over."""
    uniform = torch.full((9, 9), 1 / 9)
    random = torch.rand(16, 16, generator=_generator()).softmax(dim=-1)
    cases = {
        "where each patch attends only to itself": (torch.eye(9), 3),
        "where each patch attends to all nine alike": (uniform, 3),
        "where the rows do not add up to 1, because the class token gets the rest": (0.5 * uniform, 3),
        "with random weights": (random, 4),
    }
    for name, (weights, side) in cases.items():
        found = float(answer(weights, side))
        if not np.isclose(found, _distance(weights, side), atol=1e-4):
            return f"For a grid of {side} × {side}, {name}, expected {_distance(weights, side):.2f}; got {found:.2f}."
    return None


def _distance(weights: Tensor, side: int) -> float:
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).float()
    return float((weights * torch.cdist(places, places)).sum() / weights.sum())


def _random_weights(module: nn.Module) -> Weights:
    generator = _generator()
    for parameter in module.parameters():
        parameter.requires_grad_(False).copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return dict(module.named_parameters())


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _same(found: object, right: Tensor) -> bool:
    return isinstance(found, Tensor) and found.shape == right.shape and torch.allclose(found, right, 1e-4, 1e-4)


def _fault(found: object, right: Tensor, case: str) -> str | None:
    if not isinstance(found, Tensor):
        return f"{case}, expected a tensor; got {type(found).__name__}.".replace(":,", ": ")
    if found.shape != right.shape:
        return f"{case}, expected the shape {tuple(right.shape)}; got {tuple(found.shape)}.".replace(":,", ": ")
    if not torch.allclose(found, right, 1e-3, 1e-4 * float(right.abs().max())):
        return f"{case}, the shape is right, but the values are not.".replace(":,", ": ")
    return None
