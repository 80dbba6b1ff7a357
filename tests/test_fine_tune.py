"""A run learns its pairs, keeps its best weights, survives kills to the bit, and is never taken for another run."""

import math
import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from clip.clip import _transform
from clip.model import CLIP
from filelock import FileLock
from PIL import Image

import helpers
from helpers.tokenizer import tokenize

COLOURS = ("red", "green", "blue", "yellow")
PREPROCESS = _transform(32)
KILLS = int(os.environ.get("KILLS", "1"))


def small(seed=0, width=16):
    """A ViT with random weights."""
    torch.manual_seed(seed)
    return CLIP(16, 32, 1, 64, 8, 16, 49408, width, 1, 1).eval()


def small_resnet(seed=0):
    torch.manual_seed(seed)
    return CLIP(16, 32, (1, 1, 1, 1), 8, None, 16, 49408, 16, 1, 1).eval()


def squares(folder, each=3, seed=0):
    """Save plain squares of four colours, each a little different; return their paths and captions."""
    rng, pairs = np.random.default_rng(seed), []
    for colour in COLOURS:
        for i in range(each):
            path = folder / f"{colour}-{seed}-{i}.png"
            shade = np.array(Image.new("RGB", (32, 32), colour)) + rng.integers(-40, 40, 3)
            Image.fromarray(shade.clip(0, 255).astype(np.uint8)).save(path)
            pairs.append((path, f"a {colour} square"))
    return pairs


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def differ(one, other):
    return [name for name in one if not torch.equal(one[name], other[name])]


def tune(model, pairs, validation=(), preprocess=PREPROCESS, **options):
    options = {"steps": 4, "learning_rate": 1e-3, **options}
    return helpers.fine_tune(model, preprocess, pairs, validation, **options)


@pytest.fixture
def pairs(tmp_path):
    return squares(tmp_path)


def test_a_run_is_the_plain_loop(pairs):
    """Against a loop without equal captions encoded once, and without threads: 20 steps with a batch of all pairs."""
    model, plain = small(), small()
    with torch.no_grad():
        for each in (model, plain):
            each.logit_scale.fill_(math.log(99.99))  # the largest is 100
    found = tune(model, pairs, steps=20)
    pixels = torch.stack([PREPROCESS(Image.open(path)) for path, _ in pairs])
    tokens, _ = tokenize(model, [text for _, text in pairs])
    same = torch.tensor([[one == other for _, other in pairs] for _, one in pairs])
    adam = torch.optim.Adam(plain.parameters(), betas=(0.9, 0.98), eps=1e-6)
    losses = []
    for step in range(20):
        adam.param_groups[0]["lr"] = 1e-3 * (0.5 if step == 0 else 1) * (1 + math.cos(math.pi * step / 20)) / 2
        logits = plain.logit_scale.exp() * (
            torch.nn.functional.normalize(plain.encode_image(pixels))
            @ torch.nn.functional.normalize(plain.encode_text(tokens)).T
        )
        logits = torch.where(same & ~torch.eye(12, dtype=torch.bool), -torch.inf, logits)
        loss = -(logits.log_softmax(0).diag() + logits.log_softmax(1).diag()).mean() / 2
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1)
        adam.step()
        plain.logit_scale.data.clamp_(max=math.log(100))
        losses.append(loss.item())
    assert found.measures[-1].loss == pytest.approx(np.mean(losses[-2:]), rel=1e-3)
    for name, weight in plain.named_parameters():
        assert (model.get_parameter(name) - weight).abs().max() < 1e-3, name
    moved = torch.cat([(model.get_parameter(n) - w).flatten() for n, w in plain.named_parameters()])
    assert moved.abs().mean() < 1e-6
    assert model.logit_scale <= math.log(100) + 1e-6


