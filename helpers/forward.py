"""The model's forward pass, without computations that no embedding depends on.

An embedding is read at one position: at the class token of an image, or at the end token of a text. The last block
therefore computes only that position. The tokens of a text attend only to earlier ones, so the padding after its end
can be left out. A model with a part that is not clip's own, or with a hook, LoRA or another mask, gets the plain call.
"""

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.module import _has_any_global_hook

from helpers._clip import CLIP, AttentionPool2d, LayerNorm, ResidualAttentionBlock, Transformer, VisionTransformer
from helpers._linear import Linear, Product
from helpers._open_clip import OpenClip
from helpers._validation import shown

QUICK_GELU = 1.702  # CLIP's activation is x · sigmoid(1.702 x), which is silu(1.702 x) / 1.702
CALLS = ("forward", "attention", "encode_image", "encode_text")
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
with torch.device("meta"):
    BLOCK = {name: type(part) for name, part in ResidualAttentionBlock(1, 1).named_modules()}
CLIPS_OWN = {
    kind: [getattr(kind, call, None) for call in CALLS]
    for kind in (CLIP, VisionTransformer, Transformer, *BLOCK.values())
}


def refuse_no_clip(model: object) -> None:
    """Refuse what is not a CLIP model of OpenAI's architecture, such as a model together with its preprocessing.

    Raises:
        TypeError: this is not one.
    """
    if isinstance(model, OpenClip):
        raise TypeError(
            f"Expected a model of OpenAI's own architecture; got {shown(model.name)}. Train it by open_clip."
        )
    if not (isinstance(model, nn.Module) and isinstance(getattr(model, "text_projection", None), torch.Tensor)):
        raise TypeError(
            f"Expected a CLIP model; got {shown(model)}. Pass the model alone: model, preprocess = load(…)."
        )


def refuse_not_clips_own(model: CLIP) -> None:
    """Refuse a model with a part that is not clip's own, a hook, LoRA, or another mask.

    Raises:
        TypeError: it has one, or is a model of open_clip.
    """
    if isinstance(model, OpenClip):
        raise TypeError(f"Expected a model of OpenAI's own architecture; got {shown(model.name)}.")
    visual = model.visual
    own = _is_clips_own(model, visual, visual.transformer) if isinstance(visual, VisionTransformer) else True
    if not (own and _is_clips_own(model, model.transformer, is_causal=True)):
        raise TypeError(
            "Expected a model of clip's own parts; got one with other parts, hooks, LoRA or another mask. "
            "Merge them into its weights, or remove them."
        )


def feature_size(model: CLIP) -> int:
    """Return ``d``, the size of the model's embeddings; refuse a model that clip's own calls would fail with.

    Raises:
        TypeError: this is not a CLIP model, or its attention pool is quantized.
        ValueError: it is in training mode, and has parts that act differently then, or change with each image; its
            normalization is not in float32; or it is on the device ``meta``.
    """
    if not isinstance(model, OpenClip):
        refuse_no_clip(model)
        if model.text_projection.is_meta:
            raise ValueError("Expected a model with weights; got one on the device 'meta'. Load it again.")
    for name, part in model.named_modules():
        if part.training and isinstance(part, (_BatchNorm, _DropoutNd)):
            raise ValueError(f"Expected a model in eval mode; got {name} in training mode. Call model.eval().")
        if isinstance(part, LayerNorm) and part.weight.dtype != torch.float32:
            raise ValueError(f"Expected {name} in float32, as in clip; got {part.weight.dtype}. Call model.float().")
        if isinstance(part, AttentionPool2d) and not isinstance(part.q_proj.weight, torch.Tensor):
            raise TypeError(f"Expected tensors in {name}; got quantized layers. Quantize model.transformer alone.")
    return model.embedding_size if isinstance(model, OpenClip) else model.text_projection.shape[1]


def image_features(model: CLIP, pixels: torch.Tensor, linear: Product | None = None) -> torch.Tensor:
    """Compute what ``model.encode_image`` does, faster for a ViT.

    Args:
        model: from `load` or `clip.load`. A ResNet, or a model with a part that is not clip's own, gets the plain call.
        pixels: ``(n, 3, resolution, resolution)``, preprocessed, on the model's device.
        linear: share one among calls between which no weight changes.

    Returns:
        ``(n, d)`` in the model's precision, not normalized. In float32 it differs from ``encode_image`` by rounding
        alone: by less than 1e-5 of its largest value.
    """
    visual = getattr(model, "visual", None)
    if not (isinstance(visual, VisionTransformer) and _is_clips_own(model, visual, visual.transformer)):
        return model.encode_image(pixels)
    x = visual.conv1(pixels.type(model.dtype)).flatten(2).transpose(1, 2)  # (n, patches, width)
    start = visual.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
    x = visual.ln_pre(torch.cat([start, x], dim=1) + visual.positional_embedding.to(x.dtype))
    class_token = pixels.new_zeros(x.shape[0], dtype=torch.long)
    x = visual.ln_post(_apply(visual.transformer, x, class_token, linear or Linear()))
    return x if visual.proj is None else x @ visual.proj


