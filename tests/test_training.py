"""What training/ promises: it learns from nothing, resumes where it stopped, and its figures are those of `tiny`."""

import gzip
import hashlib
import json
import random

import clip
import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from training import augment, evaluate, line_art, names, render, scenes, train, train_text, train_vit

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
WEIGHTS = ROOT / "helpers" / "weights"
FIGURES = json.loads((ROOT / "training" / "figures.json").read_text())  # as evaluate.py printed them


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def few_images():
    """120 silhouettes of six names, each name with a random place in the text space."""
    torch.manual_seed(0)
    pixels = np.stack([scenes.draw_scene((shape, seed)) for shape in SHAPES for seed in range(20)])
    n = len(pixels)
    phrases = torch.nn.functional.normalize(
        torch.randn(len(SHAPES) * (1 + len(scenes.COLOURS)), train.EMBEDDING), dim=1
    )
    return train.Images(
        pixels=pixels,
        shrunk=pixels,
        row=np.arange(n),
        name=torch.arange(len(SHAPES)).repeat_interleave(20),
        mono=torch.ones(n, dtype=torch.bool),
        doodle=torch.zeros(n, dtype=torch.bool),
        full=torch.zeros(n, dtype=torch.bool),
        flip=torch.ones(n, dtype=torch.bool),
        weight=torch.ones(n, dtype=torch.double),
        calm_weight=torch.ones(n, dtype=torch.double),
        names=list(SHAPES),
        features=phrases[: len(SHAPES)],
        phrases=phrases,
        colour_row=torch.arange(len(SHAPES)) * len(scenes.COLOURS) + len(SHAPES),
        ground_row=torch.full((len(SHAPES),), -1),
        emoji=torch.ones(len(SHAPES)),
        alias=[[] for _ in SHAPES],
    )


def test_training_from_nothing_lowers_the_loss(few_images):
    trainer = train.Trainer(few_images, batch=24, peak=1e-3, warm_up=120)
    losses = [trainer.step(0.0) for _ in range(40)]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])


@pytest.mark.parametrize("kind", [train.Trainer, train_vit.Student])
def test_a_saved_state_goes_on_as_if_it_had_not_stopped(few_images, tmp_path, kind):
    first = kind(few_images, batch=8, warm_up=1)
    first.step(0.0)
    first.save(tmp_path / "state.pt")
    second = kind(few_images, batch=8, warm_up=1)
    second.load(tmp_path / "state.pt")
    losses = []
    for trainer in (first, second):
        torch.manual_seed(1)
        losses.append(trainer.step(0.1))
    assert second.seen == 16
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    for side in set(kind.kept) - {"optimizer"}:
        for a, b in zip(getattr(first, side).parameters(), getattr(second, side).parameters(), strict=True):
            torch.testing.assert_close(a, b)


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return train_vit.make_vit()


@torch.no_grad()
def test_the_quick_way_through_the_vit_gives_the_features_of_clip(vit):
    images = torch.randn(3, 3, 64, 64)
    expected = vit(images)
    found, rows = train_vit.encode(vit, images, torch.stack([torch.randperm(64) for _ in range(3)]))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert [tuple(row.shape) for row in rows] == [(3, 64, train_vit.WIDTH)] * train_vit.DEPTH


def test_the_vit_is_kept_without_its_text_side(few_images, tmp_path, monkeypatch):
    student = train_vit.Student(few_images, batch=8)
    student.save(tmp_path / "vit-state.pt")
    monkeypatch.setattr(train_vit.Student, "from_folder", lambda _: (train_vit.Student(few_images), few_images))
    train_vit.export(tmp_path)
    kept = torch.load(tmp_path / "tiny-vit.pt", weights_only=True)
    assert {name.split(".")[0] for name in kept} == {"visual", "logit_scale"}
    joined, tiny = (evaluate.Checkpoint(path) for path in (tmp_path / "tiny-vit.pt", WEIGHTS / "tiny.pt"))
    assert np.array_equal(joined.texts(["a cat"]), tiny.texts(["a cat"]))
    assert torch.equal(joined.model.visual.conv1.weight, student.average.conv1.weight.half().float())


