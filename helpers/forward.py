"""The model's forward pass, without the work that no feature depends on.

A feature is read at one place: an image's at the class token, a text's at its end token. So the last block is
computed for that place alone. And a text's tokens look back, never ahead: what pads it after its end can be left out.

Each block is written with clip's own parts, so what hangs on a part (a hook, LoRA, quantization) acts by itself.
A model whose parts are put together in another way than clip's gets the plain call.
"""

import os

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from helpers._clip import CLIP, QuickGELU, ResidualAttentionBlock, Transformer, VisionTransformer
from helpers._validation import shown

QUICK_GELU = 1.702  # CLIP's activation is x · sigmoid(1.702 x), which is silu(1.702 x) / 1.702
CALLS = ("forward", "attention", "encode_image", "encode_text")
CLIPS_OWN = {
    part: [getattr(part, call, None) for call in CALLS]
    for part in (CLIP, QuickGELU, ResidualAttentionBlock, Transformer, VisionTransformer, nn.Sequential, nn.Linear)
}


def refuse_no_clip(model: object) -> None:
    """Refuse what is no CLIP, such as a model together with its preprocessing.

    Raises:
        TypeError: this is no CLIP.
    """
    if not (isinstance(model, nn.Module) and isinstance(getattr(model, "text_projection", None), torch.Tensor)):
        raise TypeError(f"model is {shown(model)}; give the model alone: model, preprocess = load(…)")


def feature_size(model: CLIP) -> int:
    """Give ``d``, the length of a feature row.

    Raises:
        TypeError: this is no CLIP.
        ValueError: it is in training mode, and has parts that would act otherwise then, or change with each image.
    """
    refuse_no_clip(model)
    if any(part.training and isinstance(part, (_BatchNorm, _DropoutNd)) for part in model.modules()):
        raise ValueError(
            "the model is in training mode, where its normalization changes with each image: call model.eval() first"
        )
    return model.text_projection.shape[1]


def image_features(model: CLIP, pixels: torch.Tensor) -> torch.Tensor:
    """Do what ``model.encode_image`` does, faster for the official ViTs.

    Args:
        model: from `load` or `clip.load`. A ResNet, or a model put together in another way, gets the call of
            ``encode_image``; so does every model while the environment variable ``CLIP_PLAIN`` is set.
        pixels: ``(n, 3, resolution, resolution)``, preprocessed, on the model's device.

    Returns:
        ``(n, d)`` in the model's precision, not normalized. In float32 it differs from ``encode_image`` by rounding
        alone: by less than 1e-5 of the largest number in it.
    """
    visual = getattr(model, "visual", None)
    if not (isinstance(visual, VisionTransformer) and _is_clips_own(model, visual, visual.transformer)):
        return model.encode_image(pixels)
    x = visual.conv1(pixels.type(model.dtype)).flatten(2).permute(2, 0, 1)  # (patches, n, width)
    start = visual.class_embedding.to(x.dtype).expand(1, x.shape[1], -1)
    x = visual.ln_pre(torch.cat([start, x]) + visual.positional_embedding.to(x.dtype)[:, None])
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = _apply(block, x, x)
    x = visual.ln_post(_apply(last, x, x[:1])[0])
    return x if visual.proj is None else x @ visual.proj


def text_features(model: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """Do what ``model.encode_text`` does, for tokens that may be cut after the end of the longest text.

    Args:
        model: as in `image_features`.
        tokens: ``(n, length)`` of `clip.tokenize`, on the model's device; ``length`` is at most the context length.

    Returns:
        ``(n, d)`` in the model's precision, as near to ``encode_text`` as `image_features` to ``encode_image``.
    """
    if not _is_clips_own(model, getattr(model, "transformer", None)):
        return model.encode_text(functional.pad(tokens, (0, model.context_length - tokens.shape[1])))
    n, length = tokens.shape
    x = model.token_embedding(tokens).type(model.dtype) + model.positional_embedding[:length].type(model.dtype)
    x = x.transpose(0, 1)  # (length, n, width)
    *blocks, last = model.transformer.resblocks
    ahead = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
    for block in blocks:
        x = _apply(block, x, x, ahead, is_causal=True)
    end = tokens.argmax(dim=1)  # the end token has the largest number
    after_end = torch.arange(length, device=x.device) > end[:, None]
    mask = after_end.repeat_interleave(last.attn.num_heads, dim=0)[:, None]  # (n · heads, 1, length)
    x = _apply(last, x, x[end, torch.arange(n, device=x.device)][None], mask)
    return model.ln_final(x[0]).type(model.dtype) @ model.text_projection


def _apply(
    block: ResidualAttentionBlock,
    x: torch.Tensor,
    asking: torch.Tensor,
    mask: torch.Tensor | None = None,
    is_causal: bool = False,
) -> torch.Tensor:
    """Apply a block of ``x``, ``(length, n, width)``, to those of its places that ask: ``(places, n, width)``."""
    normal = block.ln_1(x)
    query = normal if asking is x else block.ln_1(asking)
    x = asking + block.attn(query, normal, normal, need_weights=False, attn_mask=mask, is_causal=is_causal)[0]
    mlp, normal = block.mlp, block.ln_2(x)
    if [name for name, _ in mlp.named_children()] != ["c_fc", "gelu", "c_proj"] or not all(
        map(_is_unchanged, (mlp, mlp.c_fc, mlp.gelu))
    ):
        return x + mlp(normal)
    hidden = mlp.c_fc(normal).mul_(QUICK_GELU)  # three passes over memory instead of four
    return x + mlp.c_proj(functional.silu(hidden, inplace=True).div_(QUICK_GELU))


def _is_clips_own(model: CLIP, *towers: nn.Module | None) -> bool:
    """Say whether the parts that we call by ourselves are put together as clip does it, and nothing hangs on them."""
    if os.environ.get("CLIP_PLAIN") or not isinstance(towers[-1], Transformer):
        return False
    blocks = towers[-1].resblocks
    return all(map(_is_unchanged, (model, *towers, blocks, *blocks)))


def _is_unchanged(part: nn.Module) -> bool:
    """Say whether this is a part of clip's own kind, with its own calls and no hook."""
    return (
        CLIPS_OWN.get(type(part)) == [getattr(type(part), call, None) for call in CALLS]
        and not any(call in vars(part) for call in CALLS)
        and not (part._forward_hooks or part._forward_pre_hooks)
    )
