"""What features depend on, so that features of two models, or of two ways to open an image, never mix.

A model is identified by its weights, and by the embeddings of one image and one text, because hooks, adapters,
quantization and masks do not change the weights. The embeddings are compared with a tolerance, because processors
round differently.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from helpers._clip import CLIP
from helpers._open_clip import OpenClip
from helpers.encode import encode_images, encode_texts
from helpers.images import open_image
from helpers.similarity import normalize

TOLERANCE = 3e-4  # of a cosine. Measured against float32: float16 moves it by 1e-6, bfloat16 by 6e-5 (ViT-B/32)
TEXT = "a photo of a red car and two dogs in front of a house"
EXACT, PROBES = ("weights", "precision", "preprocess", "decoding"), ("image", "text")


def fingerprint(model: CLIP, preprocess: Callable, fast_decode: bool = True) -> dict[str, Any]:
    """Describe what the features depend on; `same_maker` compares two descriptions.

    Args:
        model, preprocess, fast_decode: as in `encode_images`.

    Returns:
        A dict that JSON can hold. ``weights`` and ``preprocess`` are the SHA-256 of the weights and of one preprocessed
        image, ``precision`` is such as "float32", ``decoding`` is "reduced" or "full"; ``image`` and ``text`` are the
        embeddings of one image and one text, ``(d,)`` of length 1, as lists.

    Raises:
        TypeError, ValueError: as `encode_images`; or the embeddings are not finite.
    """
    sample = open_image(_sample())
    image = encode_images(model, preprocess, [sample], progress=False, fast_decode=fast_decode)
    text = encode_texts(model, TEXT, progress=False, truncate=True)
    pixels = np.asarray(preprocess(sample)).tobytes()
    return {
        "weights": weights_sha256(model),
        "precision": str(model.dtype).removeprefix("torch."),
        "preprocess": hashlib.sha256(pixels).hexdigest(),
        "decoding": "reduced" if fast_decode else "full",
        "image": normalize(image)[0].astype(float).round(6).tolist(),
        "text": normalize(text)[0].astype(float).round(6).tolist(),
    }


def same_maker(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Compare two fingerprints: True if features of one may be used together with features of the other.

    Args:
        first, second: from `fingerprint`, possibly on different processors, or read from JSON. Other keys
            are ignored.
    """
    return all(first.get(key) == second.get(key) for key in EXACT) and all(
        _cosine(first.get(key), second.get(key)) > 1 - TOLERANCE for key in PROBES
    )


def weights_sha256(model: CLIP) -> str:
    """Hash the state dict: names, kinds, shapes and bytes of its tensors, as they are now.

    The name of a model of open_clip is hashed as well, because it says which activation it has.

    Nothing is remembered from call to call, because torch does not report every change (``.data``, inference mode).
    It takes about a second for 1.5 GB.
    """
    digest = hashlib.sha256(model.name.encode() if isinstance(model, OpenClip) else b"")
    for name, value in sorted(model.state_dict().items()):
        _feed(digest, name, value)
    return digest.hexdigest()


def _feed(digest: Any, name: str, value: object) -> None:
    """Hash a value of a state dict. Quantized parts hold tuples, and tensors without plain bytes."""
    if isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            _feed(digest, f"{name}.{i}", part)
    elif isinstance(value, torch.Tensor):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        plain = value.dequantize() if value.is_quantized else value
        digest.update(plain.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    else:
        digest.update(f"{name} {value}\n".encode())


def _sample() -> Image.Image:
    """Make one image with a half-transparent pattern, which every step of opening and preprocessing changes."""
    return Image.fromarray((np.arange(53 * 71 * 4) * 7919 % 251).astype(np.uint8).reshape(53, 71, 4))


def _cosine(first: Any, second: Any) -> float:
    """Compare two lists of numbers of length 1; -1 if they are not of one size."""
    one, other = (np.asarray([] if values is None else values, dtype=float) for values in (first, second))
    return float(one @ other) if one.shape == other.shape and one.ndim == 1 and one.size else -1.0
