"""Turn pictures and texts into features, in batches."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from os import PathLike
from threading import Lock

import clip
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from helpers.forward import image_features, in_threads, share_out, text_features
from helpers.images import ImageError, ImageSource, open_image
from helpers.models import tokenizer

SECONDS_BEFORE_BAR = 2


def encode_images(
    model: torch.nn.Module,
    preprocess: Callable,
    images: Iterable[ImageSource],
    batch_size: int = 64,
    progress: bool = True,
    exact: bool = False,
) -> np.ndarray:
    """Encode pictures with the image encoder.

    Pictures are opened, preprocessed and encoded a batch at a time, so the memory needed does not grow
    with their number. A picture that can't be read does not end the work: its row is NaN, and one
    warning at the end lists all of these.

    Args:
        model: from `load` or `clip.load`.
        preprocess: the transform that came with it.
        images: paths or PIL images, any iterable; a single one counts as a list of one.
        batch_size: pictures in memory for each forward pass; on a CPU its threads share them out.
        progress: show a bar when the work takes longer than two seconds.
        exact: open large JPEG files at their full size. By default they are decoded at a half, a quarter or an
            eighth of it, as long as three times the model's resolution is left: with 12 megapixels, in a quarter of
            the time, and a feature row moves by less than a cosine of 0.001.

    Returns:
        ``(n, d)`` float32, not normalized, in the order given.

    Raises:
        ImageError: none of the pictures can be read.
    """
    if isinstance(images, (str, PathLike, Image.Image)):
        images = [images]
    device = next(model.parameters()).device
    side = None if exact else enough_pixels(model)
    one_at_a_time = nullcontext() if device.type == "cpu" else Lock()

    def encode(sources: list[ImageSource]) -> tuple[np.ndarray, list[str]]:
        rows = np.full((len(sources), _feature_size(model)), np.nan, dtype=np.float32)
        readable, inputs, unreadable = [], [], []
        for i, source in enumerate(sources):
            try:
                inputs.append(preprocess(open_image(source, side)))
                readable.append(i)
            except ImageError as error:
                unreadable.append(str(error))
        if inputs:
            with one_at_a_time:
                rows[readable] = encode_pixels(model, inputs)
        return rows, unreadable

    pieces = (piece for batch in _batches(images, batch_size) for piece in share_out(batch, device))
    features, unreadable = [], []
    with tqdm(total=_length(images), desc="pictures", delay=SECONDS_BEFORE_BAR, disable=not progress) as bar:
        for rows, errors in in_threads(encode, pieces):
            features.append(rows)
            unreadable += errors
            bar.update(len(rows))
    features = _joined(features, model)
    if unreadable:
        _report(unreadable, len(features))
    return features


def encode_pixels(model: torch.nn.Module, pixels: list[torch.Tensor]) -> np.ndarray:
    """Encode preprocessed pictures in one forward pass: ``(n, d)`` float32."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        return image_features(model, torch.stack(pixels).to(device)).float().cpu().numpy()


def enough_pixels(model: torch.nn.Module) -> int | None:
    """Tell how many pixels the shorter side of a picture needs: three times as many as the model sees."""
    resolution = getattr(getattr(model, "visual", None), "input_resolution", None)
    return resolution and 3 * resolution


def encode_texts(
    model: torch.nn.Module,
    texts: Iterable[str],
    batch_size: int = 256,
    truncate: bool = False,
    progress: bool = True,
) -> np.ndarray:
    """Encode texts with the text encoder.

    Texts of similar length are encoded together, and no further than the longest of them reaches.

    Args:
        model: from `load` or `clip.load`.
        texts: any iterable of strings; a single string counts as a list of one.
        batch_size: texts for each forward pass; on a CPU its threads share them out.
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
    lengths = tokens.argmax(dim=1) + 1  # the end token has the largest number
    device = next(model.parameters()).device
    features = np.empty((len(texts), _feature_size(model)), dtype=np.float32)

    def encode(rows: list[int]) -> list[int]:
        with torch.inference_mode():
            together = tokens[rows, : lengths[rows].max()].to(device)
            features[rows] = text_features(model, together).float().cpu()
        return rows

    by_length = lengths.argsort(stable=True).tolist()
    pieces = (piece for batch in _batches(by_length, batch_size) for piece in share_out(batch, device))
    with tqdm(total=len(texts), desc="texts", delay=SECONDS_BEFORE_BAR, disable=not progress) as bar:
        for rows in in_threads(encode, pieces):
            bar.update(len(rows))
    return features


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