def test_a_silhouette_gets_the_colour_that_its_caption_says():
    torch.manual_seed(0)
    pixels = torch.full((64, 40, 40, 4), 255, dtype=torch.uint8)
    yes, no = torch.ones(64, dtype=torch.bool), torch.zeros(64, dtype=torch.bool)
    table = torch.tensor(list(scenes.COLOURS.values())) / 255
    batch = augment.augment(pixels, yes, no, no, 64, table)
    alone = (batch.neighbour < 0) & (batch.colour >= 0)
    centre = (batch.images * augment.STD + augment.MEAN)[alone, :, 28:36, 28:36].mean((2, 3))
    assert alone.sum() > 15
    right = (centre - table[batch.colour[alone]]).abs().amax(1) < 0.35
    assert right.float().mean() > 0.9  # an erased rectangle may lie over the centre


def test_lines_that_close_are_filled_with_the_colour_of_the_other_drawing():
    ink = np.zeros((112, 112), np.uint8)
    ink[10:102, 10:102] = 255
    ink[16:96, 16:52] = 0  # two rooms with a wall between them, and one door to the outside
    ink[16:96, 58:96] = 0
    ink[50:60, 96:102] = 0
    red = np.zeros((112, 112, 4), np.uint8)
    red[5:107, 5:107] = (200, 30, 40, 255)
    filled = line_art.fill_lines(ink, red)
    assert filled[50, 30].tolist() == [200, 30, 40, 255]
    assert filled[12, 12].tolist() == [0, 0, 0, 255]
    assert filled[50, 70, 3] == 0
    assert filled[2, 2, 3] == 0


def test_every_other_doodle_is_filled_and_an_unknown_thing_left_out(tmp_path):
    drawings = tmp_path / "doodles" / "src" / "drawings"
    drawings.mkdir(parents=True)
    ring = np.zeros((28, 28))
    ring[4:24, 4:24], ring[6:22, 6:22] = 1, 0
    for thing in ("hot dog", "cat", "goatee"):
        with gzip.open(drawings / f"{thing}.ndjson.gz", "wt") as file:
            file.write(f"{json.dumps(ring.flatten().tolist())}\n" * 2)
    rows = render.list_doodles(tmp_path, known={"cat", "hot dog"}, coloured={"cat"})
    assert [row[1:] for row in rows] == [
        ("cat", "quick-draw", "mono"),
        ("cat", "quick-draw", "colour"),
        ("hot dog", "quick-draw", "mono"),
        ("hot dog", "quick-draw", "mono"),
    ]
    red = np.tile(np.array([200, 30, 40, 255], np.uint8), (112, 112, 1))
    bare, filled = render.draw_line_art(rows[0][0], None), render.draw_line_art(rows[1][0], red)
    assert bare[56, 56, 3] == 0
    assert filled[56, 56].tolist() == [200, 30, 40, 255]
    for pixels in (bare, filled):
        assert pixels[56, 10].tolist() == [0, 0, 0, 255]
        assert pixels[56, 2, 3] == 0


def test_doodles_make_a_thing_count_twice_and_do_not_outweigh_its_other_images():
    rows = [("cat", "noto", "colour")] * 15 + [("cat", "quick-draw", "colour")] * 100
    rows += [("ghost", "noto", "colour")] * 3 + [("flag france", "noto", "colour")]
    rows += [("chair", "quick-draw", "mono"), ("sofa", "tabler", "mono")]
    weight = train.choose_weights(rows, {"cat", "ghost", "flag france"}, 0.7)
    cat, doodles, ghost, flag = weight[:115].sum(), weight[15:115].sum(), weight[115:118].sum(), weight[118]
    assert cat + ghost + flag == pytest.approx(0.7)
    assert cat / ghost == pytest.approx(2.0)
    assert flag / ghost == pytest.approx(0.6)
    assert doodles / cat == pytest.approx(0.5)


