"""The one door to OpenAI's `clip`: all names of it that are not its public API pass here."""

import clip

if not hasattr(clip, "tokenize"):
    raise ImportError(
        "Expected OpenAI's CLIP; the installed package 'clip' is another project, PyPI's. "
        "Run `pip uninstall clip`, then install the one that README.md names."
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
