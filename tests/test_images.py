"""Any image file becomes upright RGB on white, or one clear error."""

import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from clip.clip import _transform
from PIL import EpsImagePlugin, Image

import helpers
from helpers import images
from helpers.images import cut_strip
from tests.conftest import IMAGES

RED, WHITE = (255, 0, 0), (255, 255, 255)


def stored(image: Image.Image, kind: str, **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def two_halves(mode: str, left, right) -> Image.Image:
    image = Image.new(mode, (8, 4), right)
    image.paste(left, (0, 0, 4, 4))
    return image


def halves_of(image: Image.Image) -> tuple:
    assert image.mode == "RGB"
    return image.getpixel((0, 0)), image.getpixel((7, 0))


def test_a_plain_image_is_unchanged():
    found = helpers.open_image(IMAGES / "cat.png")
    assert np.array_equal(np.asarray(found), np.asarray(Image.open(IMAGES / "cat.png").convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_parts_lie_on_white(kind):
    image = two_halves("RGBA", (*RED, 255), (0, 0, 0, 0))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert halves_of(helpers.open_image(stored(image, kind, **options))) == (RED, WHITE)


def test_half_transparent_black_becomes_grey():
    image = Image.new("RGBA", (8, 4), (0, 0, 0, 128))
    assert abs(halves_of(helpers.open_image(image))[0][0] - 127) <= 1


def test_grey_with_alpha():
    assert halves_of(helpers.open_image(two_halves("LA", (90, 255), (0, 0)))) == ((90, 90, 90), WHITE)


def test_palette_with_a_transparent_colour():
    image = two_halves("P", 1, 0)
    image.putpalette([0, 0, 0, *RED])
    found = helpers.open_image(stored(image, "PNG", transparency=0))
    assert halves_of(found) == (RED, WHITE)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 4), colour) for colour in ("red", "blue", "green")]
    found = helpers.open_image(stored(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert halves_of(found) == (RED, RED)


def test_cmyk():
    image = Image.new("CMYK", (8, 4), (0, 255, 255, 0))
    red, green, blue = halves_of(helpers.open_image(stored(image, "JPEG")))[0]
    assert red > 250
    assert green < 5
    assert blue < 5


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_black_and_white(mode):
    assert halves_of(helpers.open_image(two_halves(mode, 255, 0))) == (WHITE, (0, 0, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_brightness(kind):
    values = np.zeros((4, 8), dtype=np.uint16)
    values[:, :4] = 200 * 257
    found = helpers.open_image(stored(Image.fromarray(values), kind))
    assert halves_of(found) == ((200, 200, 200), (0, 0, 0))


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floating_point_grey_keeps_its_brightness(top):
    values = np.full((4, 8), top, dtype=np.float32)
    values[:, 4:] = 0
    assert halves_of(helpers.open_image(stored(Image.fromarray(values), "TIFF"))) == (WHITE, (0, 0, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation):
    """The eight ways to lay an image, as the EXIF standard defines them, undone by hand in NumPy."""
    stored_pixels = np.arange(8 * 4 * 3, dtype=np.uint8).reshape(4, 8, 3)
    upright = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: p.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda p: np.rot90(p),
    }[orientation](stored_pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = helpers.open_image(stored(Image.fromarray(stored_pixels), "PNG", exif=exif))
    assert np.array_equal(np.asarray(found), upright)


def test_what_is_upright_is_not_turned_again():
    exif = Image.Exif()
    exif[0x0112] = 6
    once = helpers.open_image(stored(Image.new("RGB", (8, 4)), "JPEG", exif=exif))
    assert once.size == helpers.open_image(once).size == (4, 8)


def test_the_given_image_is_left_as_it_is():
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    helpers.open_image(image)
    assert image.mode == "RGBA"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(helpers.ImageError, match=r"^Cannot read .*nothing\.png: there is no such file$"):
        helpers.open_image(tmp_path / "nothing.png")


def broken_files(folder):
    whole = (IMAGES / "cat.png").read_bytes()
    jpeg = (IMAGES / "maze1.jpeg").read_bytes()
    contents = {
        "empty.png": b"",
        "text.jpg": b"this is no image",
        "cut.png": whole[: len(whole) // 2],
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "damaged.png": whole[:60] + bytes(80) + whole[140:],
        "head-only.gif": b"GIF89a",
        "page.html": b"<html>404</html>",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.png").mkdir()
    return [*contents, "folder.png"]


def test_what_is_not_an_image_gives_one_line_with_its_name(tmp_path):
    for name in broken_files(tmp_path):
        with pytest.raises(helpers.ImageError) as caught:
            helpers.open_image(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_damaged_file_whose_plugin_is_there_needs_no_plugin(tmp_path, monkeypatch):
    (tmp_path / "half.heic").write_bytes(b"half of it")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(helpers.ImageError) as caught:
        helpers.open_image(tmp_path / "half.heic")
    assert caught.type is helpers.ImageError


def test_the_limit_of_pixels_is_the_callers(monkeypatch):
    """Pillow refuses what has more than twice as many pixels as its MAX_IMAGE_PIXELS."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(helpers.ImageError, match=r"more than 200 pixels. Raise PIL\.Image\.MAX_IMAGE_PIXELS"):
        helpers.open_image(IMAGES / "cat.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 256 * 256)
    assert helpers.open_image(IMAGES / "cat.png").size == (256, 256)


@pytest.mark.parametrize(("kind", "part"), [("WEBP", 3), ("JPEG2000", 4), ("PNG", 1)])
def test_formats_whose_decoders_take_more_memory_have_a_lower_limit(monkeypatch, kind, part):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)
    most = 12_000 // part
    assert helpers.open_image(stored(Image.new("RGB", (most // 10, 10)), kind)).size == (most // 10, 10)
    with pytest.raises(helpers.ImageError, match=rf"it has more than {most:,} pixels.* Raise PIL.Image.MAX_IMAGE_PIX"):
        helpers.open_image(stored(Image.new("RGB", (most // 10 + 1, 10)), kind))


def test_an_error_has_its_source_and_its_reason(tmp_path):
    with pytest.raises(helpers.ImageError) as caught:
        helpers.open_image(tmp_path)
    assert (caught.value.source, caught.value.reason) == (str(tmp_path), "it is a folder or a device, not a file")
    assert str(caught.value) == f"Cannot read {tmp_path}: it is a folder or a device, not a file"


def test_a_file_that_starts_a_program_is_not_opened(tmp_path, monkeypatch):
    """Pillow opens what lies in IPTC data by any of its readers, Ghostscript's too."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **options: pytest.fail("it was started"))
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    fields = {
        (3, 60): b"\3\1",
        (3, 65): b"\1",
        (3, 20): b"\0\x09",
        (3, 30): b"\0\x09",
        (3, 120): b"\5",
        (8, 10): program,
    }
    nested = b"".join(bytes([0x1C, *key]) + len(value).to_bytes(2, "big") + value for key, value in fields.items())
    for content in (program, nested):
        (tmp_path / "photo.jpg").write_bytes(content)
        with pytest.raises(helpers.ImageError, match="not one in these formats: JPEG, PNG, "):
            helpers.open_image(tmp_path / "photo.jpg")


GIANTS = {
    "P": lambda grey: grey.convert("P"),
    "1": lambda grey: grey.convert("1"),
    "LA": lambda grey: Image.merge("LA", [grey, grey]),
    "RGBA": lambda grey: Image.merge("RGBA", [grey, grey.rotate(90), grey, grey]),
    "CMYK": lambda grey: Image.merge("CMYK", [grey] * 4),
    "I;16": lambda grey: Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
    "I": lambda grey: Image.fromarray(np.asarray(grey).astype(np.int32)),
    "F": lambda grey: Image.fromarray(np.asarray(grey).astype(np.float32) / 255),
}


@pytest.mark.parametrize("mode", GIANTS)
def test_a_giant_is_converted_in_bands_like_any_image_and_averaged_down_to_what_is_needed(mode, monkeypatch):
    image = GIANTS[mode](Image.linear_gradient("L").resize((300, 201)))
    plain, small = helpers.open_image(image), helpers.open_image(image, 40)
    assert small.size == plain.size  # no giant
    monkeypatch.setattr(images, "GIANT", 50_000)
    monkeypatch.setattr(images, "BAND", 7_000)
    assert helpers.open_image(image) == plain
    reduced = np.asarray(helpers.open_image(image, 40), dtype=int)
    assert reduced.shape == (41, 60, 3)
    assert np.abs(reduced - np.asarray(plain.reduce(5), dtype=int)).max() <= 1


def test_one_giant_at_a_time(monkeypatch, tmp_path):
    """A thread that opens a giant waits until the other has converted its own."""
    Image.new("RGB", (60, 50)).save(tmp_path / "giant.png")
    monkeypatch.setattr(images, "GIANT", 2_000)
    at_work, most, convert = 0, 0, images._in_bands

    def watching(*args):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.01)
        at_work -= 1
        return convert(*args)

    monkeypatch.setattr(images, "_in_bands", watching)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(helpers.open_image, [tmp_path / "giant.png"] * 8))
    assert most == 1


def test_the_grey_that_a_16_bit_png_calls_transparent_lies_on_white():
    values = np.zeros((4, 8), dtype=np.uint16)
    values[:, :4] = 200 * 257
    found = helpers.open_image(stored(Image.fromarray(values), "PNG", transparency=0))
    assert halves_of(found) == ((200, 200, 200), WHITE)


def test_a_large_jpeg_is_decoded_smaller_but_not_below_min_side(tmp_path):
    path = tmp_path / "large.jpg"
    Image.linear_gradient("L").convert("RGB").resize((1600, 1200)).save(path)
    sizes = {
        min_side: helpers.open_image(path, min_side).size for min_side in (100, 150, 151, 300, 301, 600, 601, 5000)
    }
    assert sizes == {
        100: (200, 150), 150: (200, 150), 151: (400, 300), 300: (400, 300), 301: (800, 600), 600: (800, 600),
        601: (1600, 1200), 5000: (1600, 1200),
    }  # fmt: skip
    assert helpers.open_image(path).size == (1600, 1200)


def test_what_is_small_or_no_jpeg_is_decoded_whole(tmp_path):
    for name, size in (("small.jpg", (1000, 1000)), ("large.png", (1600, 1200))):
        Image.new("RGB", size, "red").save(tmp_path / name)
        assert helpers.open_image(tmp_path / name, 100).size == size


@pytest.mark.parametrize("size", [(3, 303), (2, 260), (7, 801), (1317, 13), (40, 4441), (90, 9500)])
def test_a_strip_is_cut_where_the_centre_crop_does_not_see_it(size):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    strip = Image.fromarray(pixels)
    cut = cut_strip(strip)
    assert max(cut.size) <= 100 * min(cut.size) < max(strip.size)
    crop = [np.asarray(step) for step in (cropped(strip), cropped(cut))]
    assert np.abs(crop[0].astype(int) - crop[1]).max() <= 2  # of 255


def cropped(image):
    """The first two steps of CLIP's preprocessing: resize the shorter side, crop the centre."""
    for step in _transform(64).transforms[:2]:
        image = step(image)
    return image


def test_what_is_no_strip_is_left_as_it_is():
    for size in ((1, 1), (1, 100), (300, 3), (200, 100)):
        image = Image.new("RGB", size)
        assert cut_strip(image) is image


def test_an_image_without_pixels_is_refused():
    with pytest.raises(helpers.ImageError, match=r"^Cannot read the 0×4 image: it has no pixels$"):
        helpers.open_image(Image.new("RGB", (0, 4)))