def text_features(model: CLIP, tokens: torch.Tensor, linear: Product | None = None) -> torch.Tensor:
    """Compute what ``model.encode_text`` does, for tokens that may be cut after the end of the longest text.

    Args:
        model, linear: as in `image_features`.
        tokens: ``(n, length)`` of `clip.tokenize`, on the model's device; ``length`` is at most the context length.

    Returns:
        ``(n, d)`` in the model's precision, as near to ``encode_text`` as `image_features` to ``encode_image``.
    """
    if isinstance(model, OpenClip):
        return model.encode_text(tokens)
    if not _is_clips_own(model, getattr(model, "transformer", None), is_causal=True):
        return model.encode_text(functional.pad(tokens, (0, model.context_length - tokens.shape[1])))
    return causal_text_features(model, tokens, linear or Linear())


def causal_text_features(model: CLIP, tokens: torch.Tensor, linear: Product) -> torch.Tensor:
    """Compute `text_features` of a model that is known to be clip's own, as `refuse_not_clips_own` makes sure."""
    x = model.token_embedding(tokens).type(model.dtype)  # (n, length, width)
    x = x + model.positional_embedding[: tokens.shape[1]].type(model.dtype)
    end = tokens.argmax(dim=1)  # the end token has the largest number
    x = _apply(model.transformer, x, end, linear, is_causal=True)
    return model.ln_final(x).type(model.dtype) @ model.text_projection


def _apply(
    transformer: Transformer, x: torch.Tensor, at: torch.Tensor, linear: Product, is_causal: bool = False
) -> torch.Tensor:
    """Apply all blocks to ``x``, ``(n, length, width)``; return the position ``at`` of each row, ``(n, width)``."""
    for i, block in enumerate(transformer.resblocks, start=1):
        attn, mlp = block.attn, block.mlp
        projected = linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
        q, k, v = projected.unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (n, heads, length, …) each
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=is_causal).transpose(1, 2).flatten(2)
        if i == len(transformer.resblocks):
            x, mixed = (every[torch.arange(x.shape[0], device=x.device), at] for every in (x, mixed))
        x = x + linear(mixed, attn.out_proj.weight, attn.out_proj.bias)
        hidden = linear(block.ln_2(x), mlp.c_fc.weight, mlp.c_fc.bias).mul_(QUICK_GELU)
        hidden = functional.silu(hidden, inplace=True).div_(QUICK_GELU)  # three passes over memory instead of four
        x = x + linear(hidden, mlp.c_proj.weight, mlp.c_proj.bias)
    return x


def _is_clips_own(model: CLIP, *towers: nn.Module | None, is_causal: bool = False) -> bool:
    """Return whether all that is written out here, or left out, is clip's own and untouched."""
    if _has_any_global_hook() or not isinstance(towers[-1], Transformer):
        return False
    blocks = towers[-1].resblocks
    return (
        all(map(_is_untouched, (model, *towers, blocks)))
        and all(map(_is_own_block, blocks))
        and all(_is_causal(mask) if is_causal else mask is None for mask in {block.attn_mask for block in blocks})
    )


def _is_own_block(block: ResidualAttentionBlock) -> bool:
    return (
        {name: type(part) for name, part in block.named_modules()} == BLOCK
        and all(map(_is_untouched, block.modules()))
        and not (block.attn.dropout or block.attn.add_zero_attn or block.attn.batch_first)
        and block.attn.bias_k is None
    )


def _is_untouched(part: nn.Module) -> bool:
    """Return whether this is a part of clip's own kind, with its own calls and no hook."""
    calls = [getattr(getattr(part, call, None), "__func__", None) for call in CALLS]
    return CLIPS_OWN.get(type(part)) == calls and not any(getattr(part, hooks) for hooks in HOOKS)


def _is_causal(mask: torch.Tensor | None) -> bool:
    return mask is not None and torch.equal(mask, mask.new_full(mask.shape, -torch.inf).triu(1))
