"""Open any image safely."""

import contextlib
import importlib.util
import stat
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from helpers._validation import printable, reason, whole

LARGE = 1_000_000  # pixels; below, decoding takes less time than all that follows
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
PLUGINS = {
    ".heic": HEIF,
    ".heif": HEIF,
    ".avif": AVIF,
}  # what reads these where Pillow doesn't: its module, its package
KEPT = ("transparency", "icc_profile")
ImageSource = str | PathLike | IO[bytes] | Image.Image


with contextlib.suppress(ImportError, OSError):
    import pillow_heif

    pillow_heif.register_heif_opener()
with contextlib.suppress(ImportError, OSError):
    import pillow_avif  # noqa: F401  # registers itself


class ImageError(ValueError):
    """What was given is not an image that can be read.

    Attributes:
        source: its name: a path, or words such as "the 3×4 image".
        reason: why, in one line.
    """

    def __init__(self, source: object, reason: str) -> None:
        self.source, self.reason = printable(source), printable(reason)
        super().__init__(self.source, self.reason)

    def __str__(self) -> str:
        """Name it and say why, in one printable line."""
        return f"Cannot read {self.source}: {self.reason}"


class NoDecoderError(ImageError):
    """The image may be sound: its format needs a plugin of Pillow that is not installed."""


def is_source(value: object) -> bool:
    """Say whether this is one image, as `open_image` takes it."""
    return isinstance(value, (str, PathLike, Image.Image)) or hasattr(value, "read")


def open_image(source: ImageSource, min_side: int | None = None) -> Image.Image:
    """Open an image the way a person would see it.

    Args:
        source: a path, an open binary file, or a PIL image (which is left as it is).
        min_side: how many pixels of its shorter side are needed. A JPEG file of more than a megapixel is then decoded
            at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that keeps them: the decoder skips fine detail.

    Returns:
        A PIL image in mode RGB, turned upright (EXIF orientation), transparent parts laid over white.
        Grey, palette, CMYK and 16-bit images become 8-bit RGB; of an animation, the first frame.

    Raises:
        ImageError: there is no such file, or it is no image, or it is damaged, whatever its decoder raises.
        TypeError, ValueError: ``min_side`` is no whole number of at least 1.
    """
    if not is_source(source):
        raise ImageError(
            f"a {type(source).__name__}",
            "expected a path, an open binary file or a PIL image; Image.fromarray makes one of an array",
        )
    min_side = min_side and whole("min_side", min_side)
    try:
        if isinstance(source, Image.Image):
            return _to_rgb(source)
        if isinstance(source, (str, PathLike)) and not stat.S_ISREG(Path(source).stat().st_mode):
            raise ValueError("it is a folder or a device, and no file")  # to read from one may never end
        with Image.open(source) as image:
            if image.format == "EPS":
                raise ValueError("an EPS file is a program, and it is not run")
            if min_side and image.width * image.height > LARGE:
                width, height = (-(-side * min_side // min(image.size)) for side in image.size)
                image.draft(None, (width, height))
            return _to_rgb(image)
    except FileNotFoundError as error:
        raise ImageError(_name(source), "there is no such file") from error
    except UnidentifiedImageError as error:
        module, package = PLUGINS.get(Path(_name(source)).suffix.lower(), ("", ""))
        if module and not importlib.util.find_spec(module):
            raise NoDecoderError(_name(source), f"Pillow needs a plugin for it: pip install {package}") from error
        raise ImageError(_name(source), reason(error)) from error
    except Exception as error:  # a damaged file makes decoders raise nearly anything, MemoryError too
        raise ImageError(_name(source), reason(error)) from error


def cut_strip(image: Image.Image) -> Image.Image:
    """Cut a strip to its middle, a hundred times as long as it is wide, as the centre crop does later anyway.

    A whole multiple of the width is cut from each end. So the crop of the rest falls on the same pixels.

    Args:
        image: of any shape.

    Returns:
        The image itself, if it is no longer than that.
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


def _to_rgb(image: Image.Image) -> Image.Image:
    if not (image.width and image.height):
        raise ValueError("it has no pixels")
    image.load()  # before its EXIF data, whose damage is forgiven
    turn = ORIENTATIONS.get(_orientation(image))
    image = image.copy() if turn is None else image.transpose(turn)
    image.info = {key: image.info[key] for key in KEPT if key in image.info}  # what is upright must not be turned again
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Read how the camera was held; 1, upright, where the EXIF data are damaged, for the image itself is sound."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises of many kinds here
        return 1


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Bring a deep grey image to 0–255; its range is told by its mode or, failing that, its maximum."""
    values: np.ndarray = np.asarray(image, dtype=np.float32)
    if without := int((~np.isfinite(values)).sum()):
        raise ValueError(f"{without} of its pixels are no finite number")
    if image.mode.startswith("I;16") or values.max() > 255:
        values = values / 257
    elif image.mode == "F" and values.max() <= 1:
        values = values * 255
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))
