"""The helpers agree with the plain calls of clip, stream, and lose nothing."""

import threading

import clip
import numpy as np
import pytest
import torch
from clip.clip import _transform
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

import helpers
from helpers.course import drawings
from helpers.encode import encode_batches
from tests.conftest import IMAGES

FILES = sorted(IMAGES.glob("*.png"))[:10]
TEXTS = ["maze", "game", "cat", "win the game", "", "a blue bird 🐦 on a tree"]


@pytest.fixture(params=["tiny", "vit"])
def any_model(request, tiny, random_vit):
    return tiny if request.param == "tiny" else (random_vit, _transform(32))


def plain_images(model, preprocess, files):
    with torch.no_grad():
        return model.encode_image(torch.stack([preprocess(Image.open(file).convert("RGB")) for file in files])).numpy()


def test_images_agree_with_the_plain_call(any_model):
    model, preprocess = any_model
    expected = plain_images(model, preprocess, FILES)
    found = helpers.encode_images(model, preprocess, FILES, batch_size=4)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_texts_agree_with_the_plain_call(any_model):
    model, _ = any_model
    with torch.no_grad():
        expected = model.encode_text(clip.tokenize(TEXTS)).numpy()
    found = helpers.encode_texts(model, TEXTS, batch_size=4)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_order_is_kept(tiny):
    forward = helpers.encode_images(*tiny, FILES, batch_size=3)
    backward = helpers.encode_images(*tiny, FILES[::-1], batch_size=3)
    assert np.allclose(forward, backward[::-1], rtol=1e-3, atol=1e-4 * np.abs(forward).max())


def test_paths_strings_and_open_images_are_alike(tiny):
    path, text, image = FILES[0], str(FILES[0]), Image.open(FILES[0])
    rows = helpers.encode_images(*tiny, [path, text, image])
    assert np.abs(rows[1:] - rows[0]).max() < 1e-5 * np.abs(rows).max()


def test_a_single_image_and_a_single_text_count_as_one(tiny):
    for source in (FILES[0], str(FILES[0]), Image.open(FILES[0])):
        assert helpers.encode_images(*tiny, source).shape == (1, 384)
    assert helpers.encode_texts(tiny[0], "a cat").shape == (1, 384)


def test_nothing_gives_an_empty_array(tiny):
    assert helpers.encode_images(*tiny, []).shape == (0, 384)
    assert helpers.encode_texts(tiny[0], []).shape == (0, 384)


def test_images_are_streamed(tiny):
    """Few more images are taken from the iterable than its threads need for what they do now."""
    model, preprocess = tiny
    taken, done, ahead = 0, 0, []

    def images():
        nonlocal taken
        for file in FILES * 6:
            taken += 1
            ahead.append(taken - done)
            yield file

    class Watching(torch.nn.Module):
        text_projection = model.text_projection

        def __init__(self):
            super().__init__()
            self.model = model

        def encode_image(self, batch):
            nonlocal done
            done += len(batch)
            return model.encode_image(batch)

    helpers.encode_images(Watching(), preprocess, images(), batch_size=4)
    assert done == taken == 60
    assert max(ahead) <= 4 * (torch.get_num_threads() + 2)


