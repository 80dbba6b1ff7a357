"""The faster forward pass gives what CLIP's own gives, and leaves alone what it does not know."""

import threading
from concurrent.futures import ThreadPoolExecutor

import clip
import numpy as np
import pytest
import torch
from clip.model import CLIP
from torch import nn

import helpers
from helpers.forward import image_features, in_threads, share_out, text_features

TEXTS = ["", "maze", "win the game", "a photo of a red bicycle on a green hill", "word " * 75]


def make_vit(width, layers, seed):
    torch.manual_seed(seed)
    return CLIP(32, 48, layers, width, 16, 77, 49408, width, width // 64, layers).eval()


@pytest.fixture
def vit():
    return make_vit(128, 3, 0)


def largest_difference(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize(("width", "layers"), [(64, 1), (64, 2), (192, 4)])
@torch.inference_mode()
def test_pictures_agree_with_encode_image(width, layers):
    model, pixels = make_vit(width, layers, layers), torch.randn(5, 3, 48, 48)
    assert largest_difference(image_features(model, pixels), model.encode_image(pixels)) < 1e-5


@torch.inference_mode()
def test_texts_agree_with_all_77_places_however_they_are_cut(vit, tiny):
    for model in (vit, tiny[0]):
        tokens = clip.tokenize(TEXTS)
        expected = model.encode_text(tokens)
        assert largest_difference(text_features(model, tokens), expected) < 1e-5
        for i, length in enumerate((tokens.argmax(dim=1) + 1).tolist()):
            for cut in {length, min(length + 5, 77)}:
                found = text_features(model, tokens[i : i + 1, :cut])
                assert largest_difference(found, expected[i : i + 1]) < 1e-5
            together = text_features(model, tokens[: i + 1, :length])
            assert largest_difference(together, expected[: i + 1]) < 1e-5


@torch.inference_mode()
def test_a_half_precise_model_gets_the_same_too(vit):
    pixels, tokens = torch.randn(4, 3, 48, 48), clip.tokenize(TEXTS)
    expected = vit.encode_image(pixels), vit.encode_text(tokens)
    helpers.models._set_precision(vit, torch.bfloat16)
    found = image_features(vit, pixels), text_features(vit, tokens)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.bfloat16
        assert torch.cosine_similarity(one.float(), other).min() > 0.999


class Doubled(nn.Linear):
    """What a library that adapts a model puts in a layer's place."""

    def forward(self, x):
        return 2 * super().forward(x)


def replace_a_layer(model):
    for tower in (model.visual.transformer, model.transformer):
        tower.resblocks[1].mlp.c_fc.__class__ = Doubled


def hook_a_layer(model):
    for tower in (model.visual.transformer, model.transformer):
        tower.resblocks[1].mlp.register_forward_hook(lambda module, given, result: 2 * result)


def hook_the_towers(model):
    for tower in (model.visual, model.transformer):
        tower.register_forward_hook(lambda module, given, result: -result)


def replace_the_calls(model):
    image, text = model.encode_image, model.encode_text
    model.encode_image, model.encode_text = lambda x: 2 * image(x), lambda x: 2 * text(x)


def drop_a_projection(model):
    model.visual.proj = None
    model.text_projection.data *= 2


@pytest.mark.parametrize(
    "change", [replace_a_layer, hook_a_layer, hook_the_towers, replace_the_calls, drop_a_projection]
)
@torch.inference_mode()
def test_a_changed_model_keeps_its_change(vit, change):
    pixels, tokens = torch.randn(2, 3, 48, 48), clip.tokenize(["a cat", "two dogs"])
    before = vit.encode_image(pixels), vit.encode_text(tokens)
    change(vit)
    found = image_features(vit, pixels), text_features(vit, tokens[:, :6])
    expected = vit.encode_image(pixels), vit.encode_text(tokens)
    for one, other, old in zip(found, expected, before, strict=True):
        assert largest_difference(one, other) < 1e-5
        assert one.shape != old.shape or largest_difference(one, old) > 1e-3


def test_results_come_in_order_from_threads_with_one_thread_of_torch_each():
    used = set()

    def work(piece):
        used.add((threading.current_thread().name, torch.get_num_threads()))
        return sum(piece)

    before = torch.get_num_threads()
    assert list(in_threads(work, ([i, i] for i in range(50)))) == [2 * i for i in range(50)]
    assert {threads for _, threads in used} == {1}
    assert threading.current_thread().name not in {name for name, _ in used}
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before


def test_a_lonely_piece_has_all_threads_and_none_is_nothing():
    def work(piece):
        return threading.current_thread(), torch.get_num_threads()

    assert list(in_threads(work, [[1]])) == [(threading.current_thread(), torch.get_num_threads())]
    assert list(in_threads(work, [])) == []


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda piece: 1 / piece[0], [[1], [0], [2]]))


def test_a_batch_is_shared_out_evenly(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for n in (0, 1, 2, 3, 7, 9, 64):
        pieces = share_out(list(range(n)), torch.device("cpu"))
        assert [item for piece in pieces for item in piece] == list(range(n))
        assert len(pieces) <= 3
        assert max(map(len, pieces), default=0) == -(-n // 3)
    assert share_out([1, 2, 3], torch.device("cuda")) == [[1, 2, 3]]


def test_rows_do_not_depend_on_the_batch(vit):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["red", "cat", "house", "on", "the"], size=n)) for n in rng.integers(1, 12, 40)]
    expected = np.concatenate([helpers.encode_texts(vit, text) for text in texts])
    for batch_size in (1, 3, 7, 100):
        found = helpers.encode_texts(vit, texts, batch_size=batch_size)
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
