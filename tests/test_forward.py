"""The faster forward pass gives what CLIP's own gives, and leaves alone what it does not know."""

import copy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import clip
import numpy as np
import pytest
import torch
from clip.model import CLIP, ResidualAttentionBlock
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrize

import helpers
import helpers.models
from helpers import _linear
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


class Twice(nn.Module):
    def forward(self, weight):
        return 2 * weight


def parametrize_a_weight(model):
    for tower in towers(model):
        parametrize.register_parametrization(tower.resblocks[1].mlp.c_fc, "weight", Twice())


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
    parametrize_a_weight,
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


def drop_the_mask(model):
    for block in model.transformer.resblocks:
        block.attn_mask = None


def look_ahead_by_one(model):
    for block in model.transformer.resblocks:
        block.attn_mask = torch.full((77, 77), -torch.inf).triu(2)


def mask_a_visual_block(model):
    model.visual.transformer.resblocks[1].attn_mask = torch.full((10, 10), -torch.inf).triu(1)


@pytest.mark.parametrize("change", [drop_the_mask, look_ahead_by_one, mask_a_visual_block])
@torch.inference_mode()
def test_another_mask_is_kept(vit, change):
    pixels, tokens = torch.randn(2, 3, 48, 48), clip.tokenize(["a cat", "two dogs"])
    change(vit)
    assert largest_difference(image_features(vit, pixels), vit.encode_image(pixels)) < 1e-5
    assert largest_difference(text_features(vit, tokens[:, :6]), vit.encode_text(tokens)) < 1e-5


@torch.inference_mode()
def test_a_hook_on_all_modules_sees_each_block(vit):
    seen = []
    with register_module_forward_hook(lambda module, given, result: seen.append(type(module))):
        image_features(vit, torch.randn(2, 3, 48, 48))
    assert seen.count(ResidualAttentionBlock) == 3


def test_gradients_are_those_of_clips_own_call(vit):
    pixels, tokens = torch.randn(2, 3, 48, 48), clip.tokenize(["a cat", "two dogs"])
    gradients = []
    for images, texts in ((image_features, text_features), (CLIP.encode_image, CLIP.encode_text)):
        vit.zero_grad()
        (images(vit, pixels).sum() + texts(vit, tokens).sum()).backward()
        gradients.append([weight.grad for weight in vit.parameters() if weight.grad is not None])
    for found, expected in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


@pytest.fixture
def packing(monkeypatch):
    """Weights are packed at their first use; gives the list of those that were. Skipped where nothing is packed."""
    if not _linear.has_fast_onednn():
        pytest.skip("this processor has no AVX-512, or this torch no way to oneDNN: nothing is packed")
    packed, pack = [], torch.ops.mkldnn._reorder_linear_weight
    monkeypatch.setattr(_linear, "ROWS_THAT_PAY", 1)
    monkeypatch.setattr(
        torch.ops.mkldnn, "_reorder_linear_weight", lambda weight, rows: packed.append(weight) or pack(weight, rows)
    )
    return packed


def change_in_place(model, weight):
    with torch.no_grad():
        weight.mul_(-2)


def change_data(model, weight):
    weight.data[3, 5] += 100  # a single value, which no version counts


def change_in_inference_mode(model, weight):
    with torch.inference_mode():
        weight.mul_(-2)


def load_another_state(model, weight):
    model.load_state_dict(make_vit(128, 3, 1).state_dict())


@pytest.mark.parametrize("change", [change_in_place, change_data, change_in_inference_mode, load_another_state])
def test_a_changed_weight_is_noticed_by_the_next_call(vit, packing, change):
    texts = ["a cat", "two dogs on a red hill"] * 200  # enough to be packed
    before = helpers.encode_texts(vit, texts)
    change(vit, vit.transformer.resblocks[0].mlp.c_fc.weight)
    found = helpers.encode_texts(vit, texts)
    with torch.inference_mode():
        expected = vit.encode_text(clip.tokenize(texts)).numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(found - before).max() > 1e-3 * np.abs(expected).max()
    assert packing


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_packed_weights_give_the_same_bits_and_are_packed_once_for_all_threads(vit, packing, precision):
    helpers.models._set_precision(vit, precision)
    pixels = torch.randn(16, 3, 48, 48)
    plain = torch.cat([image_features(vit, piece) for piece in pixels.split(2)])
    packing.clear()
    linear = _linear.Linear()

    def encode(piece):
        with torch.inference_mode():
            return image_features(vit, piece, linear)

    with ThreadPoolExecutor(4) as pool:
        found = torch.cat(list(pool.map(encode, pixels.split(2))))
    assert torch.equal(found, plain)
    assert len(packing) == len(set(map(id, packing))) == 4 * 3


@pytest.mark.parametrize("lost", ["_reorder_linear_weight", "_linear_pointwise"])
@torch.inference_mode()
def test_without_onednn_the_result_is_the_same(vit, monkeypatch, lost):
    def refuse(*_):
        raise RuntimeError("Overloaded torch operator invoked from Python failed to match any schema")

    monkeypatch.setattr(torch.ops.mkldnn, lost, refuse)
    _linear.has_fast_onednn.cache_clear()
    pixels = torch.randn(2, 3, 48, 48)
    found = image_features(vit, pixels)
    _linear.has_fast_onednn.cache_clear()
    assert largest_difference(found, vit.encode_image(pixels)) < 1e-5


@torch.inference_mode()
def test_autocast_is_followed(vit):
    layer = vit.visual.transformer.resblocks[0].mlp.c_fc
    with torch.autocast("cpu", torch.bfloat16):
        assert _linear.Linear()(torch.randn(4, 128), layer.weight, layer.bias).dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore")  # torch.ao.quantization is deprecated, and in use
@torch.inference_mode()
def test_a_quantized_model_gets_the_plain_call(vit):
    quantized = torch.ao.quantization.quantize_dynamic(vit, {nn.Linear})
    pixels, tokens = torch.randn(2, 3, 48, 48), clip.tokenize(["a cat", "two dogs"])
    assert largest_difference(image_features(quantized, pixels), quantized.encode_image(pixels)) < 1e-5
    assert largest_difference(text_features(quantized, tokens[:, :6]), quantized.encode_text(tokens)) < 1e-5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (nn.Module.double, r"^Expected .*ln_\w+ in float32.*; got torch.float64. Call model.float\(\)\.$"),
        (nn.Module.half, r"^Expected .*ln_\w+ in float32.*; got torch.float16. Call model.float\(\)\.$"),
        (lambda model: model.to("meta"), r"^Expected .*; got .* 'meta'\. Load it again\.$"),
        (
            lambda model: torch.ao.quantization.quantize_dynamic(model, {nn.Linear}),
            r"^Expected .*attnpool; got quantized layers\. Quantize model.transformer alone\.$",
        ),
        (nn.Module.train, r"^Expected .* eval mode; got .* Call model.eval\(\)\.$"),
    ],
)
def test_a_model_that_clips_own_calls_fail_with_is_refused_in_one_line(tiny, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        helpers.encode_texts(change(copy.deepcopy(tiny[0])), "a cat")


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