def test_a_bad_image_costs_one_row_and_no_more(tiny, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    missing = tmp_path / "missing.png"
    files = [broken, FILES[0], FILES[1], missing, FILES[2]]
    with pytest.warns(UserWarning, match=r"2 of 5 images have features of NaN: .*broken\.png.*missing\.png"):
        found = helpers.encode_images(*tiny, files, batch_size=2)
    assert np.isnan(found).all(axis=1).tolist() == [True, False, False, True, False]
    expected = plain_images(*tiny, [FILES[0], FILES[1], FILES[2]])
    assert np.abs(found[[1, 2, 4]] - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_long_list_of_bad_images_is_cut(tiny):
    files = [FILES[0], *(f"missing-{i}.png" for i in range(30))]
    with pytest.warns(UserWarning, match=r"30 of 31 .*missing-9\.png: there is no such file; …$"):
        helpers.encode_images(*tiny, files)


def test_only_bad_images_are_an_error(tiny):
    with pytest.raises(
        helpers.ImageError, match=r"any of the 1 images: Cannot read missing\.png: there is no such file"
    ):
        helpers.encode_images(*tiny, ["missing.png"])


def test_a_text_too_long_shows_where_it_would_be_cut(tiny):
    text = " ".join(f"word{i}" for i in range(60))
    with pytest.raises(ValueError, match=r"at most 77 tokens; text 1 has \d+ .* after «….*».*truncate=True"):
        helpers.encode_texts(tiny[0], ["short", text])


def test_the_cut_shown_is_the_cut_made(tiny):
    text = "maze " * 74 + "tower river " + "cat"
    with pytest.raises(ValueError, match="after «….*maze maze tower»"):
        helpers.encode_texts(tiny[0], text)
    cut, kept = helpers.encode_texts(tiny[0], [text, "maze " * 74 + "tower"], truncate=True)
    assert np.allclose(cut, kept, atol=1e-5 * np.abs(kept).max())


@pytest.fixture(scope="module")
def large_files(tmp_path_factory):
    """Drawings as JPEG files of four megapixels, the last one lying on its side."""
    folder = tmp_path_factory.mktemp("large")
    for i, file in enumerate(FILES[:4]):
        exif = Image.Exif()
        exif[0x0112] = 6 if i == 3 else 1
        Image.open(file).convert("RGB").resize((2048, 2048)).save(folder / f"{i}.jpg", quality=90, exif=exif)
    return sorted(folder.iterdir())


def test_large_jpeg_files_may_be_opened_smaller_within_the_stated_distance(tiny, large_files):
    fast, exact = (helpers.encode_images(*tiny, large_files, fast_decode=fast) for fast in (True, False))
    cosines = (helpers.normalize(fast) * helpers.normalize(exact)).sum(axis=1)
    assert cosines.min() > 0.999 and cosines.max() < 1 - 1e-7
    expected = plain_images(*tiny, large_files[:3])
    assert np.abs(exact[:3] - expected).max() < 1e-5 * np.abs(expected).max()


def page(side):
    """Fill a page with the finest print."""
    image = Image.new("RGB", (side, side), "white")
    words = np.random.default_rng(0).choice(
        "the quick brown fox jumps over a lazy dog at night".split(), (side // 16, 40)
    )
    for i, line in enumerate(words):
        ImageDraw.Draw(image).text((40, 16 * i), " ".join(line), fill="black", font=ImageFont.load_default(12))
    return image


def grainy(image, level):
    noise = np.random.default_rng(0).normal(0, level, (image.height, image.width, 1))
    return Image.fromarray((np.asarray(image, dtype=float) + noise).clip(0, 255).astype(np.uint8))


def interlaced(image):
    pixels = np.array(image)
    pixels[1::2] = 0
    return Image.fromarray(pixels)


def striped(side, width):
    pixels = np.arange(side) / width % 1 < 0.5
    return Image.fromarray(np.broadcast_to(pixels * np.uint8(255), (side, side)).copy())


HARD = {  # the smallest cosine that the docstring of `encode_images` states, and the largest that shows its need
    "a photograph": (lambda side: drawings.photograph(side, side, 0), 0.999, 1),
    "a photograph with grain": (lambda side: grainy(drawings.photograph(side, side, 0), 20), 0.999, 1),
    "fine print": (page, 0.99, 0.999),
    "noise on grey": (lambda side: grainy(Image.new("RGB", (side, side), "grey"), 40), 0.99, 0.999),
    "interlaced": (lambda side: interlaced(drawings.photograph(side, side, 0)), 0.98, 0.999),
    "stripes": (lambda side: striped(side, 2.3), -1, 0.9),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_images_at_a_smaller_scale_move_as_far_as_is_said_and_not_at_all_at_full_size(tiny, tmp_path, name):
    draw, least, most = HARD[name]
    file = tmp_path / "hard.jpg"
    draw(2048).save(file, quality=92)
    fast, exact = (helpers.normalize(helpers.encode_images(*tiny, file, fast_decode=fast)) for fast in (True, False))
    assert least < float((fast * exact).sum()) < most
    expected = helpers.normalize(plain_images(*tiny, [file]))
    assert float((exact * expected).sum()) > 1 - 1e-6


def test_small_files_and_open_images_are_always_exact(tiny, large_files):
    opened = [Image.open(file) for file in large_files]
    fast, exact = (helpers.encode_images(*tiny, [*FILES, *opened], fast_decode=fast) for fast in (True, False))
    assert np.array_equal(fast, exact)


def test_bfloat16_stays_within_the_stated_distance(tiny):
    exact, rounded = (
        helpers.encode_images(*tiny, FILES),
        helpers.encode_images(*helpers.load("tiny", precision="bfloat16"), FILES),
    )
    assert rounded.dtype == np.float32
    assert 0.999 < (helpers.normalize(exact) * helpers.normalize(rounded)).sum(axis=1).min() < 1 - 1e-6


def test_each_image_of_each_batch_gives_its_row_or_its_error(tiny, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    sources = [[FILES[0], broken], [], [broken], [FILES[1]], [*FILES[:3], broken, FILES[4]]]
    found = list(encode_batches(*tiny, ([(source, source) for source in batch] for batch in sources)))
    expected = dict(zip(FILES, plain_images(*tiny, FILES), strict=True))
    assert [[label for label, _ in batch] for batch in found] == sources
    for source, outcome in sum(found, []):
        if source == broken:
            assert isinstance(outcome, helpers.ImageError)
            assert outcome.source == str(broken)
        else:
            assert np.abs(outcome - expected[source]).max() < 1e-5 * np.abs(expected[source]).max()


class OnAnotherDevice(torch.nn.Module):
    """Numbers the images of each batch, which it wants on a device without any numbers."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.zeros(4, 4, device="meta"))
        self.text_projection, self.calls = torch.nn.Parameter(torch.zeros(4, 4)), []

    def encode_image(self, batch):
        self.calls.append((threading.current_thread(), batch.device.type, len(batch)))
        return torch.arange(len(batch))[:, None].expand(-1, 4)


def test_on_another_device_all_threads_decode_and_a_batch_is_encoded_whole(tiny, monkeypatch):
    decoding = set()

    def watching(image):
        decoding.add(threading.current_thread())
        return tiny[1](image)

    model = OnAnotherDevice()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    with pytest.warns(UserWarning, match="1 of 10 images"):
        found = helpers.encode_images(model, watching, [*FILES[:3], "missing.png", *FILES[4:]], batch_size=7)
    assert model.calls == [(threading.main_thread(), "meta", 6), (threading.main_thread(), "meta", 3)]
    assert threading.main_thread() not in decoding
    assert len(decoding) > 1
    assert found[:, 0].tolist() == pytest.approx([0, 1, 2, np.nan, 3, 4, 5, 0, 1, 2], nan_ok=True)


def test_whatever_a_decoder_raises_costs_one_row(tiny, monkeypatch):
    load = PngImagePlugin.PngImageFile.load

    def failing(image):
        if image.filename == str(FILES[1]):
            raise RuntimeError("the decoder broke down\nat line 7")
        return load(image)

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", failing)
    with pytest.warns(UserWarning, match=r"1 of 3 .*: the decoder broke down at line 7$"):
        found = helpers.encode_images(*tiny, FILES[:3])
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False]


def test_a_strip_is_cut_before_it_is_enlarged(tiny, tmp_path):
    Image.new("RGB", (1, 1_000_000), "red").save(tmp_path / "strip.png")
    seen = []

    def watching(image):
        seen.append(image.size)
        assert max(image.size) < 200, "this would take gigabytes"
        return tiny[1](image)

    found = helpers.encode_images(tiny[0], watching, [tmp_path / "strip.png"])
    assert seen == [(1, 100)]
    expected = helpers.encode_images(*tiny, Image.new("RGB", (64, 64), "red"))
    assert np.allclose(found, expected, atol=1e-4 * np.abs(expected).max())
