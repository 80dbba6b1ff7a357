"""Open any image safely: always RGB and upright, with one kind of error."""

import contextlib
import functools
import importlib.util
import stat
import threading
import warnings
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from helpers._validation import given, printable, reason, whole

FORMATS = "JPEG PNG GIF WEBP TIFF BMP AVIF HEIF JPEG2000 PPM TGA".split()
"""What is opened. Pillow reads more, but an EPS file, or one inside IPTC data, would start Ghostscript."""
LARGE = 1_000_000  # pixels; below, decoding takes less time than all that follows
GIANT = 40_000_000  # pixels; above, an image is converted in bands of BAND pixels, and one image at a time
BAND = 4_000_000
HUNGRY = {"WEBP": 3, "JPEG2000": 4, "AVIF": 2}  # their decoders take 9 to 18 bytes per pixel: a fraction of the limit
LONGEST = 100  # times as long as it is wide; a longer strip takes gigabytes when its short side is enlarged
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
HEIF, AVIF = ("pillow_heif", "pillow-heif"), ("pillow_avif", "pillow-avif-plugin")
PLUGINS = {".heic": HEIF, ".heif": HEIF, ".avif": AVIF}  # what reads these where Pillow doesn't: module, package
ImageSource = str | PathLike | IO[bytes] | Image.Image

_one_giant = threading.Lock()
# Pillow warns of what is larger than half its limit. Appended, so that a filter of the caller's own goes first.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning, append=True)

with contextlib.suppress(ImportError, OSError):
    import pillow_heif

    pillow_heif.register_heif_opener()
with contextlib.suppress(ImportError, OSError):
    import pillow_avif  # noqa: F401  # registers itself


class ImageError(ValueError):
    """An image that cannot be read, or something that is not an image.

    Attributes:
        source: name of the image: a path, or words such as "the 3×4 image".
        reason: why the image cannot be read, in one line.
    """

    def __init__(self, source: object, reason: str) -> None:
        self.source, self.reason = printable(source), printable(reason)
        super().__init__(self.source, self.reason)

    def __str__(self) -> str:
        """Return the name and the reason in one printable line."""
        return f"Cannot read {self.source}: {self.reason}"


class NoDecoderError(ImageError):
    """An image that may be sound, in a format that needs a plugin of Pillow that is not installed."""


def is_source(value: object) -> bool:
    """Return whether this is one image, as `open_image` takes it."""
    return isinstance(value, (str, PathLike, Image.Image)) or hasattr(value, "read")


