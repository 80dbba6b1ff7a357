"""A training learns pairs, keeps its best, survives kills to the bit, and says early why it can't work."""

import math
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from clip.clip import _transform
from clip.model import CLIP
from PIL import Image

import helpers
from helpers._checkpoint import weights_sha256
from helpers.finetune.loss import add_gradients
from helpers.finetune.trainer import Settings
from helpers.tokenizer import tokenize

COLOURS = ("red", "green", "blue", "yellow")
PREPROCESS = _transform(32)
KILLS = int(os.environ.get("KILLS", "2"))
UNSCALED = torch.amp.GradScaler("cuda", enabled=False)


def small(seed=0, layers=1):
    """A CLIP with random weights: a ViT, or with four layers a ResNet."""
    torch.manual_seed(seed)
    return CLIP(16, 32, layers, 64, 8, 77, 49408, 64, 1, 1).eval()


def patches(folder, each=3, seed=0):
    """Save plain squares of four colours, each a little different, and give their paths and captions."""
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


def tune(model, pairs, held_out=(), **options):
    return helpers.fine_tune(
        model, PREPROCESS, pairs, held_out, **{"steps": 8, "every": 4, "progress": False, **options}
    )


@pytest.fixture
def pairs(tmp_path):
    return patches(tmp_path)


