"""What features depend on: so those of two models, or of two ways of opening pictures, never mix."""

import hashlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from helpers.checkpoint import weights_sha256
from helpers.images import open_image
from helpers.openai import CLIP


def made_by(model: CLIP, preprocess: Callable, exact: bool) -> dict[str, str]:
    """Tell what the features depend on. The preprocessing is known by what it makes of one picture.

    Args:
        model, preprocess, exact: as in `encode_images`.

    Returns:
        ``model_sha256``, ``precision``, ``preprocess_sha256`` and ``decoding``.
    """
    sample = Image.fromarray((np.arange(53 * 71 * 4) * 7919 % 251).astype(np.uint8).reshape(53, 71, 4))
    return {
        "model_sha256": weights_sha256(model),
        "precision": str(model.dtype).removeprefix("torch."),
        "preprocess_sha256": hashlib.sha256(preprocess(open_image(sample)).numpy().tobytes()).hexdigest(),
        "decoding": "exact" if exact else "reduced",
    }
