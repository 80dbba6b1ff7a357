"""Draw similarities."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from helpers._validation import finite, number, numbers, printable, strings
from helpers.images import ImageSource, open_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMN_INCHES = {6: 1.3, 12: 0.5}  # for up to so many columns
ROW_INCHES = MANY_COLUMN_INCHES = 0.36  # beyond, cells are square and too small for numbers
MANY_LABEL_SIZE = 14  # in points: such a wide figure is shown smaller than it is
IMAGE_WIDTH, IMAGE_HEIGHT, IMAGE_GAP = 0.94, 1.5, 0.1  # of the column's width; the height at most
IMAGE_PIXELS = 400  # is sharp at 300 dots an inch
LONGEST_LABEL = 100
MOST_OPAQUE = 0.85  # of an occlusion map: the image has to show through
DARK = 0.43  # below this part of viridis, white is read more easily than black


def plot_similarity(similarity: np.ndarray, texts: Sequence[str], images: Sequence[ImageSource]) -> "Axes":
    """Draw ``similarity[text_i, img_j]`` as a heatmap, with the images along its top edge.

    Each cell shows its value. Beyond a dozen columns, a colour bar replaces the values.

    Args:
        similarity: ``(texts, images)``.
        texts: one label for each row.
        images: one image for each column, as `open_image` takes them.

    Returns:
        The matplotlib axes of a new figure; ``axes.figure.savefig(path)`` saves it.

    Raises:
        ImageError: an image cannot be read.
        TypeError: an argument does not hold numbers, or a label is not a string.
        ValueError: the shape does not fit the number of texts and images, there are none, or a value is not finite.
    """
    import matplotlib.pyplot as plt  # here, because it doubles the time to import helpers

    similarity, texts = finite("similarity", similarity), strings("text", texts)
    if not similarity.size:
        raise ValueError(f"Expected at least one text and one image; got a similarity of shape {similarity.shape}.")
    if similarity.shape != (len(texts), len(images)):
        raise ValueError(
            f"Expected similarity of shape {(len(texts), len(images))}, a row per text and a column per image; "
            f"got {similarity.shape}."
        )
    column = next((width for most, width in COLUMN_INCHES.items() if len(images) <= most), MANY_COLUMN_INCHES)
    thumbnails = [_small(image) for image in images]
    tallest = max((IMAGE_WIDTH * thumb.height / thumb.width for thumb in thumbnails), default=IMAGE_HEIGHT)
    top_height = min(tallest, IMAGE_HEIGHT) + IMAGE_GAP
    heights = (column * top_height, ROW_INCHES * len(texts))
    figure, (top, axes) = plt.subplots(
        nrows=2, figsize=(column * len(images), sum(heights)), height_ratios=heights, gridspec_kw={"hspace": 0}
    )
    heatmap = axes.imshow(similarity, cmap="viridis", aspect="auto")
    labels = [printable(text[:LONGEST_LABEL]) for text in texts]
    axes.set_yticks(range(len(texts)), labels, parse_math=False)  # a dollar is a dollar
    axes.tick_params(bottom=False, labelbottom=False, left=False)
    axes.spines[:].set_visible(False)
    if len(images) <= max(COLUMN_INCHES):
        _write_numbers(axes, similarity)
    else:
        axes.tick_params(labelsize=MANY_LABEL_SIZE)
        scale = figure.colorbar(heatmap, ax=(top, axes), fraction=0.03, pad=0.02)
        scale.ax.tick_params(labelsize=MANY_LABEL_SIZE)
    _lay_images(top, thumbnails, top_height)
    return axes


def plot_occlusion(
    image: ImageSource, occlusion_map: np.ndarray, axes: "Axes | None" = None, limit: float | None = None
) -> "Axes":
    """Draw an occlusion map over its image, which is drawn in grey so that all colour belongs to the map.

    Args:
        image: the image, as `open_image` takes it.
        occlusion_map: ``(height, width)``, one of `occlusion_maps`.
        axes: where to draw; by default in a new figure.
        limit: the drop at which the colour scale ends, in both directions from zero; by default the largest absolute
            value of this map. Give the same limit to maps that you compare.

    Returns:
        The matplotlib axes. Orange is a positive drop, purple a negative one, and the closer to zero, the more
        transparent; the colour bar shows the values.

    Raises:
        ImageError: the image cannot be read.
        TypeError: the map holds no numbers, or the limit is not a number.
        ValueError: the map does not have the shape of the image, or holds a value that is not finite, or the limit is
            not above 0.
    """
    import matplotlib.pyplot as plt  # here, because it doubles the time to import helpers

    image, occlusion_map = open_image(image), numbers("occlusion_map", occlusion_map, 3)
    if occlusion_map.shape != (image.height, image.width):
        raise ValueError(
            f"Expected occlusion_map of shape ({image.height}, {image.width}), the shape of the image; "
            f"got {occlusion_map.shape}. Pass one map, such as occlusion_maps(…)[0], and its image."
        )
    finite("occlusion_map", occlusion_map)
    limit = number("limit", (np.abs(occlusion_map).max() or 1) if limit is None else limit)
    if limit <= 0:
        raise ValueError(f"Expected limit to be above 0; got {limit}.")
    if axes is None:
        axes = plt.figure().add_subplot()
    axes.imshow(image.convert("L"), cmap="gray", vmin=0, vmax=255)
    alpha = MOST_OPAQUE * np.sqrt(np.abs(occlusion_map) / limit).clip(max=1)
    drawn = axes.imshow(occlusion_map, cmap="PuOr_r", vmin=-limit, vmax=limit, alpha=alpha)
    shrink = 0.8 * min(1, image.height / image.width)  # no taller than a wide image
    axes.figure.colorbar(drawn, ax=axes, label="drop of cosine", shrink=shrink)
    axes.axis("off")
    return axes


def _write_numbers(axes: "Axes", similarity: np.ndarray) -> None:
    low, high = similarity.min(), similarity.max()
    for (i, j), value in np.ndenumerate(similarity):
        colour = "white" if value - low <= DARK * (high - low) else "black"
        axes.text(j, i, f"{value.round(2) + 0.0:.2f}", ha="center", va="center", color=colour, size=9)


def _small(source: ImageSource) -> Image.Image:
    """Open an image no larger than it is drawn, so that many large ones fit into memory."""
    image = open_image(source, min_side=IMAGE_PIXELS)
    image.thumbnail((IMAGE_PIXELS, IMAGE_PIXELS))
    return image


def _lay_images(axes: "Axes", images: Sequence[Image.Image], top_height: float) -> None:
    """Draw each image over its column, as large as fits into a cell 1 wide and `top_height` high."""
    axes.axis("off")
    for j, image in enumerate(images):
        scale = min(IMAGE_WIDTH / image.width, (top_height - IMAGE_GAP) / image.height)
        width, height = image.width * scale, image.height * scale
        bottom = IMAGE_GAP / 2
        axes.imshow(image, extent=(j - width / 2, j + width / 2, bottom, bottom + height), aspect="auto")
    axes.set_xlim(-0.5, len(images) - 0.5)
    axes.set_ylim(0, top_height)
