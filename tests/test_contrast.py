"""The loss is that of the paper: each text among all images, each image among all texts."""

import math

import pytest
import torch

import helpers


def rows(n, d=5, seed=0, dtype=torch.float64):
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
    images, texts = rows(n), 3 * rows(n, seed=1)
    assert abs(float(helpers.contrastive_loss(images, texts, scale)) - slow_loss(images, texts, scale)) < 1e-9
    short = helpers.contrastive_loss(images.float(), texts.float(), scale)
    assert short.dtype == torch.float32
    assert float(short) == pytest.approx(slow_loss(images, texts, scale), rel=1e-5, abs=1e-6)


def test_equal_captions_are_no_wrong_answers():
    images, texts, captions = rows(6), rows(6, seed=1), ["a cat", "a dog", "a cat", "a cup", "a dog", "a cat"]
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
    assert float(helpers.contrastive_loss(rows(1), rows(1, seed=1))) == 0
    alike = torch.ones(3, 3, dtype=torch.bool)
    assert float(helpers.contrastive_loss(rows(3), rows(3, seed=1), same=alike)) == 0


@pytest.mark.parametrize("alike", [False, True])
def test_gradient_agrees_with_finite_differences(alike):
    same = torch.tensor([[True, alike, False], [alike, True, False], [False, False, True]])
    images, texts = rows(3).requires_grad_(), rows(3, seed=1).requires_grad_()
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
    images, texts = rows(4).half(), rows(4, seed=1).half()
    found = helpers.contrastive_loss(images, texts)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(slow_loss(images.double(), texts.double(), 100.0), rel=1e-5)


def test_what_is_no_batch_of_pairs_is_refused():
    with pytest.raises(ValueError, match=r"image features are \(3, 5\) and text features \(2, 5\): both must be"):
        helpers.contrastive_loss(rows(3), rows(2))
    with pytest.raises(ValueError, match=r"image features are \(0, 5\) and"):
        helpers.contrastive_loss(rows(0), rows(0))
    with pytest.raises(ValueError, match=r"same is \(2, 3\) of torch.bool; it must be \(3, 3\) of torch.bool"):
        helpers.contrastive_loss(rows(3), rows(3), same=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"same is \(3, 3\) of torch.int64; it must be"):
        helpers.contrastive_loss(rows(3), rows(3), same=torch.ones(3, 3, dtype=torch.int64))
