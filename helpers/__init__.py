"""Encode pictures and texts with CLIP, and compare them. In the order of the steps:"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from helpers import drawings
from helpers.compare import cosine_similarity, normalize, probabilities, top_k
from helpers.encode import encode_images, encode_texts
from helpers.exercises import check
from helpers.explain import occlusion_maps, word_drops
from helpers.images import ImageError, open_image
from helpers.lessons import observe
from helpers.models import ModelInfo, available_models, load
from helpers.plots import plot_occlusion, plot_similarity
from helpers.search import FolderIndex
from helpers.zeroshot import PROMPT_TEMPLATES, zero_shot_classifier

if TYPE_CHECKING:
    from helpers.many import encode_manifest
    from helpers.shardindex import ShardIndex

LATE = {
    "encode_manifest": "many",
    "ShardIndex": "shardindex",
}  # their modules need pyarrow, and are imported when they are used

__all__ = [
    "available_models",
    "ModelInfo",
    "load",
    "open_image",
    "ImageError",
    "encode_images",
    "encode_texts",
    "normalize",
    "cosine_similarity",
    "probabilities",
    "top_k",
    "plot_similarity",
    "zero_shot_classifier",
    "PROMPT_TEMPLATES",
    "FolderIndex",
    "encode_manifest",
    "ShardIndex",
    "occlusion_maps",
    "word_drops",
    "plot_occlusion",
    "drawings",
    "observe",
    "check",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for by name."""
    if name not in LATE:
        raise AttributeError(f"module 'helpers' has no attribute {name!r}")
    try:
        return getattr(import_module(f"helpers.{LATE[name]}"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"helpers.{name} needs {error.name}: pip install {error.name}") from error
