"""The loss is that of the paper: each text among all images, each image among all texts."""

import math

import pytest
import torch

import helpers


def features(n, d=5, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def slow_loss(images, texts, scale, same=None):
    """Ask every text and every image for its partner, one after the other, in plain Python."""
    images, texts = images.tolist(), texts.tolist()
    n = len(images)

    def logit(text, image):
        dot = sum(a * b for a, b in zip(text, image, strict=True))
        return scale * dot / math.sqrt(sum(a * a for a in text)) / math.sqrt(sum(b * b for b in image))

    total = 0.0
    for i in range(n):
        candidates = [j for j in range(n) if j == i or same is None or not same[i][j]]
        of_text = sum(math.exp(logit(texts[i], images[j])) for j in candidates)
        of_image = sum(math.exp(logit(texts[j], images[i])) for j in candidates)
        own = math.exp(logit(texts[i], images[i]))
        total -= math.log(own / of_text) + math.log(own / of_image)
    return total / (2 * n)


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_loss_agrees_with_a_slow_one(n, scale):
    images, texts = features(n), 3 * features(n, seed=1)
    assert abs(float(helpers.contrastive_loss(images, texts, scale)) - slow_loss(images, texts, scale)) < 1e-9
    short = helpers.contrastive_loss(images.float(), texts.float(), scale)
    assert short.dtype == torch.float32
    assert float(short) == pytest.approx(slow_loss(images, texts, scale), rel=1e-5, abs=1e-6)


def test_equal_captions_are_not_candidates():
    images, texts, captions = features(6), features(6, seed=1), ["a cat", "a dog", "a cat", "a cup", "a dog", "a cat"]
    same = torch.tensor([[one == other for other in captions] for one in captions])
    found = float(helpers.contrastive_loss(images, texts, 10.0, same))
    assert abs(found - slow_loss(images, texts, 10.0, same.tolist())) < 1e-9
    assert found < float(helpers.contrastive_loss(images, texts, 10.0)) - 0.1
    assert float(helpers.contrastive_loss(images, texts, 10.0, torch.eye(6, dtype=torch.bool))) == pytest.approx(
        slow_loss(images, texts, 10.0)
    )


def test_guessing_costs_ln_n_and_a_pair_alone_nothing():
    equal = torch.ones(128, 4)
    assert float(helpers.contrastive_loss(equal, equal)) == pytest.approx(math.log(128), abs=1e-5)
    assert float(helpers.contrastive_loss(features(1), features(1, seed=1))) == 0
    alike = torch.ones(3, 3, dtype=torch.bool)
    assert float(helpers.contrastive_loss(features(3), features(3, seed=1), same=alike)) == 0


@pytest.mark.parametrize("alike", [False, True])
def test_gradient_agrees_with_finite_differences(alike):
    same = torch.tensor([[True, alike, False], [alike, True, False], [False, False, True]])
    images, texts = features(3).requires_grad_(), features(3, seed=1).requires_grad_()
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def loss(images, texts, scale):
        return helpers.contrastive_loss(images, texts, scale.exp(), same)

    assert torch.autograd.gradcheck(loss, (images, texts, scale))
    loss(images, texts, scale).backward()
    step = 1e-6
    for tensor in (images, texts):
        moved = tensor.detach().clone()
        moved[1, 2] += step
        others = (moved, texts) if tensor is images else (images, moved)
        slope = (slow_loss(*others, math.exp(2), same) - slow_loss(images, texts, math.exp(2), same)) / step
        assert float(tensor.grad[1, 2]) == pytest.approx(slope, abs=1e-5)


def test_half_precision_is_compared_in_float32():
    images, texts = features(4).half(), features(4, seed=1).half()
    found = helpers.contrastive_loss(images, texts)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(slow_loss(images.double(), texts.double(), 100.0), rel=1e-5)


@pytest.mark.parametrize(
    ("images", "texts", "same", "message"),
    [
        (features(3), features(2), None, r"the same shape \(n, d\); got \(3, 5\) and \(2, 5\)"),
        (features(0), features(0), None, r"got \(0, 5\) and"),
        (features(3), features(3), torch.ones(2, 3, dtype=torch.bool), r"same as \(3, 3\) of torch.bool; got \(2, 3\)"),
        (features(3), features(3), torch.ones(3, 3, dtype=torch.int64), r"got \(3, 3\) of torch.int64"),
    ],
)
def test_what_is_not_a_batch_of_pairs_is_refused(images, texts, same, message):
    with pytest.raises(ValueError, match=message):
        helpers.contrastive_loss(images, texts, same=same)
