"""Encode pictures and texts with CLIP, and compare them. In the order of the steps:"""

import sys

from helpers.installation import misfits, preflight

if sys.argv[:1] != ["-m"]:  # so `python -m helpers check` can speak where what follows can't be imported
    try:
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
    except Exception as error:
        error.add_note("\n".join(map(str, misfits())) or "`python -m helpers check` says what is wrong")
        raise

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
    "occlusion_maps",
    "word_drops",
    "plot_occlusion",
    "drawings",
    "observe",
    "check",
    "preflight",
]
