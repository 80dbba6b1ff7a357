"""The maps tell what covering a place does, in the coordinates of the image, and find a planted object."""

import random

import clip
import numpy as np
import pytest
import torch
from clip.clip import _transform
from PIL import Image

import helpers
from helpers.course import drawings
from helpers.explain import occlusion
from tests.conftest import IMAGES

GREY = (123, 117, 104)


@pytest.fixture(scope="module")
def noise():
    """An image that is no square, and nowhere the same."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 50, 3), dtype=np.uint8))


def cosine(model, preprocess, image, text):
    """Compare one image with one text by the plain calls of clip."""
    with torch.no_grad():
        features = model.encode_image(preprocess(image).unsqueeze(0))[0]
        words = model.encode_text(clip.tokenize(text))[0]
    return float(features @ words / features.norm() / words.norm())


def slow_map(model, preprocess, image, text, patch, stride):
    """Ask for every pixel which patches cover it, and average what each of them does."""
    whole = cosine(model, preprocess, image, text)
    drops = {}
    for left in {*range(0, image.width - patch, stride), image.width - patch}:
        for upper in {*range(0, image.height - patch, stride), image.height - patch}:
            pixels = np.array(image)
            pixels[upper : upper + patch, left : left + patch] = GREY
            drops[left, upper] = whole - cosine(model, preprocess, Image.fromarray(pixels), text)
    expected = np.empty((image.height, image.width))
    for y in range(image.height):
        for x in range(image.width):
            over = [d for (left, upper), d in drops.items() if 0 <= x - left < patch and 0 <= y - upper < patch]
            expected[y, x] = np.mean(over)
    return expected


@pytest.mark.parametrize(("patch", "stride"), [(8, 4), (7, 5), (32, 32)])
def test_map_agrees_with_covering_one_place_at_a_time(random_vit, noise, patch, stride):
    maps = helpers.occlusion_maps(random_vit, _transform(32), noise, ["a cat", "two dogs"], patch, stride)
    assert maps.shape == (2, 32, 50)
    assert maps.dtype == np.float32
    for found, text in zip(maps, ["a cat", "two dogs"], strict=True):
        expected = slow_map(random_vit, _transform(32), noise, text, patch, stride)
        assert np.abs(found - expected).max() < 1e-5
        assert np.abs(expected).max() > 1e-3


def test_default_patch_is_a_quarter_of_the_shorter_side_and_moves_by_half(random_vit, noise):
    default = helpers.occlusion_maps(random_vit, _transform(32), noise, "a cat")
    chosen = helpers.occlusion_maps(random_vit, _transform(32), noise, "a cat", patch=8, stride=4)
    assert np.array_equal(default, chosen)


def test_what_the_crop_throws_away_does_not_matter(random_vit):
    wide = Image.fromarray(np.random.default_rng(1).integers(0, 256, (32, 96, 3), dtype=np.uint8))
    found = helpers.occlusion_maps(random_vit, _transform(32), wide, "a cat", patch=8, stride=8)[0]
    assert np.abs(found[:, :32]).max() < 1e-6
    assert np.abs(found[:, 64:]).max() < 1e-6
    assert np.abs(found[:, 32:64]).min() > 1e-6


def test_map_lies_over_the_upright_image(random_vit, noise, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise.rotate(90, expand=True).save(tmp_path / "phone.png", exif=exif)
    found = helpers.occlusion_maps(random_vit, _transform(32), tmp_path / "phone.png", "a cat")
    assert np.allclose(found, helpers.occlusion_maps(random_vit, _transform(32), noise, "a cat"), atol=1e-6)


def test_covering_with_the_same_colour_changes_nothing(random_vit):
    blank = Image.new("RGB", (32, 32), "white")
    same = helpers.occlusion_maps(random_vit, _transform(32), blank, "a cat", colour="white")
    other = helpers.occlusion_maps(random_vit, _transform(32), blank, "a cat", colour="black")
    assert np.abs(same).max() < 1e-6 < np.abs(other).max()


def test_the_image_is_left_as_it_was(random_vit, noise):
    before = noise.copy()
    helpers.occlusion_maps(random_vit, _transform(32), noise, "a cat")
    assert noise == before


def test_sizes_that_leave_gaps_are_refused(random_vit, noise):
    with pytest.raises(ValueError, match="Expected patch to be between 1 and 32; got 33"):
        helpers.occlusion_maps(random_vit, _transform(32), noise, "a cat", patch=33)
    with pytest.raises(ValueError, match="Expected stride to be between 1 and 8; got 9"):
        helpers.occlusion_maps(random_vit, _transform(32), noise, "a cat", patch=8, stride=9)
    with pytest.raises(helpers.ImageError, match=r"^Cannot read nowhere.png: there is no such file"):
        helpers.occlusion_maps(random_vit, _transform(32), "nowhere.png", "a cat")


def test_few_copies_of_a_large_image_are_in_memory(tiny, monkeypatch):
    sizes = []
    encode = occlusion.encode_images

    def watching(model, preprocess, images, batch_size, progress):
        sizes.append(batch_size)
        return encode(model, preprocess, images, batch_size, progress)

    monkeypatch.setattr(occlusion, "encode_images", watching)
    for image in (Image.new("RGB", (4000, 3000)), Image.new("RGB", (200, 100))):
        helpers.occlusion_maps(*tiny, image, "a cat", patch=min(image.size))
    assert sizes == [3, 64]  # of 12 megapixels, 3 copies of 48 MB


def test_word_drops_takes_an_open_file(tiny):
    with (IMAGES / "cat.png").open("rb") as file:
        words, drops = helpers.word_drops(*tiny, file, "a cat")
    assert np.array_equal(drops, helpers.word_drops(*tiny, IMAGES / "cat.png", "a cat")[1])


def test_word_drops_agree_with_leaving_out_one_word_by_hand(random_vit, noise):
    words, drops = helpers.word_drops(random_vit, _transform(32), noise, "a  red cat")
    whole = cosine(random_vit, _transform(32), noise, "a red cat")
    expected = [whole - cosine(random_vit, _transform(32), noise, text) for text in ("red cat", "a cat", "a red")]
    assert words == ["a", "red", "cat"]
    assert np.allclose(drops, expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-3


def test_a_text_without_words_is_refused(random_vit, noise):
    with pytest.raises(ValueError, match=r"Expected text to have at least one word; got ' '"):
        helpers.word_drops(random_vit, _transform(32), noise, "  ")


def centre_of_mass(occlusion_map):
    """The mean column, each weighted by its drop; only what speaks for the text counts."""
    weights = occlusion_map.clip(0).sum(axis=0)
    return (weights * np.arange(len(weights))).sum() / weights.sum() if weights.any() else np.nan


def test_planted_objects_are_found_on_their_side(tiny):
    """Two things side by side: the difference of their maps has each on its side in nine of ten random pairs."""
    model, preprocess = tiny
    names = drawings.drawing_names()
    features = helpers.encode_images(model, preprocess, [drawings.draw(name) for name in names])
    similarity = helpers.cosine_similarity(helpers.encode_texts(model, [f"a {name}" for name in names]), features)
    known = [name for j, name in enumerate(names) if similarity[:, j].argmax() == j]
    rng = random.Random(7)
    found = 0
    for left, right in (rng.sample(known, 2) for _ in range(30)):
        scene = drawings.scene([left, right], (256, 256))
        this, that = helpers.occlusion_maps(model, preprocess, scene, [f"a {left}", f"a {right}"], patch=128, stride=64)
        found += centre_of_mass(this - that) < 127.5 < centre_of_mass(that - this)
    assert found >= 27
