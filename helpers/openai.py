"""The one door to OpenAI's `clip`: all names of it that are not its public API pass here."""

import clip

if not hasattr(clip, "tokenize"):
    raise ImportError(
        "the installed package 'clip' is not OpenAI's CLIP (PyPI's 'clip' is another project): "
        "run `pip uninstall clip`, then install the one that README.md names"
    )

from clip.clip import _MODELS as OFFICIAL_URLS
from clip.clip import _download as download
from clip.clip import _tokenizer as tokenizer
from clip.clip import _transform as clip_preprocess
from clip.model import CLIP, QuickGELU, ResidualAttentionBlock, Transformer, VisionTransformer, build_model

__all__ = [
    "CLIP",
    "OFFICIAL_URLS",
    "QuickGELU",
    "ResidualAttentionBlock",
    "Transformer",
    "VisionTransformer",
    "build_model",
    "clip_preprocess",
    "download",
    "tokenizer",
]
