"""CLIP's two encoders: load a model, encode images and texts, compare them, and build on the result.

The public names, in the order of the steps. Each is imported when it is first used, so that ``import helpers`` takes
no time, and ``python -m helpers check`` can speak where PyTorch can't be imported.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.encode import encode_images as encode_images
    from helpers.encode import encode_texts as encode_texts
    from helpers.explain.occlusion import occlusion_maps as occlusion_maps
    from helpers.explain.occlusion import word_drops as word_drops
    from helpers.explain.patches import patch_similarity as patch_similarity
    from helpers.export import export_onnx as export_onnx
    from helpers.finetune.fine_tune import fine_tune as fine_tune
    from helpers.finetune.fine_tune import interpolate_weights as interpolate_weights
    from helpers.finetune.loss import contrastive_loss as contrastive_loss
    from helpers.images import ImageError as ImageError
    from helpers.images import open_image as open_image
    from helpers.index.folder_index import FolderIndex as FolderIndex
    from helpers.models import ModelInfo as ModelInfo
    from helpers.models import list_models as list_models
    from helpers.models import load as load
    from helpers.plots import plot_occlusion as plot_occlusion
    from helpers.plots import plot_similarity as plot_similarity
    from helpers.similarity import (
        cosine_similarity as cosine_similarity,
    )
    from helpers.similarity import (
        normalize as normalize,
    )
    from helpers.similarity import (
        probabilities as probabilities,
    )
    from helpers.similarity import (
        top_k as top_k,
    )
    from helpers.zero_shot import PROMPT_TEMPLATES as PROMPT_TEMPLATES
    from helpers.zero_shot import zero_shot_classifier as zero_shot_classifier

# Two kernels at once would spin for the same cores, each many times slower; read when torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOME = {  # of each public name
    "list_models": "models",
    "ModelInfo": "models",
    "load": "models",
    "open_image": "images",
    "ImageError": "images",
    "encode_images": "encode",
    "encode_texts": "encode",
    "normalize": "similarity",
    "cosine_similarity": "similarity",
    "probabilities": "similarity",
    "top_k": "similarity",
    "plot_similarity": "plots",
    "zero_shot_classifier": "zero_shot",
    "PROMPT_TEMPLATES": "zero_shot",
    "FolderIndex": "index.folder_index",
    "occlusion_maps": "explain.occlusion",
    "word_drops": "explain.occlusion",
    "patch_similarity": "explain.patches",
    "plot_occlusion": "plots",
    "contrastive_loss": "finetune.loss",
    "fine_tune": "finetune.fine_tune",
    "interpolate_weights": "finetune.fine_tune",
    "export_onnx": "export",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'helpers' has no attribute {name!r}")
    try:
        value = getattr(import_module(f"helpers.{_HOME[name]}"), name)
    except Exception as error:  # what a broken installation raises is of many kinds
        raise ImportError(
            f"{type(error).__name__}: {str(error).removesuffix('.')}. "
            "Run `python -m helpers check`, which names the fault and the fix."
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, for completion."""
    return [*globals(), *__all__]
