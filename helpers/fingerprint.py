"""What features depend on: so those of two models, or of two ways of opening images, never mix."""

import hashlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from helpers._checkpoint import weights_sha256
from helpers._clip import CLIP
from helpers.images import open_image


def made_by(model: CLIP, preprocess: Callable, fast_decode: bool) -> dict[str, str]:
    """Tell what the features depend on. The preprocessing is known by what it makes of one image.

    Args:
        model, preprocess, fast_decode: as in `encode_images`.

    Returns:
        ``model_sha256``, ``precision``, ``preprocess_sha256`` and ``decoding``.
    """
    sample = Image.fromarray((np.arange(53 * 71 * 4) * 7919 % 251).astype(np.uint8).reshape(53, 71, 4))
    return {
        "model_sha256": weights_sha256(model),
        "precision": str(model.dtype).removeprefix("torch."),
        "preprocess_sha256": hashlib.sha256(preprocess(open_image(sample)).numpy().tobytes()).hexdigest(),
        "decoding": "reduced" if fast_decode else "full",
    }
