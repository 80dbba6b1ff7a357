"""Draw things from fonts of line drawings and from doodles, and fill the lines with another maker's colours."""

import gzip
import json
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFilter, ImageFont

PIXELS, MARGIN = 112, 5
OUTSIDE, FREE, LINE = 254, 255, 0


def list_glyphs(files: list[Path], name_of: dict[str, str]) -> dict[str, tuple[Path, str]]:
    """Find the emoji of one character that font files hold: name to ``(file, character)``.

    ``name_of`` gives the name of a code point in lower-case hexadecimal digits.
    """
    found = {}
    for file in files:
        for code in TTFont(file).getBestCmap():
            name = name_of.get(f"{code:x}")
            if name and code > 0xFF:
                found.setdefault(name, (file, chr(code)))
    return found


def fit(image: Image.Image) -> Image.Image:
    """Crop to what is drawn (the last channel tells) and lay it, as large as it fits, in the middle of a square."""
    image = image.crop(image.getchannel(image.getbands()[-1]).getbbox() or (0, 0, 1, 1))
    scale = (PIXELS - 2 * MARGIN) / max(image.size)
    image = image.resize([max(1, round(length * scale)) for length in image.size], Image.Resampling.LANCZOS)
    square = Image.new(image.mode, (PIXELS, PIXELS))
    square.paste(image, ((PIXELS - image.width) // 2, (PIXELS - image.height) // 2))
    return square


def draw_glyph(file: Path, character: str) -> np.ndarray:
    """Draw one character: how much ink is where, ``(112, 112)`` bytes."""
    canvas = Image.new("L", (600, 600))
    font = ImageFont.truetype(str(file), 320)
    ImageDraw.Draw(canvas).text((300, 300), character, fill=255, font=font, anchor="mm")
    return np.asarray(fit(canvas))


def read_doodles(file: Path) -> np.ndarray:
    """Read the doodles of one thing, by many people: ``(n, 28, 28)`` bytes of ink."""
    with gzip.open(file, "rt") as lines:
        ink = np.array([json.loads(line) for line in lines])
    return (ink * 255).round().astype(np.uint8).reshape(-1, 28, 28)


def draw_doodle(doodle: np.ndarray) -> np.ndarray:
    """Enlarge a doodle ``(28, 28)`` to ``(112, 112)`` bytes of ink, with sharp edges."""
    return np.asarray(fit(Image.fromarray(doodle)).point(lambda ink: (ink - 60) * 2.2))


def as_silhouette(ink: np.ndarray) -> np.ndarray:
    """Make a black image of the ink, ``(112, 112, 4)``."""
    return np.dstack([np.zeros((*ink.shape, 3), np.uint8), ink])


def fill_lines(ink: np.ndarray, coloured: np.ndarray) -> np.ndarray:
    """Fill each area that the lines enclose with the median colour that ``coloured`` has there, or with white.

    Args:
        ink: ``(112, 112)`` bytes.
        coloured: ``(112, 112, 4)`` bytes, another drawing of the same thing.

    Returns:
        ``(112, 112, 4)`` bytes: black lines over flat colours, nothing around.
    """
    coloured = np.asarray(fit(Image.fromarray(coloured)))
    areas = Image.fromarray(np.where(ink < 100, FREE, LINE).astype(np.uint8))
    framed = Image.new("L", (PIXELS + 2, PIXELS + 2), FREE)
    framed.paste(areas, (1, 1))
    ImageDraw.floodfill(framed, (0, 0), OUTSIDE)
    areas = framed.crop((1, 1, PIXELS + 1, PIXELS + 1))
    colour, filled = np.full((*ink.shape, 3), 255.0), np.zeros(ink.shape)
    for number in range(1, OUTSIDE):
        free = np.argwhere(np.asarray(areas) == FREE)
        if not len(free):
            break
        ImageDraw.floodfill(areas, (int(free[0, 1]), int(free[0, 0])), number)
        here = np.asarray(areas) == number
        under_lines = np.asarray(Image.fromarray(here).convert("L").filter(ImageFilter.MaxFilter(5))) > 0
        drawn = here & (coloured[..., 3] > 128)
        if drawn.any():
            colour[under_lines] = np.median(coloured[drawn][:, :3], axis=0)
        filled[under_lines] = 255
    line = ink[..., None] / 255
    pixels = np.dstack([colour * (1 - line), np.maximum(filled, ink)])
    return pixels.round().astype(np.uint8)