def test_it_learns_colours_and_keeps_the_best(tmp_path, pairs):
    model, validation = small(), squares(tmp_path, 2, seed=1)
    found = tune(model, iter(pairs), iter(validation), steps=60, batch_size=6)
    assert [measure.step for measure in found.measures] == [*range(0, 61, 6)]
    assert found.best == max(found.measures, key=lambda measure: measure.accuracy)
    assert found.measures[0].accuracy < found.best.accuracy == 1
    assert math.isnan(found.measures[0].loss)
    assert found.measures[-1].loss < 0.2 < 1.2 < found.measures[-1].chance < math.log(6)
    assert found.errors == ()
    nearest = helpers.cosine_similarity(
        helpers.encode_texts(model, [f"a {colour} square" for colour in COLOURS]),
        helpers.encode_images(model, PREPROCESS, [path for path, _ in validation]),
    ).argmax(axis=0)
    assert (nearest == np.repeat(range(4), 2)).all()
    best, opposite = state(model), dict(zip(COLOURS, COLOURS[::-1], strict=True))
    wrong = [(path, f"a {opposite[text.split()[1]]} square") for path, text in pairs]
    found = tune(model, wrong, pairs, steps=30)
    assert found.best == found.measures[0]
    assert found.measures[-1].accuracy < 1
    assert not differ(best, state(model))


def test_without_validation_the_last_weights_are_kept(pairs):
    model = small()
    before = state(model)
    found = tune(model, pairs)
    assert found.best == found.measures[-1]
    assert math.isnan(found.best.accuracy)
    assert differ(before, state(model))


def test_every_pair_comes_once_before_one_comes_again(pairs):
    seen = Counter()

    def counted(image):
        seen[image.tobytes()] += 1
        return PREPROCESS(image)

    tune(small(), pairs[:10], preprocess=counted, steps=6, batch_size=4)
    assert [*seen.values()] == [2] * 10


