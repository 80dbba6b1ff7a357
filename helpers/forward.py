"""The model's forward pass, on all cores, without the work that no feature depends on.

A feature is read at one place: a picture's at the class token, a text's at its end token. So the last block is
computed for that place alone. And a text's tokens look back, never ahead: what pads it after its end can be left out.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

import torch
from torch.nn import functional

from helpers.models import CLIP, ResidualAttentionBlock, VisionTransformer

QUICK_GELU = 1.702  # CLIP's activation is x · sigmoid(1.702 x), which is silu(1.702 x) / 1.702
BLOCK_PARTS = [type(part) for part in ResidualAttentionBlock(64, 1).modules()]

Piece, Result = TypeVar("Piece"), TypeVar("Result")


def image_features(model: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Do what ``model.encode_image`` does, faster for the official ViTs.

    Args:
        model: from `load` or `clip.load`. A ResNet, or a model that was changed, gets the call of ``encode_image``.
        pixels: ``(n, 3, resolution, resolution)``, preprocessed, on the model's device.

    Returns:
        ``(n, d)`` in the model's precision, not normalized. In float32 it differs from ``encode_image`` by rounding
        alone: by less than 1e-5 of the largest number in it.
    """
    visual = getattr(model, "visual", None)
    if type(visual) is not VisionTransformer or _is_changed(model, "encode_image", visual):
        return model.encode_image(pixels)
    x = visual.conv1(pixels.type(model.dtype)).flatten(2).transpose(1, 2)  # (n, patches, width)
    start = visual.class_embedding.to(x.dtype).expand(len(x), 1, -1)
    x = visual.ln_pre(torch.cat([start, x], dim=1) + visual.positional_embedding.to(x.dtype))
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = _apply(block, x, x)
    x = visual.ln_post(_apply(last, x, x[:, :1])[:, 0])
    return x if visual.proj is None else x @ visual.proj


def text_features(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Do what ``model.encode_text`` does, for tokens that may be cut after the end of the longest text.

    Args:
        model: from `load` or `clip.load`. One that was changed gets the call of ``encode_text``.
        tokens: ``(n, length)`` of `clip.tokenize`, on the model's device; ``length`` is at most the context length.

    Returns:
        ``(n, d)`` in the model's precision, as near to ``encode_text`` as `image_features` to ``encode_image``.
    """
    if _is_changed(model, "encode_text", getattr(model, "transformer", None)):
        return model.encode_text(functional.pad(tokens, (0, model.context_length - tokens.shape[1])))
    x = model.token_embedding(tokens).type(model.dtype)  # (n, length, width)
    x = x + model.positional_embedding[: tokens.shape[1]].type(model.dtype)
    *blocks, last = model.transformer.resblocks
    for block in blocks:
        x = _apply(block, x, x, causal=True)
    rows, end = torch.arange(len(x), device=x.device), tokens.argmax(dim=-1)  # the end token has the largest number
    before_end = torch.arange(x.shape[1], device=x.device) <= end[:, None]
    x = _apply(last, x, x[rows, end, None], mask=before_end[:, None, None])
    return model.ln_final(x[:, 0]) @ model.text_projection


def _apply(
    block: ResidualAttentionBlock,
    x: torch.Tensor,
    asking: torch.Tensor,
    mask: torch.Tensor | None = None,
    causal: bool = False,
) -> torch.Tensor:
    """Apply a block of ``x``, ``(n, length, width)``, to those of its places that ask: ``(n, places, width)``."""
    attention, width = block.attn, x.shape[-1]
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    normal = block.ln_1(x)
    query = functional.linear(normal if asking is x else block.ln_1(asking), weight[:width], bias[:width])
    key, value = functional.linear(normal, weight[width:], bias[width:]).chunk(2, dim=-1)
    query, key, value = (
        part.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for part in (query, key, value)
    )  # (n, heads, places, width / heads)
    found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
    x = asking + attention.out_proj(found.transpose(1, 2).flatten(2))
    hidden = block.mlp.c_fc(block.ln_2(x)).mul_(QUICK_GELU)
    return x + block.mlp.c_proj(functional.silu(hidden, inplace=True).div_(QUICK_GELU))


def _is_changed(model: torch.nn.Module, call: str, tower: torch.nn.Module | None) -> bool:
    """Say whether this is not what clip.model builds: a part replaced (quantized, LoRA), or something hooked on."""
    if type(model) is not CLIP or call in vars(model):
        return True
    if any(part._forward_hooks or part._forward_pre_hooks for part in tower.modules()):
        return True
    blocks = getattr(tower, "transformer", tower).resblocks
    return any([type(part) for part in block.modules()] != BLOCK_PARTS for block in blocks)


def in_threads(function: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """Call ``function`` on every piece of work, in as many threads as torch uses, and give the results in order.

    Each thread has a single thread of torch. Threads that share one forward pass wait for each other at every layer;
    threads with a piece each do not. A piece that is alone gets all threads of torch.

    While it runs, any other thread that starts gets a single thread of torch, too: let one thread at a time call it.

    Args:
        function: safe to call in several threads.
        pieces: any iterable, read in the caller's thread, at most two pieces further than there are threads.
    """
    pieces = iter(pieces)
    first = list(islice(pieces, 2))
    if len(first) < 2:
        yield from map(function, first)
        return
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = deque()
        try:
            for piece in chain(first, pieces):
                waiting.append(pool.submit(function, piece))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            torch.set_num_threads(threads)  # what threads that start later will have


def share_out(batch: list, device: torch.device) -> list[list]:
    """Cut a batch into even pieces, one for each thread of torch; on other devices than a CPU, leave it whole."""
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    size = max(1, -(-len(batch) // threads))
    return [batch[start : start + size] for start in range(0, len(batch), size)]
