"""Encode pictures and texts with CLIP, and compare them. In the order of the steps:"""

import sys

from helpers.commands.packages import misfits, preflight, report

_AS_COMMAND = sys.argv[:1] == ["-m"] and "helpers" in getattr(sys, "orig_argv", ["helpers"])  # `python -m helpers …`
if not _AS_COMMAND:  # which can speak where what follows can't be imported
    try:
        from helpers import drawings
        from helpers.compare import cosine_similarity, normalize, probabilities, top_k
        from helpers.contrast import contrastive_loss
        from helpers.encode import encode_images, encode_texts
        from helpers.exercises import check
        from helpers.explain import occlusion_maps, word_drops
        from helpers.images import ImageError, open_image
        from helpers.lessons import observe
        from helpers.models import ModelInfo, available_models, load
        from helpers.patches import patch_similarity
        from helpers.plots import plot_occlusion, plot_similarity
        from helpers.search import FolderIndex
        from helpers.tune import fine_tune, mix_weights
        from helpers.zeroshot import PROMPT_TEMPLATES, zero_shot_classifier
    except Exception as error:
        mends = report(misfits()) or "`python -m helpers check` says what is wrong"
        raise ImportError(f"{type(error).__name__}: {error}\n{mends}") from error  # IPython 7 shows no notes of one

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
    "patch_similarity",
    "plot_occlusion",
    "contrastive_loss",
    "fine_tune",
    "mix_weights",
    "drawings",
    "observe",
    "check",
    "preflight",
]
