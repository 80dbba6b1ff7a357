"""The only module that imports names from OpenAI's `clip` that are not its public API."""

import clip

if not hasattr(clip, "tokenize"):
    raise ImportError(
        "Expected OpenAI's CLIP; got PyPI's package 'clip', which is another project. "
        "Run `pip uninstall clip`, then `pip install clip-anytorch`."
    )

from clip.clip import _MODELS as OFFICIAL_URLS
from clip.clip import _tokenizer as tokenizer
from clip.clip import _transform as clip_preprocess
from clip.model import (
    CLIP,
    AttentionPool2d,
    LayerNorm,
    QuickGELU,
    ResidualAttentionBlock,
    Transformer,
    VisionTransformer,
    build_model,
)

__all__ = [
    "CLIP",
    "OFFICIAL_URLS",
    "AttentionPool2d",
    "LayerNorm",
    "QuickGELU",
    "ResidualAttentionBlock",
    "Transformer",
    "VisionTransformer",
    "build_model",
    "clip_preprocess",
    "tokenizer",
]
