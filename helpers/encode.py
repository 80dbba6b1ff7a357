"""Turn pictures and texts into features, in batches."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from os import PathLike

import clip
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from helpers.images import ImageError, ImageSource, open_image
from helpers.models import tokenizer

SECONDS_BEFORE_BAR = 2


def encode_images(
    model: torch.nn.Module,
    preprocess: Callable,
    images: Iterable[ImageSource],
    batch_size: int = 64,
    progress: bool = True,
) -> np.ndarray:
    """Encode pictures with the image encoder.

    Pictures are opened, preprocessed and encoded a batch at a time, so the memory needed does not grow
    with their number. A picture that can't be read does not end the work: its row is NaN, and one
    warning at the end lists all of these.

    Args:
        model: from `load` or `clip.load`.
        preprocess: the transform that came with it.
        images: paths or PIL images, any iterable; a single one counts as a list of one.
        batch_size: pictures per forward pass.
        progress: show a bar when the work takes longer than two seconds.

    Returns:
        ``(n, d)`` float32, not normalized, in the order given.

    Raises:
        ImageError: none of the pictures can be read.
    """
    if isinstance(images, (str, PathLike, Image.Image)):
        images = [images]
    device = next(model.parameters()).device
    features, unreadable = [], []
    with tqdm(total=_length(images), desc="pictures", delay=SECONDS_BEFORE_BAR, disable=not progress) as bar:
        for batch in _batches(images, batch_size):
            rows = np.full((len(batch), _feature_size(model)), np.nan, dtype=np.float32)
            readable, inputs = [], []
            for i, source in enumerate(batch):
                try:
                    inputs.append(preprocess(open_image(source)))
                    readable.append(i)
                except ImageError as error:
                    unreadable.append(str(error))
            if inputs:
                with torch.inference_mode():
                    rows[readable] = model.encode_image(torch.stack(inputs).to(device)).float().cpu()
            features.append(rows)
            bar.update(len(batch))
    features = _joined(features, model)
    if unreadable:
        _report(unreadable, len(features))
    return features


def encode_texts(
    model: torch.nn.Module,
    texts: Iterable[str],
    batch_size: int = 256,
    truncate: bool = False,
    progress: bool = True,
) -> np.ndarray:
    """Encode texts with the text encoder.

    Args:
        model: from `load` or `clip.load`.
        texts: any iterable of strings; a single string counts as a list of one.
        batch_size: texts per forward pass.
        truncate: cut texts that are too long for the model (77 tokens) instead of refusing them.
        progress: show a bar when the work takes longer than two seconds.

    Returns:
        ``(n, d)`` float32, not normalized, in the order given.

    Raises:
        TypeError: something among the texts is no string.
        ValueError: a text is too long; the message shows where it would be cut.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    tokens = _tokenize(texts, model.context_length, truncate)
    device = next(model.parameters()).device
    features = []
    with tqdm(total=len(texts), desc="texts", delay=SECONDS_BEFORE_BAR, disable=not progress) as bar:
        for batch in _batches(tokens, batch_size):
            with torch.inference_mode():
                rows = model.encode_text(torch.stack(batch).to(device))
            features.append(rows.float().cpu().numpy())
            bar.update(len(batch))
    return _joined(features, model)


def _tokenize(texts: list[str], context_length: int, truncate: bool) -> torch.Tensor:
    """Tokenize all texts before any is encoded, so that a bad one costs no time: ``(n, context_length)``."""
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {i} is {text!r}, a {type(text).__name__}; a text must be a string")
    try:
        return clip.tokenize(texts, context_length=context_length, truncate=truncate)
    except RuntimeError as error:
        raise ValueError(_too_long(texts, context_length)) from error


def _too_long(texts: list[str], context_length: int) -> str:
    """Name the first text that is too long, and show where it would be cut."""
    room = context_length - 2  # the start and the end token take two places
    for i, text in enumerate(texts):
        tokens = tokenizer.encode(text)
        if len(tokens) > room:
            kept = tokenizer.decode(tokens[:room]).strip()
            return (
                f"text {i} has {len(tokens) + 2} tokens with its start and end, the model takes {context_length}: "
                f"it would be cut after «…{kept[-40:]}»; shorten it, or pass truncate=True"
            )
    raise AssertionError("no text is too long")


def _batches(items: Iterable, size: int) -> Iterator[list]:
    if size < 1:
        raise ValueError(f"batch_size is {size}; it must be at least 1")
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def _length(items: Iterable) -> int | None:
    return len(items) if hasattr(items, "__len__") else None


def _feature_size(model: torch.nn.Module) -> int:
    return model.text_projection.shape[1]


def _joined(features: list[np.ndarray], model: torch.nn.Module) -> np.ndarray:
    if not features:
        return np.empty((0, _feature_size(model)), dtype=np.float32)
    return np.concatenate(features)


def _report(unreadable: list[str], total: int) -> None:
    """Warn of the pictures left out; raise if none is left."""
    listed = "; ".join(unreadable[:10]) + ("; …" if len(unreadable) > 10 else "")
    if len(unreadable) == total:
        raise ImageError(listed)
    warnings.warn(f"{len(unreadable)} of {total} pictures have a row of NaN: {listed}", stacklevel=3)
