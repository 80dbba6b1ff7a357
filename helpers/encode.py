"""Encode images and texts as features, in batches."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import chain
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from helpers._clip import CLIP
from helpers._linear import ROWS_THAT_PAY, Linear
from helpers._open_clip import OpenClip
from helpers._validation import given, strings
from helpers.forward import feature_size, image_features, text_features
from helpers.images import ImageError, ImageSource, cut_strip, is_source, open_image
from helpers.threads import batches, in_shares, in_threads, share_out
from helpers.tokenizer import tokenize

Label = TypeVar("Label")
SECONDS_BEFORE_BAR = 2


def encode_images(
    model: CLIP,
    preprocess: Callable,
    images: Iterable[ImageSource],
    batch_size: int = 64,
    progress: bool = True,
    fast_decode: bool = True,
) -> np.ndarray:
    """Encode images with the image encoder.

    Images are opened, preprocessed and encoded one batch at a time, so memory does not grow with their number.
    An image that cannot be read does not stop the run: its row is NaN, and one warning at the end gives the number of
    such images and lists the first ten. On a CPU the work is shared among all of torch's threads, so call it from one
    thread at a time.

    Args:
        model: from `load` or `clip.load`.
        preprocess: the transform that came with it.
        images: any iterable of paths, PIL images or open files; a single one counts as a list of one.
        batch_size: images per forward pass; on a CPU the threads share each batch.
        progress: show a progress bar if the work takes longer than two seconds.
        fast_decode: decode large JPEG files at a half, a quarter or an eighth of their size, but no smaller than three
            times the model's resolution. A file of 12 megapixels then takes a quarter of the time. An image of more
            than 40 megapixels in any format is averaged down to about that size. The embedding of a photo, grain
            included, moves by a cosine distance of less than 0.001. Images that become nearly flat when they are small
            move further: with `tiny`, pages of fine print and noise on plain grey by 0.01, and interlaced video by
            0.02. Stripes a few pixels wide vanish but for rounding, so their embedding may change completely. Pass
            ``fast_decode=False`` for such images; this is what CLIP itself does.

    Returns:
        ``(n, d)`` float32, not normalized, in the order given.

    Raises:
        ImageError: none of the images can be read.
        TypeError: an argument has the wrong type, or the model cannot run as it is.
        ValueError: ``batch_size`` is less than 1, `preprocess` is for another model, or the model is in training mode.
    """
    size = feature_size(model)
    if is_source(images):
        images = [images]  # type: ignore[list-item]
    if not isinstance(images, Iterable):
        raise TypeError(f"Expected an image path, a PIL image, or a list of them; got {given(images)}.")
    features, unreadable = [np.empty((0, size), dtype=np.float32)], []
    with progress_bar(images, "images", progress) as bar:
        for batch in encode_batches(model, preprocess, batches(enumerate(images), batch_size), fast_decode):
            rows = np.full((len(batch), size), np.nan, dtype=np.float32)
            for i, (_, found) in enumerate(batch):
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


def encode_batches(
    model: CLIP,
    preprocess: Callable,
    labelled: Iterable[list[tuple[Label, ImageSource]]],
    fast_decode: bool = True,
) -> Iterator[list[tuple[Label, np.ndarray | ImageError]]]:
    """Encode each image, or return the error that explains why it has no features.

    Lists, folders and shards are all encoded by this function. Each thread takes a part of a batch from the files to
    the features, so that one thread decodes while another multiplies. With a GPU, the threads decode and preprocess,
    and the whole batch is encoded while they continue with the next.

    Args:
        model, preprocess, fast_decode: as in `encode_images`.
        labelled: batches of ``(label, image)``, read a batch or two ahead. A label is anything that the caller needs to
            know which image this was.

    Yields:
        For each batch, in order, a list as long as it of ``(label, features)``: features are ``(d,)`` float32, not
        normalized, or an `ImageError`. What else is in the batch changes them by rounding alone.
    """
    device = next(model.parameters()).device
    read, linear = pixels_or_errors(model, preprocess, fast_decode), Linear()

    def encode(inputs: list) -> list:
        pixels = [found for _, found in inputs if not isinstance(found, ImageError)]
        if not pixels:
            return inputs
        with torch.inference_mode():
            rows = iter(image_features(model, torch.stack(pixels).to(device), linear).float().cpu().numpy())
        return [(label, found if isinstance(found, ImageError) else next(rows)) for label, found in inputs]

    def work(piece: list[tuple[Label, ImageSource]]) -> list:
        inputs = list(zip([label for label, _ in piece], read([source for _, source in piece]), strict=True))
        return encode(inputs) if device.type == "cpu" else inputs

    for found in in_shares(work, labelled):
        yield found if device.type == "cpu" else encode(found)


def pixels_or_errors(
    model: CLIP, preprocess: Callable, fast_decode: bool = True
) -> Callable[[list[ImageSource]], list[torch.Tensor | ImageError]]:
    """Return the function that opens and preprocesses images: ``(3, resolution, resolution)`` each, or an error."""
    resolution = getattr(getattr(model, "visual", None), "input_resolution", None)
    height, width = resolution if isinstance(resolution, tuple) else (resolution, resolution)
    min_side = 3 * max(height, width) if fast_decode and resolution else None
    crop = (lambda image: image) if isinstance(model, OpenClip) else cut_strip  # open_clip's may squash a whole image
    if not callable(preprocess):
        raise TypeError(f"Expected preprocess to be a function; got {given(preprocess)}. Pass the one from load().")

    def read(source: ImageSource) -> torch.Tensor | ImageError:
        try:
            image = crop(open_image(source, min_side))
        except ImageError as error:
            return error
        pixels = preprocess(image)
        shape = tuple(getattr(pixels, "shape", ()))
        if resolution and shape != (3, height, width):
            raise ValueError(
                f"Expected preprocess to return {(3, height, width)}; got {shape}. "
                "Pass the preprocess that load returned with this model."
            )
        return pixels

    return lambda sources: list(map(read, sources))


def encode_texts(
    model: CLIP,
    texts: Iterable[str],
    batch_size: int = 256,
    truncate: bool = False,
    progress: bool = True,
) -> np.ndarray:
    """Encode texts with the text encoder.

    Texts of similar length are encoded together, without the padding after the longest of them.

    Args:
        model: from `load` or `clip.load`.
        texts: any iterable of strings; a single string counts as a list of one.
        batch_size: texts per forward pass; on a CPU the threads share each batch.
        truncate: cut texts that are too long for the model (77 tokens) instead of refusing them.
        progress: show a progress bar if the work takes longer than two seconds.

    Returns:
        ``(n, d)`` float32, not normalized, in the order given.

    Raises:
        TypeError: a text is not a string, another argument has the wrong type, or the model cannot run as it is.
        ValueError: a text is too long (the message shows where it would be cut) or continues after CLIP's end token,
            ``batch_size`` is less than 1, or the model is in training mode.
    """
    size = feature_size(model)
    texts = strings("text", texts)
    tokens, lengths = tokenize(model, texts, truncate)
    device = next(model.parameters()).device
    features = np.empty((len(texts), size), dtype=np.float32)
    linear = Linear() if lengths.sum() >= ROWS_THAT_PAY else functional.linear

    def encode(rows: list[int]) -> list[int]:
        with torch.inference_mode():
            cut = tokens[rows, : int(lengths[rows].max())].to(device)
            features[rows] = text_features(model, cut, linear).float().cpu()
        return rows

    by_length = lengths.argsort(stable=True).tolist()
    together = batches(by_length, batch_size)
    pieces = chain.from_iterable(map(share_out, together)) if device.type == "cpu" else together
    with progress_bar(texts, "texts", progress) as bar:
        for rows in in_threads(encode, pieces):
            bar.update(len(rows))
    return features


def progress_bar(items: Iterable, unit: str, shown: bool) -> tqdm:
    """Return a progress bar that appears if the work takes longer than two seconds."""
    total = len(items) if isinstance(items, Sized) else None
    return tqdm(total=total, desc=unit, delay=SECONDS_BEFORE_BAR, disable=not shown)


def _report(unreadable: list[str], total: int) -> None:
    """Warn about images without features; raise an error if none has any."""
    listed = "; ".join(unreadable[:10]) + ("; …" if len(unreadable) > 10 else "")
    if len(unreadable) == total:
        raise ImageError(f"any of the {total} images", listed)
    warnings.warn(f"{len(unreadable)} of {total} images have features of NaN: {listed}", stacklevel=3)
