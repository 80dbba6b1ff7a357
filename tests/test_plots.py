"""A plot shows the numbers, texts and images that it was given."""

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

import helpers
from tests.conftest import IMAGES

matplotlib.use("Agg")
FILES = [IMAGES / "maze1.jpeg", IMAGES / "cat.png", IMAGES / "dog.png"]
SIMILARITY = np.array([[0.31, 0.12, -0.001], [0.05, 0.27, 0.11]])


def test_heatmap_shows_what_it_was_given():
    axes = helpers.plot_similarity(SIMILARITY, ["maze", "cat"], FILES)
    assert np.array_equal(axes.images[0].get_array(), SIMILARITY)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["maze", "cat"]
    assert [text.get_text() for text in axes.texts] == ["0.31", "0.12", "0.00", "0.05", "0.27", "0.11"]


def test_every_image_stands_over_its_column():
    axes = helpers.plot_similarity(SIMILARITY, ["maze", "cat"], FILES)
    top = axes.figure.axes[0]
    for j, drawn in enumerate(top.images):
        left, right, bottom, upper = drawn.get_extent()
        assert j - 0.5 <= left < right <= j + 0.5
        assert np.isclose((left + right) / 2, j)
        assert 0 <= bottom < upper <= top.get_ylim()[1]
    assert len(top.images) == len(FILES)


def test_images_keep_their_shape_and_leave_no_empty_strip():
    """Square ones touch the top of their strip, and so does a tall one beside them."""
    for files in (FILES[1:], FILES):
        axes = helpers.plot_similarity(SIMILARITY[:, : len(files)], ["maze", "cat"], files)
        top = axes.figure.axes[0]
        shape = top.get_window_extent()
        uppers = []
        for drawn, file in zip(top.images, files, strict=True):
            left, right, bottom, upper = drawn.get_extent()
            ratio = (upper - bottom) / top.get_ylim()[1] * shape.height / ((right - left) / len(files) * shape.width)
            image = helpers.open_image(file)
            assert np.isclose(ratio, image.height / image.width, rtol=0.02)
            uppers.append(upper)
        assert np.isclose(max(uppers), top.get_ylim()[1], atol=0.06)


def luminance(rgb):
    """As WCAG 2 defines it."""
    rgb = np.asarray(rgb)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("values", [np.linspace(-0.2, 0.6, 101), [0.3]])
def test_numbers_stand_out_from_their_cell(values):
    """By a contrast of 4.5 at least, as WCAG asks of text."""
    axes = helpers.plot_similarity(np.reshape(values, (-1, 1)), ["a text"] * len(values), FILES[:1])
    cells = axes.images[0].to_rgba(axes.images[0].get_array())[:, 0, :3]
    for text, cell in zip(axes.texts, cells, strict=True):
        dark, light = sorted([luminance(matplotlib.colors.to_rgb(text.get_color())), luminance(cell)])
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize(("columns", "numbers"), [(12, True), (13, False)])
def test_beyond_a_dozen_columns_a_scale_of_the_colours_takes_the_place_of_numbers(columns, numbers):
    axes = helpers.plot_similarity(np.zeros((2, columns)), ["maze", "cat"], FILES[:1] * columns)
    assert len(axes.texts) == (2 * columns if numbers else 0)
    assert len(axes.figure.axes) == (2 if numbers else 3)
    assert axes.get_yticklabels()[0].get_size() == (10 if numbers else 14)
    top = axes.figure.axes[0].get_position()
    assert np.allclose([top.x0, top.x1], [axes.get_position().x0, axes.get_position().x1])


def test_a_dollar_is_no_formula_and_a_label_no_command():
    axes = helpers.plot_similarity(np.ones((2, 1)), ["$\\foo$ and $5", "a\x1b[31m"], [IMAGES / "cat.png"])
    axes.figure.savefig(io.BytesIO())
    assert [label.get_text() for label in axes.get_yticklabels()] == ["$\\foo$ and $5", "a\\x1b[31m"]


def test_images_are_kept_no_larger_than_they_are_drawn():
    axes = helpers.plot_similarity(
        np.ones((1, 2)), ["a"], [Image.new("RGB", size) for size in ((2000, 1000), (90, 60))]
    )
    top = axes.figure.axes[0]
    assert [image.get_array().shape[:2] for image in top.images] == [(200, 400), (60, 90)]


def test_shape_must_fit():
    with pytest.raises(ValueError, match=r"similarity of shape \(2, 2\), .*; got \(2, 3\)"):
        helpers.plot_similarity(SIMILARITY, ["maze", "cat"], FILES[:2])


def test_plot_lays_the_map_over_the_image():
    occlusion_map = np.linspace(-0.1, 0.2, 256 * 256).reshape(256, 256)
    axes = helpers.plot_occlusion(IMAGES / "cat.png", occlusion_map)
    under, over = axes.images
    assert np.array_equal(under.get_array(), np.array(helpers.open_image(IMAGES / "cat.png").convert("L")))
    assert np.array_equal(over.get_array(), occlusion_map)
    assert over.get_clim() == pytest.approx((-0.2, 0.2))  # centred at zero
    assert over.get_alpha().max() < 1
    assert over.get_alpha()[np.abs(occlusion_map) < 1e-4].max() < 0.1


def test_maps_can_share_their_limit():
    occlusion_map = np.linspace(-0.1, 0.2, 256 * 256).reshape(256, 256)
    axes = helpers.plot_occlusion(IMAGES / "cat.png", occlusion_map, limit=0.5)
    assert axes.images[1].get_clim() == (-0.5, 0.5)
    with pytest.raises(ValueError, match=r"^Expected limit to be above 0; got 0\.0\.$"):
        helpers.plot_occlusion(IMAGES / "cat.png", occlusion_map, limit=0)


def test_a_map_of_zeros_has_no_colour():
    axes = helpers.plot_occlusion(IMAGES / "cat.png", np.zeros((256, 256)))
    assert axes.images[1].get_alpha().max() == 0


@pytest.mark.parametrize("size", [(384, 128), (128, 128), (128, 384)])
def test_the_bar_is_no_taller_than_the_image(size):
    axes = helpers.plot_occlusion(Image.new("RGB", size), np.eye(*size[::-1]))
    axes.figure.draw_without_rendering()
    image, bar = (part.get_window_extent().height for part in axes.figure.axes)
    assert 0.5 * image < bar < image


def test_plot_refuses_the_map_of_another_image():
    with pytest.raises(ValueError, match=r"occlusion_map of shape \(256, 256\), .*; got \(1, 256, 256\)\. Pass one"):
        helpers.plot_occlusion(IMAGES / "cat.png", np.zeros((1, 256, 256)))
