"""The helpers agree with the plain calls of clip, stream, and lose nothing."""

import clip
import numpy as np
import pytest
import torch
from clip.clip import _transform
from PIL import Image

import helpers
from conftest import IMAGES
from helpers.encode import enough_pixels

FILES = sorted(IMAGES.glob("*.png"))[:10]
TEXTS = ["maze", "game", "cat", "win the game", "", "a blue bird 🐦 on a tree"]


@pytest.fixture(params=["tiny", "vit"])
def any_model(request, tiny, random_vit):
    return tiny if request.param == "tiny" else (random_vit, _transform(32))


def plain_images(model, preprocess, files):
    with torch.no_grad():
        return model.encode_image(torch.stack([preprocess(Image.open(file).convert("RGB")) for file in files])).numpy()


def test_pictures_agree_with_the_plain_call(any_model):
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


def test_a_single_picture_and_a_single_text_count_as_one(tiny):
    for source in (FILES[0], str(FILES[0]), Image.open(FILES[0])):
        assert helpers.encode_images(*tiny, source).shape == (1, 384)
    assert helpers.encode_texts(tiny[0], "a cat").shape == (1, 384)


def test_nothing_gives_an_empty_array(tiny):
    assert helpers.encode_images(*tiny, []).shape == (0, 384)
    assert helpers.encode_texts(tiny[0], []).shape == (0, 384)


def test_pictures_are_streamed(tiny):
    """Few more pictures are taken from the iterable than its threads need for what they do now."""
    model, preprocess = tiny
    taken, done, ahead = 0, 0, []

    def pictures():
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

    helpers.encode_images(Watching(), preprocess, pictures(), batch_size=4)
    assert done == taken == 60
    assert max(ahead) <= 4 * (torch.get_num_threads() + 2)


def test_a_bad_picture_costs_one_row_and_no_more(tiny, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    missing = tmp_path / "missing.png"
    files = [broken, FILES[0], FILES[1], missing, FILES[2]]
    with pytest.warns(UserWarning, match=r"2 of 5 pictures have a row of NaN: .*broken\.png.*missing\.png"):
        found = helpers.encode_images(*tiny, files, batch_size=2)
    assert np.isnan(found).all(axis=1).tolist() == [True, False, False, True, False]
    expected = plain_images(*tiny, [FILES[0], FILES[1], FILES[2]])
    assert np.abs(found[[1, 2, 4]] - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_long_list_of_bad_pictures_is_cut(tiny):
    files = [FILES[0], *(f"missing-{i}.png" for i in range(30))]
    with pytest.warns(UserWarning, match=r"30 of 31 .*missing-9\.png; …$"):
        helpers.encode_images(*tiny, files)


def test_only_bad_pictures_are_an_error(tiny):
    with pytest.raises(helpers.ImageError, match=r"no such picture: missing\.png"):
        helpers.encode_images(*tiny, ["missing.png"])


def test_a_text_too_long_shows_where_it_would_be_cut(tiny):
    text = " ".join(f"word{i}" for i in range(60))
    with pytest.raises(ValueError, match=r"text 1 has \d+ tokens .* model takes 77: .* after «….*».*truncate=True"):
        helpers.encode_texts(tiny[0], ["short", text])


def test_the_cut_shown_is_the_cut_made(tiny):
    text = "maze " * 74 + "tower river " + "cat"
    with pytest.raises(ValueError, match="after «….*maze maze tower»"):
        helpers.encode_texts(tiny[0], text)
    cut, kept = helpers.encode_texts(tiny[0], [text, "maze " * 74 + "tower"], truncate=True)
    assert np.allclose(cut, kept, atol=1e-5 * np.abs(kept).max())


def test_what_is_no_text_is_named(tiny):
    with pytest.raises(TypeError, match="text 1 is 7, a int; a text must be a string"):
        helpers.encode_texts(tiny[0], ["cat", 7])


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_has_at_least_one(tiny, batch_size):
    with pytest.raises(ValueError, match=f"batch_size is {batch_size}; it must be at least 1"):
        helpers.encode_texts(tiny[0], ["cat"], batch_size=batch_size)


def test_hello_world_has_the_known_tokens():
    assert clip.tokenize("Hello World!")[0, :5].tolist() == [49406, 3306, 1002, 256, 49407]


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
    fast, exact = (helpers.encode_images(*tiny, large_files, exact=exact) for exact in (False, True))
    cosines = (helpers.normalize(fast) * helpers.normalize(exact)).sum(axis=1)
    assert cosines.min() > 0.999 and cosines.max() < 1 - 1e-7
    assert enough_pixels(tiny[0]) == 3 * 64
    expected = plain_images(*tiny, large_files[:3])
    assert np.abs(exact[:3] - expected).max() < 1e-5 * np.abs(expected).max()


def test_small_files_and_open_images_are_always_exact(tiny, large_files):
    opened = [Image.open(file) for file in large_files]
    fast, exact = (helpers.encode_images(*tiny, [*FILES, *opened], exact=exact) for exact in (False, True))
    assert np.array_equal(fast, exact)


def test_bfloat16_stays_within_the_stated_distance(tiny):
    exact, rounded = (
        helpers.encode_images(*tiny, FILES),
        helpers.encode_images(*helpers.load("tiny", precision="bfloat16"), FILES),
    )
    assert rounded.dtype == np.float32
    assert 0.999 < (helpers.normalize(exact) * helpers.normalize(rounded)).sum(axis=1).min() < 1 - 1e-6