def test_batch_normalization_and_what_is_frozen_stay_as_they_are(pairs):
    model = small_resnet()
    model.transformer.requires_grad_(False)
    before = state(model)
    tune(model.train(), pairs)
    moved = differ(before, state(model))
    norms = [name for name, part in model.named_modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert len(norms) > 10
    assert not [name for name in moved if name.rpartition(".")[0] in norms or name.startswith("transformer.")]
    assert {"visual.conv1.weight", "token_embedding.weight", "logit_scale"} <= {*moved}
    assert not model.training


def test_a_single_parameter_learns(pairs):
    model = small().requires_grad_(False)
    model.visual.proj.requires_grad_(True)
    before = state(model)
    tune(model, pairs)
    assert differ(before, state(model)) == ["visual.proj"]


def test_a_half_precision_model_learns_in_float32_where_gradients_are_off(pairs):
    model = small().half()
    before = state(model)
    with torch.no_grad():
        tune(model, pairs)
        assert not torch.is_grad_enabled()
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert differ(before, state(model))


def test_captions_of_one_image_are_not_negatives(pairs):
    """The loss of guessing counts only the candidates: the own caption, and those of other images and texts."""
    (red, _), (green, _) = pairs[0], pairs[3]
    twice = [(red, "red"), (red, "a square"), (green, "green"), (green, "a lawn")]
    assert tune(small(), twice).measures[-1].chance == pytest.approx(math.log(3))
    equal = [(path, text) for path, text in pairs if "red" in text or "blue" in text]
    assert tune(small(), equal).measures[-1].chance == pytest.approx(math.log(4))


def test_unreadable_images_are_left_out_and_listed_once(tmp_path, pairs):
    (tmp_path / "broken.png").write_bytes(b"no image")
    bad = [(tmp_path / "broken.png", "a broken square"), (tmp_path / "gone.png", "a red square")]
    with pytest.warns(
        UserWarning, match=r"2 images were left out: .*(broken|gone)\.png.*; .*(broken|gone)\.png"
    ) as told:
        found = tune(small(), bad + pairs, [*pairs, bad[1]], batch_size=5)
    assert len(found.errors) == 2
    assert len(told) == 1
    with pytest.raises(ValueError, match=r"images to learn from; got none in 4 steps: .*broken\.png.*gone\.png"):
        tune(small(), bad)
    with pytest.raises(helpers.ImageError, match=r"any validation image: .*broken\.png"):
        tune(small(), pairs, bad)


def pairs_with_a_missing_one(folder):
    return [*sorted((path, path.stem.split("-")[0]) for path in folder.glob("*-0-*")), (folder / "gone.png", "red")]


def train(folder, place, kill_at=None):
    """Run, and kill the process at an image or at a file's renaming, counted from 0."""

    def dies(kind, function):
        count = iter(range(10_000))

        def wrapped(*arguments):
            if (kind, next(count)) == kill_at:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
            return function(*arguments)

        return wrapped

    if kill_at:
        os.replace, Path.replace = dies("file", os.replace), dies("file", Path.replace)
    validation = sorted((path, path.stem.split("-")[0]) for path in folder.glob("*-1-*"))
    preprocess = dies("image", PREPROCESS)
    tune(
        small(), pairs_with_a_missing_one(folder), validation, preprocess, steps=20 * KILLS, batch_size=5, folder=place
    )


@pytest.mark.filterwarnings("ignore:1 images were left out")
def test_killed_and_resumed_a_run_ends_with_the_same_bits(tmp_path, processes):
    """KILLS=10 kills more often."""
    squares(tmp_path)
    squares(tmp_path, 2, seed=1)
    numbers, killed = random.Random(0), 0
    for kill in range(KILLS):
        kill_at = ("image", numbers.randrange(9, 10 * KILLS + 30)) if kill % 3 else ("file", 2 - kill % 2)
        process = processes.Process(target=train, args=(tmp_path, tmp_path / "killed", kill_at))
        process.start()
        process.join()
        killed += process.exitcode != 0
    assert killed == KILLS
    assert 0 <= torch.load(tmp_path / "killed" / "training.pt", weights_only=True)["measures"][-1][0] < 20 * KILLS
    train(tmp_path, tmp_path / "killed")
    train(tmp_path, tmp_path / "whole")
    for name in ("training.pt", "best.pt"):
        resumed, whole = (torch.load(tmp_path / place / name, weights_only=True) for place in ("killed", "whole"))
        assert_equal(resumed, whole)
    assert len(whole) > 10
    assert sorted(path.name for path in (tmp_path / "whole").glob("*.*")) == [
        ".clip-fine-tune.lock",
        "best.pt",
        "training.pt",
    ]


def assert_equal(one, other):
    """Compare to the bit, NaN with NaN."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = [*one.values()], [*other.values()]
    if isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    elif isinstance(one, torch.Tensor):
        assert one.numpy().tobytes() == other.numpy().tobytes()
    else:
        assert repr(one) == repr(other)


@pytest.mark.filterwarnings("ignore:1 images were left out")
def test_a_finished_run_is_only_read_again_and_loaded(tmp_path, pairs):
    first, second = small(width=64), small(width=64)  # load makes heads of 64
    pairs.append((tmp_path / "gone.png", "a red square"))
    found = tune(first, pairs, pairs, folder=tmp_path / "run")
    opened = Counter()

    def counted(image):
        opened[image.size] += 1
        return PREPROCESS(image)

    again = tune(second, pairs, pairs, counted, folder=tmp_path / "run")
    assert (32, 32) not in opened
    assert_equal([*vars(found).values()], [*vars(again).values()])
    assert not differ(state(first), state(second))
    assert not differ(state(first), state(helpers.load(tmp_path / "run" / "best.pt", device="cpu")[0]))


def other_content(pairs):
    shutil.copy(pairs[-1][0], pairs[0][0])


def in_memory(pairs):
    return [(Image.open(path).rotate(90 * (i == 0)), text) for i, (path, text) in enumerate(pairs)]


def other_weights(model):
    model.visual.proj.data.add_(1)  # by way of data: the tensor does not count this


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("steps=4 instead of 5", {"steps": 5}),
        ("batch_size=64 instead of 3", {"batch_size": 3}),
        ("learning_rate=0.001 instead of 0.1", {"learning_rate": 0.1}),
        ("other pairs", {"pairs": lambda pairs: pairs[1:]}),
        ("other pairs", {"pairs": lambda pairs: [(path, text + "!") for path, text in pairs]}),
        ("other pairs", {"pairs": lambda pairs: other_content(pairs) or pairs}),
        ("other validation", {"validation": lambda pairs: pairs[1:]}),
        ("other preprocess", {"preprocess": lambda image: PREPROCESS(image).flip(2)}),
        ("other trained parameters", {"model": lambda model: model.visual.requires_grad_(False)}),
        ("other initial weights", {"model": other_weights}),
    ],
)
def test_a_folder_with_another_run_is_refused(tmp_path, pairs, message, change):
    place, change = tmp_path / "run", dict(change)
    validation = squares(tmp_path, seed=1)
    tune(small(), pairs, validation, folder=place)
    model = small()
    change.pop("model", lambda model: None)(model)
    pairs, validation = change.pop("pairs", list)(pairs), change.pop("validation", list)(validation)
    with pytest.raises(ValueError, match=rf"run holds a different run, with {message}\. Use another folder\.$"):
        tune(model, pairs, validation, folder=place, **change)


def test_opened_images_are_known_by_their_pixels(tmp_path, pairs):
    images = [(Image.open(path), text) for path, text in pairs]
    tune(small(), images, folder=tmp_path / "run")
    tune(small(), [(Image.open(path), text) for path, text in pairs], folder=tmp_path / "run")
    images[0] = Image.new("RGB", (32, 32)), images[0][1]
    with pytest.raises(ValueError, match="other pairs"):
        tune(small(), images, folder=tmp_path / "run")


def test_a_damaged_run_is_named(tmp_path, pairs):
    tune(small(), pairs, folder=tmp_path)
    whole = (tmp_path / "training.pt").read_bytes()
    middle = len(whole) // 2
    state, lacking = torch.load(tmp_path / "training.pt", weights_only=True), []
    for part in ({"key": state["key"]}, {**state, "model": {}}, {**state, "best_weights": {}}, {**state, "best": ()}):
        torch.save(part, tmp_path / "part.pt")
        lacking.append((tmp_path / "part.pt").read_bytes())
    for damaged in (whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], whole[:-100], *lacking):
        (tmp_path / "training.pt").write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"training\.pt is damaged\. Move it and best\.pt away to start the run again\."
        ):
            tune(small(), pairs, folder=tmp_path)


def test_best_weights_of_others_are_kept_and_lost_ones_are_saved_again(tmp_path, pairs):
    best = tmp_path / "best.pt"
    best.write_text("mine")
    with pytest.raises(ValueError, match=r"Expected training\.pt beside .*best\.pt; got none.* Move them away"):
        tune(small(), pairs, folder=tmp_path)
    assert best.read_text() == "mine"
    best.unlink()
    tune(small(), pairs, folder=tmp_path)
    whole = torch.load(best, weights_only=True)
    best.unlink()
    tune(small(), pairs, folder=tmp_path)
    assert not differ(whole, torch.load(best, weights_only=True))


def test_an_empty_name_is_the_current_folder(tmp_path, pairs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tune(small(), pairs, folder="")
    assert Path("best.pt").is_file()


def test_a_file_of_the_users_own_is_not_taken_as_a_lock(tmp_path, pairs):
    (tmp_path / ".lock").write_text("mine")
    tune(small(), pairs, folder=tmp_path)
    assert (tmp_path / ".lock").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_told(tmp_path, pairs):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"^Cannot write to .*run: Not a directory\. Use another folder\."):
        tune(small(), pairs, folder=tmp_path / "file" / "run")


def test_a_folder_in_use_is_refused(tmp_path, pairs):
    with FileLock(tmp_path / ".clip-fine-tune.lock"), pytest.raises(BlockingIOError, match="is in use by another run"):
        tune(small(), pairs, folder=tmp_path)
    tune(small(), pairs, folder=tmp_path)


def test_what_diverges_ends_with_the_best_weights(tmp_path, pairs):
    model = small()
    before = state(model)
    with pytest.raises(FloatingPointError, match=r"^Expected .*Use a .*learning_rate"):
        tune(model, pairs, pairs, steps=20, learning_rate=1e20, folder=tmp_path / "run")
    assert not differ(before, state(model))
    assert not differ(before, torch.load(tmp_path / "run" / "best.pt", weights_only=True))

    def broken(image):
        return PREPROCESS(image) * math.nan

    with pytest.raises(FloatingPointError, match=r"finite loss at step 1; got nan, and a gradient of norm nan\."):
        tune(small(), pairs, preprocess=broken)
    with pytest.raises(FloatingPointError, match=r"finite features of the validation pairs"):
        tune(small(), pairs, pairs, broken)


def test_an_interrupted_run_leaves_the_best_weights(pairs):
    model = small()
    before, opened = state(model), iter(range(1000))

    def interrupted(image):
        if next(opened) == 30:
            raise KeyboardInterrupt
        return PREPROCESS(image)

    with pytest.raises(KeyboardInterrupt):
        tune(model, pairs, pairs, interrupted, steps=50)
    assert not differ(before, state(model))
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 1}, "batch_size"),
        ({"steps": 0}, "steps"),
        ({"learning_rate": 0}, "Expected learning_rate above 0; got 0"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"pairs": []}, "at least two different texts in pairs; got no pairs"),
        ({"pairs": [("a.png", "cat"), ("b.png", "cat")]}, "different texts in pairs; got only 'cat'"),
        ({"validation": [("a.png", "cat")]}, "different texts in validation; got only 'cat'"),
        ({"pairs": [("a.png", "cat"), ("b.png", "dog " * 90)]}, "text 1 has 92"),
        ({"validation": [("a.png", "cat"), ("b.png", "dog " * 90)]}, "text 1 has 92"),
        ({"model": lambda: small().requires_grad_(False)}, r"Every parameter is frozen\. Call requires_grad_\(True\)"),
    ],
)
def test_what_cannot_work_is_refused_before_it_starts(change, message):
    model = change.pop("model", small)()
    before = state(model)
    with pytest.raises(ValueError, match=message) as raised:
        tune(model, **{"pairs": [("a.png", "a cat"), ("b.png", "a dog")], **change})
    assert "\n" not in str(raised.value)
    assert not differ(before, state(model))


def test_what_is_not_a_pair_is_named():
    pairs = [("a.png", "a cat"), ("b.png", "a dog")]
    with pytest.raises(TypeError, match=r"\(image, text\) as pairs\[1\]; got 'b.png'"):
        tune(small(), [pairs[0], "b.png"])
    with pytest.raises(TypeError, match=r"as validation\[0\]; got \('a cat', \w*Path\('a.png'\)\)"):
        tune(small(), pairs, [("a cat", Path("a.png"))])


def test_interpolated_weights_lie_between_old_and_new():
    old, new = small_resnet(0), small_resnet(1).half()
    before = state(old), state(new)
    mixed = helpers.interpolate_weights(old, new, 0.25)
    assert {weight.dtype for weight in mixed.parameters()} == {torch.float32}
    for name, weight in mixed.named_parameters():
        expected = 0.75 * before[0][name].double() + 0.25 * before[1][name].double()
        assert (weight.detach() - expected).abs().max() < 1e-6, name
    assert not differ(state(helpers.interpolate_weights(old, new, 0)), before[0])
    assert not differ(state(helpers.interpolate_weights(old, new, 1)), state(new.float()))
    assert not differ(before[0], state(old))
    with pytest.raises(ValueError, match=r"alpha between 0, the old weights, and 1, the new ones; got 1.5"):
        helpers.interpolate_weights(old, new, 1.5)
    with pytest.raises(ValueError, match=r"two models of the same architecture"):
        helpers.interpolate_weights(old, small(), 0.5)
