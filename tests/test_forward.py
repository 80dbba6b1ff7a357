"""The faster forward pass gives what CLIP's own gives, and leaves alone what it does not know."""

import copy
import subprocess
import sys

import clip
import numpy as np
import pytest
import torch
from clip.model import CLIP, ResidualAttentionBlock
from torch import nn

import helpers
from helpers.forward import image_features, text_features
from tests.conftest import ROOT

TEXTS = ["", "maze", "win the game", "a photo of a red bicycle on a green hill", "word " * 75]


def make_vit(width, layers, seed):
    torch.manual_seed(seed)
    return CLIP(32, 48, layers, width, 16, 77, 49408, width, width // 64, layers).eval()


@pytest.fixture(scope="module")
def untouched_vit():
    return make_vit(128, 3, 0)


@pytest.fixture
def vit(untouched_vit):
    return copy.deepcopy(untouched_vit)


def largest_difference(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize(("width", "layers"), [(64, 1), (64, 2), (192, 4)])
@torch.inference_mode()
def test_images_agree_with_encode_image(width, layers):
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


def towers(model):
    return model.visual.transformer, model.transformer


class Doubled(nn.Linear):
    """What a library that adapts a model puts in a layer's place."""

    def forward(self, x):
        return 2 * super().forward(x)


class Negated(ResidualAttentionBlock):
    def forward(self, x):
        return -super().forward(x)


def double(module, given, result):
    return tuple(2 * part if part is not None else None for part in result) if type(result) is tuple else 2 * result


def replace_a_layer(model):
    for tower in towers(model):
        tower.resblocks[1].mlp.c_fc.__class__ = Doubled


def replace_a_block(model):
    for tower in towers(model):
        tower.resblocks[1].__class__ = Negated


def replace_the_activation(model):
    for tower in towers(model):
        tower.resblocks[1].mlp.gelu = nn.GELU()


def add_a_layer(model):
    for tower in towers(model):
        mlp = tower.resblocks[1].mlp
        mlp.add_module("adapter", nn.Linear(mlp.c_proj.out_features, mlp.c_proj.out_features))


def patch_forward_of(name):
    def patch(model):
        for tower in towers(model):
            part = tower.resblocks[1].get_submodule(name)
            forward = part.forward
            part.forward = lambda *x, forward=forward, **options: double(None, x, forward(*x, **options))

    patch.__name__ = f"patch_forward_of_{name or 'block'}"
    return patch


def patch_the_method_of_a_block(model):
    for tower in towers(model):
        block = tower.resblocks[1]
        attention = block.attention
        block.attention = lambda x, attention=attention: 2 * attention(x)


def hook(name):
    def change(model):
        for tower in towers(model):
            tower.resblocks[1].get_submodule(name).register_forward_hook(double)

    change.__name__ = f"hook_{name or 'block'}"
    return change


def hook_the_towers(model):
    for tower in (model.visual, model.transformer):
        tower.register_forward_hook(lambda module, given, result: -result)


def replace_the_calls(model):
    image, text = model.encode_image, model.encode_text
    model.encode_image, model.encode_text = lambda x: 2 * image(x), lambda x: 2 * text(x)


def drop_a_projection(model):
    model.visual.proj = None
    model.text_projection.data *= 2


PARTS = ["", "ln_1", "attn", "ln_2", "mlp", "mlp.c_fc", "mlp.gelu", "mlp.c_proj"]
CHANGES = [
    replace_a_layer,
    replace_a_block,
    replace_the_activation,
    add_a_layer,
    patch_the_method_of_a_block,
    hook_the_towers,
    replace_the_calls,
    drop_a_projection,
    *map(hook, PARTS),
    *map(patch_forward_of, PARTS),
]


@pytest.mark.parametrize("change", CHANGES)
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


@torch.inference_mode()
def test_a_hook_sees_what_clips_own_call_would_show_it(vit):
    pixels, seen = torch.randn(2, 3, 48, 48), []
    vit.visual.transformer.resblocks[0].mlp.c_fc.register_forward_hook(
        lambda module, given, result: seen.append(result)
    )
    image_features(vit, pixels)
    vit.encode_image(pixels)
    assert torch.allclose(seen[0], seen[1], atol=1e-5)


@torch.inference_mode()
def test_a_class_that_was_patched_gets_the_plain_call(vit, monkeypatch):
    forward = ResidualAttentionBlock.forward
    monkeypatch.setattr(ResidualAttentionBlock, "forward", lambda block, x: -forward(block, x))
    pixels, tokens = torch.randn(2, 3, 48, 48), clip.tokenize(["a cat", "two dogs"])
    assert largest_difference(image_features(vit, pixels), vit.encode_image(pixels)) < 1e-5
    assert largest_difference(text_features(vit, tokens[:, :6]), vit.encode_text(tokens)) < 1e-5


@torch.inference_mode()
def test_one_switch_turns_to_the_plain_calls(vit, monkeypatch):
    calls = []
    monkeypatch.setattr(vit.visual.transformer, "forward", lambda x: calls.append("image") or x)
    monkeypatch.setattr(vit.transformer, "forward", lambda x: calls.append("text") or x)
    monkeypatch.setattr("helpers.forward._is_unchanged", lambda part: True)
    for expected in ([], ["image", "text"]):
        image_features(vit, torch.randn(2, 3, 48, 48))
        text_features(vit, clip.tokenize("a cat")[:, :4])
        assert calls == expected
        monkeypatch.setenv("CLIP_PLAIN", "1")


def test_importing_draws_nothing_from_the_generator_of_torch():
    code = "import torch; old = torch.get_rng_state(); import helpers; assert torch.equal(old, torch.get_rng_state())"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_rows_do_not_depend_on_the_batch(vit):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["red", "cat", "house", "on", "the"], size=n)) for n in rng.integers(1, 12, 40)]
    expected = np.concatenate([helpers.encode_texts(vit, text) for text in texts])
    for batch_size in (1, 3, 7, 100):
        found = helpers.encode_texts(vit, texts, batch_size=batch_size)
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