@pytest.mark.parametrize("layers", [1, (1, 1, 1, 1)])
def test_gradient_of_four_pieces_is_that_of_the_whole_batch(layers):
    model, texts = small(layers=layers), ["a red square", "a cat", "two blue dogs", "a red square", "x y z", "no", "a"]
    pixels = list(torch.randn(7, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    tokens, text_of = tokenize(list(dict.fromkeys(texts)), 77, False), torch.tensor([0, 1, 2, 0, 3, 4, 5])
    same = text_of[:, None] == text_of
    found = []
    for piece_size in (7, 2):
        model.zero_grad()
        loss = add_gradients(model, pixels, tokens[:, :8], text_of, same, piece_size, UNSCALED)
        found.append((loss, {name: weight.grad for name, weight in model.named_parameters()}))
    model.zero_grad()
    images = model.encode_image(torch.stack(pixels))
    plain = helpers.contrastive_loss(
        images, model.encode_text(tokenize(texts, 77, False)), model.logit_scale.exp(), same
    )
    plain.backward()
    for loss, gradients in found:
        assert loss == pytest.approx(plain.item(), abs=1e-5)
        for name, weight in model.named_parameters():
            if weight.grad is None:
                assert gradients[name] is None
            else:
                assert (gradients[name] - weight.grad).abs().max() < 1e-5 * max(1, weight.grad.abs().max()), name


def test_it_learns_colours_and_keeps_the_best(tmp_path, pairs):
    model, held_out = small(), patches(tmp_path, 2, seed=1)
    before = helpers.cosine_similarity(
        helpers.encode_texts(model, [f"a {colour} square" for colour in COLOURS]),
        helpers.encode_images(model, PREPROCESS, [path for path, _ in held_out]),
    )
    found = tune(model, iter(pairs), iter(held_out), steps=60, every=20, learning_rate=1e-3, batch_size=6)
    assert [measure.step for measure in found.measures] == [0, 20, 40, 60]
    assert found.measures[0].accuracy == (before.argmax(axis=0) == np.repeat(range(4), 2)).mean()
    assert math.isnan(found.measures[0].loss)
    assert found.best == max(found.measures, key=lambda measure: measure.accuracy)
    assert found.best.accuracy == 1
    assert found.measures[-1].loss < 0.2 < 1.2 < found.measures[-1].chance < math.log(6)
    assert found.unreadable == ()
    after = tune(small(), held_out, held_out, steps=1, learning_rate=1e-9)
    assert after.measures[0].accuracy < 1
    assert tune(model, held_out, held_out, steps=1, learning_rate=1e-9).measures[0].accuracy == 1


def test_weights_before_the_first_step_are_kept_if_none_are_better(pairs):
    model = small()
    tune(model, pairs, steps=60, learning_rate=1e-3)
    best, opposite = state(model), dict(zip(COLOURS, COLOURS[::-1], strict=True))
    wrong = [(path, f"a {opposite[text.split()[1]]} square") for path, text in pairs]
    found = tune(model, wrong, pairs, steps=60, learning_rate=1e-3)
    assert found.best.step == 0
    assert found.best.accuracy == 1
    assert found.measures[-1].accuracy < 0.5
    assert not differ(best, state(model))


def test_without_held_out_pairs_the_last_weights_are_kept(pairs):
    model = small()
    before = state(model)
    found = tune(model, pairs)
    assert found.best is found.measures[-1]
    assert math.isnan(found.best.accuracy)
    assert differ(before, state(model))


def test_batch_normalization_and_what_is_frozen_stay_as_they_are(pairs):
    model = small(layers=(1, 1, 1, 1))
    for weight in model.transformer.parameters():
        weight.requires_grad_(False)
    before = state(model)
    tune(model.train(), pairs)
    moved = differ(before, state(model))
    norms = [name for name, part in model.named_modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert len(norms) > 10
    assert not [name for name in moved if name.rpartition(".")[0] in norms or name.startswith("transformer.")]
    assert {"visual.conv1.weight", "token_embedding.weight", "logit_scale"} <= {*moved}
    assert not model.training


def test_one_side_alone_can_learn_in_pieces(pairs):
    model = small()
    for name, weight in model.named_parameters():
        weight.requires_grad_(name == "visual.proj")
    before = state(model)
    tune(model, pairs, piece_size=5)
    assert differ(before, state(model)) == ["visual.proj"]


def test_it_learns_where_the_caller_has_switched_gradients_off(pairs):
    usual, model = small(), small()
    tune(usual, pairs)
    with torch.no_grad():
        tune(model, pairs)
        assert not torch.is_grad_enabled()
    assert not differ(state(usual), state(model))


def test_a_half_precision_model_is_trained_in_float32(pairs):
    model = small().half()
    found = tune(model, pairs, learning_rate=1e-3)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert found.measures[-1].loss < found.measures[1].loss


def test_the_order_is_seeded_and_every_pair_comes_once_an_epoch():
    orders = [[*Settings(7, 4, 1e-5, 1, 1, seed).order(10, 0)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert [len(batch) for batch in orders[0]] == [4, 3, 3, 4, 3, 3, 4]
    assert sorted(sum(orders[0][:3], [])) == sorted(sum(orders[0][3:6], [])) == [*range(10)]
    assert orders[0][:3] != orders[0][3:6]
    assert [*Settings(7, 4, 1e-5, 1, 1, 0).order(10, 5)] == orders[0][5:]


def test_the_rate_rises_then_falls():
    rates = [Settings(100, 4, 1e-3, 1, 1, 0).rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3, rel=0.03)
    assert rates.index(max(rates)) == 9
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-6


def test_captions_of_one_image_are_no_wrong_answers_to_each_other(pairs):
    """Two captions of each image: the loss of guessing counts only other images' candidates."""
    (red, _), (green, _) = pairs[0], pairs[3]
    twice = [(red, "red"), (red, "a square"), (green, "green"), (green, "a lawn")]
    assert tune(small(), twice).measures[-1].chance == pytest.approx(math.log(3))
    equal = [(path, text) for path, text in pairs if "red" in text or "blue" in text]
    assert tune(small(), equal).measures[-1].chance == pytest.approx(math.log(4))


def test_unreadable_images_are_listed_and_left_out(tmp_path, pairs):
    (tmp_path / "broken.png").write_bytes(b"no image")
    bad = [(tmp_path / "broken.png", "a broken square"), (tmp_path / "gone.png", "a red square")]
    with pytest.warns(UserWarning, match=r"2 images were left out: .*(broken|gone)\.png.*; .*(broken|gone)\.png"):
        found = tune(small(), bad + pairs, [*pairs, bad[1]], batch_size=5)
    assert len(found.unreadable) == 2
    with pytest.raises(ValueError, match=r"nothing was learned in 8 steps: .*broken\.png.*no such image: .*gone"):
        tune(small(), bad)
    with pytest.raises(helpers.ImageError, match=r"no held-out image can be read: .*broken\.png"):
        tune(small(), pairs, bad)


def test_the_saved_model_is_what_load_takes(tmp_path, pairs):
    model = small(layers=(1, 1, 1, 1))
    before = weights_sha256(model)
    tune(model, pairs, pairs, folder=tmp_path / "run", learning_rate=1e-3)
    loaded, preprocess = helpers.load(tmp_path / "run" / "best.pt", device="cpu")
    assert not differ(state(model), state(loaded))
    assert preprocess.transforms[0].size == 32
    assert weights_sha256(model) != before


def train(folder, place, kill_at=None):
    """Train in a process of its own, which kills itself at an image or at a file's renaming, counted from 0."""

    def dies(kind, function):
        count = iter(range(1000))

        def wrapped(*arguments):
            if (kind, next(count)) == kill_at:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
            return function(*arguments)

        return wrapped

    Path.replace = dies("file", Path.replace)
    pairs = [*sorted((path, path.stem.split("-")[0]) for path in folder.glob("*-0-*")), (folder / "gone.png", "red")]
    held_out = sorted((path, path.stem.split("-")[0]) for path in folder.glob("*-1-*"))
    options = {
        "steps": 12 * KILLS,
        "every": 2,
        "batch_size": 5,
        "piece_size": 3,
        "learning_rate": 1e-3,
        "folder": place,
    }
    helpers.fine_tune(small(), dies("image", PREPROCESS), pairs, held_out, **options, progress=False)


@pytest.mark.filterwarnings("ignore:1 images were left out")
def test_killed_and_resumed_the_training_ends_with_the_same_bits(tmp_path, processes):
    """KILLS=10 kills more often."""
    patches(tmp_path)
    patches(tmp_path, 2, seed=1)
    numbers, killed = random.Random(0), 0
    for kill in range(KILLS):
        kill_at = ("image", numbers.randrange(9, 40)) if kill % 3 else ("file", numbers.randrange(1, 4))
        process = processes.Process(target=train, args=(tmp_path, tmp_path / "killed", kill_at))
        process.start()
        process.join()
        killed += process.exitcode != 0
    assert killed == KILLS
    assert 0 < torch.load(tmp_path / "killed" / "training.pt", weights_only=True)["measures"][-1][0] < 12 * KILLS
    for place in ("killed", "whole"):
        process = processes.Process(target=train, args=(tmp_path, tmp_path / place))
        process.start()
        process.join()
        assert process.exitcode == 0
    for name in ("training.pt", "best.pt"):
        resumed, whole = (torch.load(tmp_path / place / name, weights_only=True) for place in ("killed", "whole"))
        assert_equal(resumed, whole)
    assert len(torch.load(tmp_path / "whole" / "training.pt", weights_only=True)["unreadable"]) == 1


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
def test_a_finished_training_is_only_read_again(tmp_path, pairs):
    first, second = small(), small()
    pairs.append((tmp_path / "gone.png", "a red square"))
    found = tune(first, pairs, pairs, folder=tmp_path / "run")
    again = helpers.fine_tune(
        second, lambda image: pytest.fail("opened"), pairs, pairs, 8, every=4, folder=tmp_path / "run"
    )
    assert len(found.unreadable) == 1
    assert_equal([*vars(found).values()], [*vars(again).values()])
    assert not differ(state(first), state(second))


def test_a_folder_with_another_training_is_refused(tmp_path, pairs):
    model, place = small(), tmp_path / "run"
    tune(model, pairs, folder=place, learning_rate=1e-3)
    with pytest.raises(ValueError, match=r"run holds a training with steps=8, not 9: name another folder"):
        tune(small(), pairs, folder=place, learning_rate=1e-3, steps=9)
    with pytest.raises(ValueError, match=r"run holds a training with other pairs: name another folder"):
        tune(small(), pairs[1:], folder=place, learning_rate=1e-3)
    with pytest.raises(ValueError, match=r"with other weights: load the model anew, or name another folder"):
        tune(model, pairs, folder=place, learning_rate=1e-3)
    whole = (place / "training.pt").read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (flipped, whole[:-100]):
        (place / "training.pt").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"training\.pt is damaged: delete it, and the training begins anew"):
            tune(small(), pairs, folder=place, learning_rate=1e-3)


def test_what_diverges_ends_with_the_best_weights(tmp_path, pairs):
    model = small()
    before = state(model)
    with pytest.raises(FloatingPointError, match=r"^step \d: .*use a smaller learning_rate than 1e\+20, or look at"):
        tune(model, pairs, pairs, learning_rate=1e20, folder=tmp_path / "run")
    assert not differ(before, state(model))
    assert not differ(before, state(helpers.load(tmp_path / "run" / "best.pt", device="cpu")[0]))

    def broken(image):
        return PREPROCESS(image) * math.nan

    with pytest.raises(FloatingPointError, match=r"step 1: the loss is nan, and the length of its gradient nan\."):
        helpers.fine_tune(small(), broken, pairs, steps=2, progress=False)
    with pytest.raises(FloatingPointError, match=r"step 0: the model gives features that are not finite\."):
        helpers.fine_tune(small(), broken, pairs, pairs, steps=2, progress=False)


def test_an_interrupted_training_leaves_the_best_weights(pairs):
    model = small()
    before, opened = state(model), iter(range(1000))

    def interrupted(image):
        if next(opened) == 60:
            raise KeyboardInterrupt
        return PREPROCESS(image)

    with pytest.raises(KeyboardInterrupt):
        helpers.fine_tune(model, interrupted, pairs, pairs, steps=50, every=50, progress=False)
    assert not differ(before, state(model))
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 1}, r"batch_size is 1: a pair alone has nothing to be told from, and a loss of 0"),
        ({"steps": 0}, r"steps is 0; it must be at least 1"),
        ({"every": 0}, r"every is 0; it must be at least 1"),
        ({"piece_size": -1}, r"piece_size is -1; it must be at least 1"),
        ({"learning_rate": 0}, r"learning_rate is 0; it must be above 0, such as 1e-5"),
        ({"learning_rate": math.nan}, r"learning_rate is nan; it must be finite"),
        ({"pairs": []}, r"there are 0 pairs; give at least two, with different texts"),
        ({"pairs": [("a.png", "a cat")]}, r"every pair has the text 'a cat': give at least two to choose from"),
        ({"pairs": [("a.png", "cat"), ("b.png", "cat")]}, r"every pair has the text 'cat': give at least two to"),
        ({"held_out": [("a.png", "cat")]}, r"every held-out pair has the text 'cat': give at least two"),
        ({"pairs": [("a.png", "cat"), ("b.png", "dog " * 90)]}, r"text 1 has 92 tokens .* pass truncate=True"),
        ({"held_out": [("a.png", "cat"), ("b.png", "dog " * 90)]}, r"text 1 has 92 tokens"),
    ],
)
def test_a_training_that_cant_work_is_refused_before_it_starts(options, message):
    model = small()
    before = state(model)
    with pytest.raises(ValueError, match=message) as raised:
        tune(model, **{"pairs": [("a.png", "a cat"), ("b.png", "a dog")], **options})
    assert "\n" not in str(raised.value)
    assert not differ(before, state(model))


