"""The images of the course are what helpers.course.drawings draws, and show what their captions say."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from helpers.course import drawings

FOLDER = drawings.IMAGES
SUFFIXES = {".png", ".jpeg"}


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    drawings.write(folder)
    return folder


def images_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)


def pixels(source):
    image = source if isinstance(source, Image.Image) else Image.open(source)
    return np.asarray(image.convert("RGB"), dtype=np.float32)


def caption_rows(folder):
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def reachable(passable, start):
    """Every pixel that a flood from ``start``, ``(x, y)``, wets. It knows nothing of the maze's plan."""
    areas, _ = ndimage.label(passable)
    return areas == areas[round(start[1]), round(start[0])]


def glowing(image):
    """Where the path itself lies: bright, and not grey or golden."""
    red, green, blue = np.moveaxis(image, -1, 0)
    return (green > 190) & (green > red + 25) & (green > blue + 25)


def wall(image):
    """Where a wall lies that the path does not light up: grey, neither dark nor white nor coloured."""
    return (image.min(axis=-1) > 75) & (image.max(axis=-1) < 190) & (np.ptp(image, axis=-1) < 45)


def wets(mask, point):
    x, y = (round(value) for value in point)
    return mask[y - 2 : y + 3, x - 2 : x + 3].any()


def test_drawing_again_gives_the_same_files(redrawn):
    assert images_in(redrawn) == images_in(FOLDER)
    assert (redrawn / "captions.csv").read_text() == (FOLDER / "captions.csv").read_text()
    for file in images_in(FOLDER):
        difference = np.abs(pixels(FOLDER / file) - pixels(redrawn / file)).mean()
        assert difference < 1, f"{file} is not what helpers.course.drawings draws now"


def test_captions_name_every_image_once():
    rows = caption_rows(FOLDER)
    assert [row["file"] for row in rows] == images_in(FOLDER)
    assert all(row["name"] == Path(row["file"]).stem for row in rows)
    assert all(row["caption"] for row in rows)
    assert len({row["caption"] for row in rows}) == len(rows)


def test_images_are_small_and_of_the_stated_size():
    for file in images_in(FOLDER):
        is_maze = file.startswith("maze")
        with Image.open(FOLDER / file) as image:
            assert image.size == (drawings.MAZE_SIZE if is_maze else (256, 256))
            assert image.mode == "RGB"  # clip resizes before it converts, which spoils palette images
        assert (FOLDER / file).stat().st_size < (60_000 if is_maze else 25_000)


def test_drawings_fill_most_of_a_light_background_and_are_not_cut():
    for file in images_in(FOLDER):
        if file.endswith(".png"):
            painted = (pixels(FOLDER / file) < 250).any(axis=-1)
            rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
            assert max(np.ptp(rows), np.ptp(columns)) > 0.8 * 256, file
            assert min(rows[0], columns[0]) > 0 and max(rows[-1], columns[-1]) < 255, file


def test_no_two_images_look_alike():
    small = {name: pixels(drawings.draw(name, 64)) for name in drawings.drawing_names()}
    for first in small:
        for second in small:
            assert first == second or np.abs(small[first] - small[second]).mean() > 10, (first, second)


def test_the_same_call_draws_the_same_image():
    for make in (
        lambda: drawings.draw("dog", 64, drawings.clutter((64, 64), seed=4), angle=10),
        lambda: drawings.scene(["cat", "car"], (96, 48)),
    ):
        assert np.array_equal(pixels(make()), pixels(make()))


def test_seeds_make_different_mazes_and_clutter():
    assert drawings.plan_maze(1).doors != drawings.plan_maze(2).doors
    assert not np.array_equal(pixels(drawings.clutter(seed=1)), pixels(drawings.clutter(seed=2)))


def test_colour_changes_the_thing_and_background_what_is_around_it():
    red, blue = drawings.draw("car", 64), drawings.draw("car", 64, colour="royalblue")
    assert pixels(red)[40, 20].argmax() == 0
    assert pixels(blue)[40, 20].argmax() == 2
    assert tuple(pixels(drawings.draw("car", 64, "#102030"))[0, 0]) == (16, 32, 48)


def test_zoom_makes_it_smaller_in_the_middle():
    painted = (pixels(drawings.draw("heart", 200, zoom=0.5)) < 250).any(axis=-1)
    assert not painted[:50].any()
    assert not painted[:, :50].any()
    assert painted[100, 100]


def test_a_scene_puts_things_where_it_is_told():
    image = pixels(drawings.scene(["apple", "apple"], (200, 100), places=[(30, 30, 40), (160, 60, 60)]))
    painted = (image < 250).any(axis=-1)
    assert painted[30, 30]
    assert painted[60, 160]
    assert not painted[:, 60:120].any()


def test_walls_leave_a_way_to_every_cell():
    plan = drawings.plan_maze(5)
    floor = ~wall(pixels(drawings.maze(5, solved=0)))
    floor[:58] = False
    wet = reachable(floor, plan.centre((0, 0)))
    cells = [(x, y) for x in range(plan.columns) for y in range(plan.rows)]
    assert all(wets(wet, plan.centre(cell)) for cell in cells)
    assert not wet[-4:].any(), "the flood ran out through the outer wall"


def test_only_one_way_leads_through_a_maze():
    plan = drawings.plan_maze(seed=12)
    assert len(plan.doors) == 2 * (plan.columns * plan.rows - 1)
    assert all(step in plan.doors for step in zip(plan.path, plan.path[1:], strict=False))
    assert plan.path[0] == (0, 0)
    assert plan.path[-1] == (plan.columns - 1, plan.rows - 1)
    assert len(set(plan.path)) == len(plan.path)


def test_saved_mazes_are_solved_as_far_as_their_captions_say():
    captions = {row["name"]: row["caption"] for row in caption_rows(FOLDER)}
    for name, (seed, solved) in drawings.SAVED_MAZES.items():
        plan = drawings.plan_maze(seed)
        wet = reachable(glowing(pixels(FOLDER / f"{name}.jpeg")), plan.centre(plan.path[1]))
        trodden = [wets(wet, plan.centre(cell)) for cell in plan.path[1:-1]]
        assert np.mean(trodden) == pytest.approx(solved, abs=0.03)
        assert trodden == sorted(trodden, reverse=True)
        assert wets(wet, plan.centre(plan.path[-1])) == (solved == 1)
        assert captions[name].endswith("solved to the end" if solved == 1 else "solved half way")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.draw("unicorn"), "Expected the name of a drawing; got 'unicorn'. Choose one of apple, balloon"),
        (lambda d: d.sticker("cat", 0), "Expected size to be at least 1 pixel; got 0."),
        (lambda d: d.scene(["cat", "dog"], places=[(1, 1, 1)]), "Expected as many places as names, 2; got 1."),
        (lambda d: d.maze(solved=1.5), "Expected solved to be between 0 and 1; got 1.5."),
        (lambda d: d.maze(columns=1), "Expected at least 2 columns and 2 rows; got 1 and 16."),
    ],
)
def test_errors_say_what_was_wrong(call, message):
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        call(drawings)