def open_image(source: ImageSource, min_side: int | None = None) -> Image.Image:
    """Open an image as a person would see it.

    A file is opened if its content is in one of `FORMATS`, whatever its suffix. For another format, open the file with
    Pillow and pass the PIL image. A truncated file is refused, even if only its end marker is missing, because nobody
    can tell what else is. An image of more than twice ``PIL.Image.MAX_IMAGE_PIXELS`` (179 megapixels unless you raise
    it) is refused as well; of AVIF a half of that, of WebP a third, of JPEG 2000 a quarter, whose decoders take more
    memory.

    Args:
        source: a path, an open binary file, or a PIL image (which is left as it is).
        min_side: number of pixels needed along the shorter side. A JPEG file of more than a megapixel is then decoded
            at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that keeps as many, which is faster because the
            decoder skips fine detail. Any image of more than 40 megapixels is averaged down to hardly more than
            ``min_side``, band by band, so that it takes little more memory than its decoder does.

    Returns:
        A PIL image in mode RGB, upright according to its EXIF orientation, with transparent parts over white.
        Grey, palette, CMYK and 16-bit images become 8-bit RGB. An animation yields its first frame.

    Raises:
        ImageError: the file does not exist, is not an image, or is damaged, whatever its decoder raises.
        TypeError, ValueError: ``min_side`` is not an integer of at least 1.
    """
    if min_side is not None:
        min_side = whole("min_side", min_side)
    if not is_source(source):
        raise ImageError(given(source), "expected a path, an open binary file or a PIL image (see Image.fromarray)")
    try:
        if isinstance(source, Image.Image):
            return _upright_rgb(source, min_side)
        if isinstance(source, (str, PathLike)) and not stat.S_ISREG(Path(source).stat().st_mode):
            raise ValueError("it is a folder or a device, not a file")  # to read from one may never end
        with Image.open(source, formats=_formats()) as image:
            _refuse_too_many_pixels(image)
            if min_side and image.width * image.height > LARGE:
                width, height = (-(-side * min_side // min(image.size)) for side in image.size)
                image.draft(None, (width, height))
            return _upright_rgb(image, min_side)
    except Exception as error:  # a damaged file makes decoders raise nearly anything, MemoryError too
        raise _image_error(source, error) from error


@functools.cache
def _formats() -> list[str]:
    """List those of `FORMATS` that this Pillow and its plugins know."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _image_error(source: ImageSource, error: Exception) -> ImageError:
    """Explain what opening an image raised."""
    name = _name(source)
    if isinstance(error, FileNotFoundError):
        return ImageError(name, "there is no such file")
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return ImageError(name, f"it has more than {most:,} pixels. Raise PIL.Image.MAX_IMAGE_PIXELS to open it")
    if not isinstance(error, UnidentifiedImageError):
        return ImageError(name, reason(error))
    module, package = PLUGINS.get(Path(name).suffix.lower(), ("", ""))
    if module and not importlib.util.find_spec(module):
        return NoDecoderError(name, f"Pillow needs a plugin for it: pip install {package}")
    return ImageError(name, f"it is not an image, or not one in these formats: {', '.join(_formats())}")


def cut_strip(image: Image.Image) -> Image.Image:
    """Cut a strip to its middle, a hundred times as long as it is wide, as the centre crop does later anyway.

    A whole multiple of the width is cut from each end. So the crop of the rest falls on the same pixels.

    Args:
        image: of any shape.

    Returns:
        The image cut to a strip of at most 1:100, or the image itself where it is no longer than that.
    """
    shorter, longer = sorted(image.size)
    ends = -(-(longer - LONGEST * shorter) // (2 * shorter)) * shorter
    if ends <= 0:
        return image
    wide = image.width > image.height
    return image.crop((ends, 0, longer - ends, shorter) if wide else (0, ends, shorter, longer - ends))


def _name(source: ImageSource) -> str:
    if isinstance(source, Image.Image):
        return f"the {source.width}×{source.height} image"
    name = str(source if isinstance(source, (str, PathLike)) else getattr(source, "name", "the opened file"))
    return name if len(name) <= 1000 else f"{name[:100]}…"


def _refuse_too_many_pixels(image: Image.Image) -> None:
    """Refuse what would take its decoder more than a gigabyte; Pillow itself knows one limit for all formats."""
    most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // HUNGRY.get(image.format or "", 1)
    if most and image.width * image.height > most:
        raise ValueError(
            f"it has more than {most:,} pixels, the most for {image.format}. "
            "Raise PIL.Image.MAX_IMAGE_PIXELS to open it"
        )


def _upright_rgb(image: Image.Image, min_side: int | None) -> Image.Image:
    """Decode an image, convert it to RGB on white, and turn it upright. The result is another image."""
    pixels = image.width * image.height
    if not pixels:
        raise ValueError("it has no pixels")
    with _one_giant if pixels > GIANT else contextlib.nullcontext():
        image.load()  # before its EXIF data, whose damage is forgiven
        peak = float(image.getextrema()[1]) if image.mode in {"I", "F"} else None  # type: ignore[arg-type]
        rgb = _in_bands(image, min_side, peak) if pixels > GIANT else _on_white(image, peak)
    turn = ORIENTATIONS.get(_orientation(image))
    if turn is not None:
        rgb = rgb.transpose(turn)
    elif rgb is image:
        rgb = image.copy()
    # without the orientation: what is upright must not be turned again
    rgb.info = {key: value for key, value in image.info.items() if key == "icc_profile"}
    return rgb


def _in_bands(image: Image.Image, min_side: int | None, peak: float | None) -> Image.Image:
    """Convert a giant band by band, and average squares of pixels where fewer are needed."""
    factor = max(1, min(image.size) // min_side) if min_side else 1
    rows = factor * max(1, BAND // (image.width * factor))
    rgb = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        rgb.paste(_on_white(band, peak).reduce(factor), (0, top // factor))
    return rgb


def _on_white(image: Image.Image, peak: float | None) -> Image.Image:
    """Convert to RGB, with transparent parts laid over white; an RGB image is returned itself."""
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image, peak)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, or 1 (upright) where the EXIF data are damaged, for the image itself is sound."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises of many kinds here
        return 1


def _to_8_bit(image: Image.Image, peak: float | None) -> Image.Image:
    """Scale a deep grey image to 0–255. Its mode tells its range or, failing that, the peak of the whole image."""
    values: np.ndarray = np.array(image, dtype=np.float32)
    if without := int((~np.isfinite(values)).sum()):
        raise ValueError(f"{without} of its pixel values are not finite")
    clear = image.info.get("transparency") if image.mode == "I;16" else None  # the grey that a PNG calls transparent
    transparent = None if clear is None else values == clear
    if peak is None or peak > 255:
        values /= 257
    elif image.mode == "F" and peak <= 1:
        values *= 255
    grey = values.clip(0, 255, out=values).round(out=values).astype(np.uint8)
    if transparent is not None:
        grey[transparent] = 255
    return Image.fromarray(grey)