def test_what_is_no_pair_is_named():
    with pytest.raises(TypeError, match=r"pair 1 is 'b.png'; it must be \(image, text\)"):
        tune(small(), [("a.png", "a cat"), "b.png"])
    with pytest.raises(TypeError, match=r"held-out pair 0 is \('a cat', \w*Path\('a.png'\)\)"):
        tune(small(), [("a.png", "a cat"), ("b.png", "a dog")], [("a cat", Path("a.png"))])
    model = small()
    model.requires_grad_(False)
    with pytest.raises(ValueError, match=r"all weights are frozen: call requires_grad_\(True\)"):
        tune(model, [("a.png", "a cat"), ("b.png", "a dog")])


def test_long_texts_are_cut_on_demand(pairs):
    long = [(path, text + " and" * 90) for path, text in pairs]
    assert tune(small(), long, long, truncate=True).measures[-1].loss > 0


def test_mixed_weights_lie_on_the_way_from_old_to_new():
    old, new = small(0, (1, 1, 1, 1)), small(1, (1, 1, 1, 1)).half()
    before = state(old), state(new)
    mixed = helpers.interpolate_weights(old, new, 0.25)
    assert {weight.dtype for weight in mixed.parameters()} == {torch.float32}
    for name, weight in mixed.named_parameters():
        expected = 0.75 * before[0][name].double() + 0.25 * before[1][name].double()
        assert (weight.detach() - expected).abs().max() < 1e-6, name
    assert not differ(state(helpers.interpolate_weights(old, new, 0)), before[0])
    assert not differ(state(helpers.interpolate_weights(old, new, 1)), state(new.float()))
    assert not differ(before[0], state(old))
    assert weights_sha256(mixed) not in (weights_sha256(old), weights_sha256(new))
    with pytest.raises(ValueError, match=r"share is 1.5; it must be between 0, the old weights, and 1, the new"):
        helpers.interpolate_weights(old, new, 1.5)
    with pytest.raises(ValueError, match=r"the two models are of different architectures"):
        helpers.interpolate_weights(old, small(), 0.5)
