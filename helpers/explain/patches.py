"""Ask a model where: each patch of the image gets an embedding of its own, in the space of the texts.

Nothing is trained, and one forward pass is enough. It looks inside, so the image encoder must be CLIP's own.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from helpers._clip import CLIP, AttentionPool2d, ResidualAttentionBlock, VisionTransformer
from helpers.encode import encode_texts, pixels_or_errors
from helpers.forward import feature_size
from helpers.images import ImageError, ImageSource
from helpers.similarity import cosine_similarity


def patch_similarity(model: CLIP, preprocess: Callable, image: ImageSource, texts: Iterable[str]) -> np.ndarray:
    """Compare every patch of an image with every text, in one forward pass.

    The last attention layer of an image encoder takes a weighted average of the *values* of all patches. Here each
    patch is treated separately: its value goes through the output projection, and on into the joint embedding space.
    This is the idea of MaskCLIP (Zhou, Loy and Dai 2022, arXiv 2112.01071, section 3). Their code also adds what the
    last block of a ViT adds, the patch's own token and the MLP. Both are left out here, as in ClearCLIP (Lan et al.
    2024, arXiv 2407.12442), because with `tiny-vit` the maps find more planted objects without them.

    CLIP was never trained to localize. In the earlier blocks a patch has seen its surroundings, so even an empty patch
    has an embedding that may be similar to some text. Compare the patches of one map with each other; a single value
    means less than the similarity of a whole image.

    Args:
        model: from `load` or `clip.load`; its image encoder must be a ViT or a ResNet like OpenAI's.
        preprocess: the transform that came with it.
        image: an image, as `open_image` takes it.
        texts: one map is made for each; a single string counts as a list of one.

    Returns:
        ``(texts, rows, columns)`` float32, each a cosine in [-1, 1]. The grid covers the square that `preprocess`
        keeps of the image: 7 × 7 for ``ViT-B/32`` and ``RN50``, 16 × 16 for ``ViT-L/14``, 8 × 8 for ``tiny-vit``,
        2 × 2 for ``tiny``.

    Raises:
        ImageError: the image cannot be read.
        TypeError: an argument has the wrong type, or the image encoder is not built like CLIP's.
        ValueError: a text is too long, `preprocess` is for another model, or the model is in training mode.
    """
    feature_size(model)
    last, rows_of = _last_attention(model)
    [pixels] = pixels_or_errors(model, preprocess, fast_decode=False)([image])
    if isinstance(pixels, ImageError):
        raise pixels
    text_features = encode_texts(model, texts)
    pixels = pixels.unsqueeze(0).to(next(model.parameters()).device)
    with torch.inference_mode():
        places = rows_of(model.visual, last, _input_of(last, model, pixels)).float().cpu().numpy()
    side = math.isqrt(len(places))
    return cosine_similarity(text_features, places).reshape(len(text_features), side, side)


def _last_attention(model: CLIP) -> tuple[nn.Module, Callable]:
    """Return the module that mixes the patches, and the function that takes them through it unmixed."""
    visual = getattr(model, "visual", None)
    if isinstance(visual, VisionTransformer) and isinstance(visual.transformer.resblocks[-1], ResidualAttentionBlock):
        return visual.transformer.resblocks[-1], _rows_of_patches
    pool = getattr(visual, "attnpool", None)
    if isinstance(pool, AttentionPool2d):
        return pool, _rows_of_places
    raise TypeError(
        f"Expected CLIP's own ViT or ResNet as the image encoder; got {type(visual).__name__}. "
        "Use occlusion_maps, which works with any model."
    )


def _input_of(part: nn.Module, model: CLIP, pixels: torch.Tensor) -> torch.Tensor:
    """Run the image encoder, and return the input of this module."""
    seen = []
    with part.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        model.encode_image(pixels)
    return seen[0]


def _rows_of_patches(visual: VisionTransformer, block: ResidualAttentionBlock, x: torch.Tensor) -> torch.Tensor:
    """Take the values of the patches in ``(1 + patches, 1, width)`` to the space of the texts."""
    patches, attention = block.ln_1(x[1:, 0]), block.attn
    width = patches.shape[1]
    value = functional.linear(patches, attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :])
    return visual.ln_post(attention.out_proj(value)) @ visual.proj


def _rows_of_places(visual: nn.Module, pool: AttentionPool2d, x: torch.Tensor) -> torch.Tensor:
    """Take the values of the places in ``(1, channels, rows, columns)`` to the space of the texts."""
    places = x[0].flatten(1).T + pool.positional_embedding[1:].to(x.dtype)
    return pool.c_proj(pool.v_proj(places))
