"""Ask a model why: cover a part of the image, or leave out a word, and watch the similarity fall.

Occlusion sensitivity, from Zeiler and Fergus 2014 (arXiv 1311.2901, section 4.2). It only calls the model,
so any model will do, ViT or ResNet. It costs one encoded image for each covered place.
"""

from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np
from PIL import Image

from helpers._clip import CLIP
from helpers._validation import shown, strings, whole
from helpers.encode import encode_images, encode_texts
from helpers.images import ImageSource, open_image
from helpers.similarity import cosine_similarity

MEAN_COLOUR = (123, 117, 104)  # what `preprocess` turns into zeros: 255 × its mean
PATCHES_PER_SIDE = 4
MOST_PIXELS = 30_000_000  # of covered copies in a batch; they take four bytes each, and three batches are at work

Box = tuple[int, int, int, int]


def occlusion_maps(
    model: CLIP,
    preprocess: Callable,
    image: ImageSource,
    texts: Iterable[str],
    patch: int | None = None,
    stride: int | None = None,
    colour: str | tuple[int, int, int] = MEAN_COLOUR,
    batch_size: int = 64,
    progress: bool = True,
) -> np.ndarray:
    """Cover one region of an image after another, and map how far the similarity with each text drops.

    The patch slides over the image itself, and every covered copy goes through `preprocess`, so the map has the
    coordinates of the image. The map is zero where no patch touches the centre crop, or the few pixels around it that
    resizing blends in.

    Args:
        model: from `load` or `clip.load`.
        preprocess: the transform that came with it.
        image: an image, as `open_image` takes it.
        texts: one map is made for each; a single string counts as a list of one.
        patch: side of the square patch in pixels of the image; by default a quarter of its shorter side.
        stride: pixels from one position to the next, at most ``patch``; by default half of ``patch``.
        colour: colour of the patch; by default the mean colour of CLIP's training images, a warm grey.
        batch_size: covered copies per forward pass; fewer for a large image, to save memory. Each copy is resized
            separately, so an image of 12 megapixels takes seconds, and a thumbnail of it much less.
        progress: show a progress bar if the work takes longer than two seconds.

    Returns:
        ``(texts, height, width)`` float32, with the height and width of the upright image. Each value is the drop of
        the cosine similarity, in [-2, 2], averaged over all patches that cover the pixel. Positive: the text fits less
        well without this region, so the region supports the text. Negative: the region counts against the text.

    Raises:
        ImageError: the image cannot be read.
        TypeError: ``patch`` or ``stride`` is not an integer.
        ValueError: ``patch`` does not fit into the image, or ``stride`` would leave gaps.
    """
    image = open_image(image)
    batch_size = min(whole("batch_size", batch_size), 1 + MOST_PIXELS // (image.width * image.height))
    boxes = _boxes(image.size, *_checked_sizes(image.size, patch, stride))
    text_features = encode_texts(model, texts)
    copies = chain([image], (_cover(image, box, colour) for box in boxes))
    similarity = cosine_similarity(text_features, encode_images(model, preprocess, copies, batch_size, progress))
    return _average(similarity[:, :1] - similarity[:, 1:], boxes, image.size)


def word_drops(model: CLIP, preprocess: Callable, image: ImageSource, text: str) -> tuple[list[str], np.ndarray]:
    """Leave out one word of a text after another, and return how far the similarity with the image drops.

    Args:
        model: from `load` or `clip.load`.
        preprocess: the transform that came with it.
        image: an image, as `open_image` takes it.
        text: at least one word; words are separated by spaces.

    Returns:
        ``(words, drops)``: the words in their order, and ``(words,)`` float32, the drop of the cosine similarity for
        each, in [-2, 2]. Positive: the text fits less well without this word.

    Raises:
        ImageError: the image cannot be read.
        TypeError: the text is not a string.
        ValueError: the text has no word, or is too long for the model.
    """
    image, words = open_image(image), strings("text", [text])[0].split()
    if not words:
        raise ValueError(f"Expected text to have at least one word; got {shown(text)}.")
    shorter = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
    text_features = encode_texts(model, [text, *shorter])
    similarity = cosine_similarity(text_features, encode_images(model, preprocess, [image]))[:, 0]
    return words, similarity[0] - similarity[1:]


def _checked_sizes(size: tuple[int, int], patch: int | None, stride: int | None) -> tuple[int, int]:
    """Fill in the defaults of patch and stride, and refuse a patch beyond the image and a stride that leaves gaps."""
    shorter = min(size)
    patch = whole("patch", max(1, shorter // PATCHES_PER_SIDE) if patch is None else patch, 1, shorter)
    stride = whole("stride", max(1, patch // 2) if stride is None else stride, 1, patch)
    return patch, stride


def _boxes(size: tuple[int, int], patch: int, stride: int) -> list[Box]:
    """List the boxes of the patch, row by row: left, upper, right, lower. The last ones end at the edge."""
    lefts, uppers = ([*range(0, length - patch, stride), length - patch] for length in size)
    return [(left, upper, left + patch, upper + patch) for upper in uppers for left in lefts]


def _cover(image: Image.Image, box: Box, colour: str | tuple[int, int, int]) -> Image.Image:
    covered = image.copy()
    covered.paste(colour, box)
    return covered


def _average(drops: np.ndarray, boxes: list[Box], size: tuple[int, int]) -> np.ndarray:
    """Average, at each pixel, the drops ``(texts, boxes)`` whose box covers it: ``(texts, height, width)``."""
    width, height = size
    total = np.zeros((len(drops), height, width), dtype=np.float32)
    times = np.zeros((height, width), dtype=np.float32)
    for drop, (left, upper, right, lower) in zip(drops.T, boxes, strict=True):
        total[:, upper:lower, left:right] += drop[:, None, None]
        times[upper:lower, left:right] += 1
    return total / times
