"""Turn pictures and texts into features, in batches."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import chain
from os import PathLike

import clip
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from helpers.forward import image_features, text_features
from helpers.images import ImageError, ImageSource, cut_strip, open_image
from helpers.openai import CLIP, tokenizer
from helpers.threads import batches, in_shares, in_threads, share_out

SECONDS_BEFORE_BAR = 2


def encode_images(
    model: CLIP,
    preprocess: Callable,
    images: Iterable[ImageSource],
    batch_size: int = 64,
    progress: bool = True,
    exact: bool = False,
) -> np.ndarray:
    """Encode pictures with the image encoder.

    Pictures are opened, preprocessed and encoded a batch at a time, so the memory needed does not grow
    with their number. A picture that can't be read does not end the work: its row is NaN, and one
    warning at the end counts these and lists the first ten.

    Args:
        model: from `load` or `clip.load`.
        preprocess: the transform that came with it.
        images: paths or PIL images, any iterable; a single one counts as a list of one.
        batch_size: pictures in memory for each forward pass; on a CPU its threads share them out.
        progress: show a bar when the work takes longer than two seconds.
        exact: open large JPEG files at their full size. By default they are decoded at a half, a quarter or an
            eighth of it, as long as three times the model's resolution is left: with 12 megapixels, in a quarter of
            the time. A photograph's row moves by less than a cosine of 0.001; that of a page of fine print or of
            stripes may move further.

    Returns:
        ``(n, d)`` float32, not normalized, in the order given.

    Raises:
        ImageError: none of the pictures can be read.
    """
    if isinstance(images, (str, PathLike, Image.Image)):
        images = [images]
    features, unreadable = [np.empty((0, _feature_size(model)), dtype=np.float32)], []
    with progress_bar(images, "pictures", progress) as bar:
        for batch in rows_or_errors(model, preprocess, batches(images, batch_size), exact):
            rows = np.full((len(batch), _feature_size(model)), np.nan, dtype=np.float32)
            for i, found in enumerate(batch):
                if isinstance(found, ImageError):
                    unreadable.append(str(found))
                else:
                    rows[i] = found
            features.append(rows)
            bar.update(len(rows))
    joined = np.concatenate(features)
    if unreadable:
        _report(unreadable, len(joined))
    return joined


def rows_or_errors(
    model: CLIP, preprocess: Callable, sources: Iterable[list[ImageSource]], exact: bool = False
) -> Iterator[list[np.ndarray | ImageError]]:
    """Turn each picture into its features, or into the reason why it has none.

    The one way from a file to a row, for a list as for a folder. Its threads each take a piece of a batch from the
    file to the features, so one decodes while another multiplies. On other devices than a CPU they decode and
    preprocess, and the batch is encoded whole, while they go on with the next.

    Args:
        model, preprocess, exact: as in `encode_images`.
        sources: batches of pictures, read a batch or two ahead.

    Yields:
        For each batch, in order, a list as long as it: a row ``(d,)`` float32, not normalized, or an `ImageError`.
        A row depends on what else is in its batch by rounding alone, and not on any other batch.
    """
    device = next(model.parameters()).device
    read = pixels_or_errors(model, preprocess, exact)

    def encode(inputs: list) -> list:
        pixels = [found for found in inputs if not isinstance(found, ImageError)]
        if not pixels:
            return inputs
        with torch.inference_mode():
            rows = iter(image_features(model, torch.stack(pixels).to(device)).float().cpu().numpy())
        return [found if isinstance(found, ImageError) else next(rows) for found in inputs]

    def work(piece: list[ImageSource]) -> list:
        inputs = read(piece)
        return encode(inputs) if device.type == "cpu" else inputs

    for found in in_shares(work, sources):
        yield found if device.type == "cpu" else encode(found)


def pixels_or_errors(
    model: CLIP, preprocess: Callable, exact: bool = False
) -> Callable[[list[ImageSource]], list[torch.Tensor | ImageError]]:
    """Make the function that opens and preprocesses pictures: ``(3, resolution, resolution)`` each, or the reason."""
    resolution = getattr(getattr(model, "visual", None), "input_resolution", None)
    enough = None if exact or resolution is None else 3 * resolution

    def read(source: ImageSource) -> torch.Tensor | ImageError:
        try:
            return preprocess(cut_strip(open_image(source, enough)))
        except ImageError as error:
            return error

    return lambda sources: list(map(read, sources))


def encode_texts(
    model: CLIP,
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
    tokens = tokenize(texts, model.context_length, truncate)
    lengths = tokens.argmax(dim=1) + 1  # the end token has the largest number
    device = next(model.parameters()).device
    features = np.empty((len(texts), _feature_size(model)), dtype=np.float32)

    def encode(rows: list[int]) -> list[int]:
        with torch.inference_mode():
            cut = tokens[rows, : int(lengths[rows].max())].to(device)
            features[rows] = text_features(model, cut).float().cpu()
        return rows

    by_length = lengths.argsort(stable=True).tolist()
    together = batches(by_length, batch_size)
    pieces = chain.from_iterable(map(share_out, together)) if device.type == "cpu" else together
    with progress_bar(texts, "texts", progress) as bar:
        for rows in in_threads(encode, pieces):
            bar.update(len(rows))
    return features


def tokenize(texts: list[str], context_length: int, truncate: bool) -> torch.Tensor:
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


def progress_bar(items: Iterable, unit: str, shown: bool) -> tqdm:
    """Make a bar that appears when the work takes longer than two seconds."""
    total = len(items) if isinstance(items, Sized) else None
    return tqdm(total=total, desc=unit, delay=SECONDS_BEFORE_BAR, disable=not shown)


def _feature_size(model: CLIP) -> int:
    return model.text_projection.shape[1]


def _report(unreadable: list[str], total: int) -> None:
    """Warn of the pictures left out; raise if none is left."""
    listed = "; ".join(unreadable[:10]) + ("; …" if len(unreadable) > 10 else "")
    if len(unreadable) == total:
        raise ImageError(listed)
    warnings.warn(f"{len(unreadable)} of {total} pictures have a row of NaN: {listed}", stacklevel=3)