def test_the_cut_context_gives_the_features_of_clip():
    torch.manual_seed(0)
    model = train_text.make_model()
    texts = ["a picture of a cat.", "one o'clock", "red heart on a blue background", "Hello World!"]
    assert torch.equal(train_text.tokenize(texts), clip.tokenize(texts)[:, :8].long())
    with torch.no_grad():
        full = torch.nn.functional.normalize(model.encode_text(clip.tokenize(texts)), dim=1)
        cut = train_text.encode(model, texts)
    assert (full * cut).sum(1).min() > 0.999  # bfloat16 beside float32


def test_a_word_without_images_moves_with_the_name_that_it_means():
    names, images = torch.eye(6)[:2], torch.eye(6)[4:]
    word = torch.nn.functional.normalize(torch.tensor([[0.9, 0.1, 0.4, 0.0, 0.0, 0.0]]), dim=1)
    moved = train_text.move(word, names, images, torch.ones(2))
    wanted = torch.nn.functional.normalize(word + images[:1], dim=1)
    torch.testing.assert_close(moved, wanted)
    heavier = train_text.move(names.mean(0, keepdim=True), names, images, torch.tensor([1.0, 3.0]))
    assert (heavier @ images.T)[0, 1] == pytest.approx(3 * (heavier @ images.T)[0, 0].item())


def test_names_of_many_makers_become_one():
    assert names.clean_name("flag: Türkiye") == "flag turkiye"
    assert names.squash("Cat-Face_2") == "catface2"
    assert names.icon_name_to_words("dog-side-24-filled") == "dog side"
    assert names.plain_code("2764-FE0F") == "2764"


def test_a_set_with_another_licence_is_refused(tmp_path):
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "odd.json").write_text(json.dumps({"info": {"license": {"spdx": "GPL-3.0"}}, "icons": {}}))
    with pytest.raises(ValueError, match="set 'odd' has licence 'GPL-3.0'"):
        render.read_set(tmp_path, "odd")


def test_every_cell_of_a_drawn_maze_can_be_reached():
    open_walls, parent = scenes.carve_maze(7, 5, random.Random(3))
    assert len(open_walls) == len(parent) == 7 * 5 - 1
    for cell in parent:
        steps = 0
        while cell in parent:
            assert frozenset((cell, parent[cell])) in open_walls
            cell, steps = parent[cell], steps + 1
            assert steps <= 35
        assert cell == (0, 0)


def test_hits_counts_the_rows_whose_right_column_is_among_the_best():
    similarity = np.array([[0.9, 0.1, 0.2], [0.3, 0.2, 0.1], [0.5, 0.4, 0.6]])
    assert evaluate.hits(similarity, np.array([0, 1, 2])) == pytest.approx(2 / 3)
    assert evaluate.hits(similarity, np.array([0, 1, 2]), k=2) == 1.0


@pytest.fixture(scope="module", params=FIGURES)
def embedded(request):
    return request.param


@pytest.fixture(scope="module")
def figures(embedded):
    return FIGURES[embedded]


@pytest.fixture(scope="module")
def checkpoint(embedded):
    return evaluate.Checkpoint(WEIGHTS / f"{embedded}.pt")


def test_the_model_card_speaks_of_this_checkpoint(figures, embedded):
    content = (WEIGHTS / f"{embedded}.pt").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    card = (ROOT / "training" / "README.md").read_text()
    assert figures["SHA-256"] == digest
    assert digest in card
    assert len(content) <= {"tiny": 30e6, "tiny-vit": 8e6}[embedded]


def test_the_figures_of_the_drawings_hold(figures, checkpoint):
    assert evaluate.evaluate_drawings(checkpoint)["drawings top-1"] == pytest.approx(
        figures["drawings top-1"], abs=0.03
    )


def test_the_figures_of_the_mazes_hold(figures, checkpoint):
    found = evaluate.evaluate_mazes(checkpoint, count=20)
    assert found["mazes top-1 of eleven"] == pytest.approx(figures["mazes top-1 of eleven"], abs=0.1)
    assert found["seed question top-1 of four"] == pytest.approx(figures["seed question top-1 of four"], abs=0.1)
    assert np.allclose(found["seed question, images/"], figures["seed question, images/"], atol=0.02)
