"""A plot shows the numbers, texts and pictures that it was given."""

import matplotlib
import numpy as np
import pytest

import helpers
from conftest import IMAGES

matplotlib.use("Agg")
FILES = [IMAGES / "maze1.jpeg", IMAGES / "cat.png", IMAGES / "dog.png"]
SIMILARITY = np.array([[0.31, 0.12, -0.001], [0.05, 0.27, 0.11]])


def test_heatmap_shows_what_it_was_given():
    axes = helpers.plot_similarity(SIMILARITY, ["maze", "cat"], FILES)
    assert np.array_equal(axes.images[0].get_array(), SIMILARITY)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["maze", "cat"]
    assert [text.get_text() for text in axes.texts] == ["0.31", "0.12", "0.00", "0.05", "0.27", "0.11"]


def test_every_picture_stands_over_its_column():
    axes = helpers.plot_similarity(SIMILARITY, ["maze", "cat"], FILES)
    top = axes.figure.axes[0]
    for j, drawn in enumerate(top.images):
        left, right, bottom, upper = drawn.get_extent()
        assert j - 0.5 <= left < right <= j + 0.5
        assert np.isclose((left + right) / 2, j)
        assert 0 <= bottom < upper
    assert len(top.images) == len(FILES)


def test_numbers_stand_out_from_their_cell():
    axes = helpers.plot_similarity(SIMILARITY, ["maze", "cat"], FILES)
    assert axes.texts[0].get_color() == "black"
    assert axes.texts[2].get_color() == "white"


def test_shape_must_fit():
    with pytest.raises(ValueError, match=r"shape \(2, 3\), but there are 2 texts and 2 images"):
        helpers.plot_similarity(SIMILARITY, ["maze", "cat"], FILES[:2])


def test_plot_lays_the_map_over_the_picture():
    occlusion_map = np.linspace(-0.1, 0.2, 256 * 256).reshape(256, 256)
    axes = helpers.plot_occlusion(IMAGES / "cat.png", occlusion_map)
    under, over = axes.images
    assert np.array_equal(under.get_array(), np.array(helpers.open_image(IMAGES / "cat.png").convert("L")))
    assert np.array_equal(over.get_array(), occlusion_map)
    assert over.get_cmap().name == "viridis"
    assert 0 < over.get_alpha() < 1


def test_plot_refuses_the_map_of_another_picture():
    with pytest.raises(ValueError, match=r"the map has shape \(1, 256, 256\), but the picture \(256, 256\); give one"):
        helpers.plot_occlusion(IMAGES / "cat.png", np.zeros((1, 256, 256)))
