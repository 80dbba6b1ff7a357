"""Each place of the image has its own similarity: as a slow reference computes it, and on the planted thing."""

import random

import clip
import numpy as np
import pytest
import torch
from clip.clip import _transform
from clip.model import CLIP
from PIL import Image
from torch.nn import functional

import helpers
from helpers.course import drawings

TEXTS = ["a cat", "two dogs"]


@pytest.fixture(scope="module")
def noise():
    """A square image, nowhere the same."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def random_resnet():
    """A small ResNet with random weights, whose normalizations have seen images: its last grid is 2 × 2."""
    torch.manual_seed(0)
    text = {"context_length": 77, "vocab_size": 49408, "transformer_width": 64}
    model = CLIP(64, 64, (1, 1, 1, 1), 8, None, **text, transformer_heads=1, transformer_layers=2)
    model.encode_image(torch.randn(16, 3, 64, 64))
    return model.eval()


def attended_alone(attention, rows, place):
    """Let the first row ask, with every place but one behind a mask: what comes out of torch's own attention."""
    mask = torch.full((1, len(rows)), -torch.inf)
    mask[0, place] = 0
    return attention(rows[:1], rows, rows, mask)[0]


def expected_of_vit(model, pixels):
    """Mask all patches but one in the last attention, patch by patch."""
    visual, expected = model.visual, []
    *blocks, last = visual.transformer.resblocks
    x = visual.conv1(pixels).reshape(visual.conv1.out_channels, -1).T
    x = visual.ln_pre(torch.cat([visual.class_embedding[None], x]) + visual.positional_embedding)
    for block in blocks:
        x = block(x[:, None])[:, 0]

    def attention(query, key, value, mask):
        return last.attn(query[:, None], key[:, None], value[:, None], attn_mask=mask, need_weights=False)[0][:, 0]

    for place in range(1, len(x)):
        expected.append(visual.ln_post(attended_alone(attention, last.ln_1(x), place)) @ visual.proj)
    return torch.stack(expected)


def expected_of_resnet(model, pixels):
    """Mask all places but one in the attention pooling, place by place."""
    visual, expected = model.visual, []
    pool, visual.attnpool = visual.attnpool, torch.nn.Identity()
    seen = visual(pixels)[0].flatten(1).T
    visual.attnpool = pool
    rows = torch.cat([seen.mean(0, keepdim=True), seen]) + pool.positional_embedding

    def attention(query, key, value, mask):
        return functional.multi_head_attention_forward(
            query[:, None], key[:, None], value[:, None], rows.shape[1], pool.num_heads, None,
            torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]), None, None, False, 0,
            pool.c_proj.weight, pool.c_proj.bias, use_separate_proj_weight=True, training=False, attn_mask=mask,
            q_proj_weight=pool.q_proj.weight, k_proj_weight=pool.k_proj.weight, v_proj_weight=pool.v_proj.weight,
            need_weights=False,
        )[0][:, 0]  # fmt: skip

    for place in range(1, len(rows)):
        expected.append(attended_alone(attention, rows, place))
    return torch.stack(expected)


@pytest.mark.parametrize("family", ["vit", "resnet"])
def test_a_place_is_what_the_last_attention_gives_where_it_sees_nothing_else(family, request, noise):
    model = request.getfixturevalue(f"random_{family}")
    side, reference = {"vit": (4, expected_of_vit), "resnet": (2, expected_of_resnet)}[family]
    preprocess = _transform(model.visual.input_resolution)
    with torch.no_grad():
        rows = functional.normalize(reference(model, preprocess(noise)[None]).reshape(side * side, -1), dim=1)
        texts = functional.normalize(model.encode_text(clip.tokenize(TEXTS)), dim=1)
    expected = (texts @ rows.T).reshape(2, side, side).numpy()
    found = helpers.patch_similarity(model, preprocess, noise, TEXTS)
    assert found.shape == (2, side, side)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-5
    assert np.ptp(expected, axis=(1, 2)).min() > 1e-3


def test_rows_run_down_the_image_and_columns_across():
    """With one block, a patch has seen no other before it gives its value."""
    model = CLIP(64, 32, 1, 64, 8, 77, 49408, 64, 1, 2).eval()
    plain, marked = Image.new("RGB", (32, 32)), Image.new("RGB", (32, 32))
    marked.paste("red", (16, 8, 24, 16))
    before, after = (helpers.patch_similarity(model, _transform(32), p, "a cat")[0] for p in (plain, marked))
    assert np.argwhere(np.abs(after - before) > 1e-6).tolist() == [[1, 2]]


def test_the_map_lies_over_the_square_that_preprocess_keeps(random_vit, noise):
    noise = noise.resize((32, 32))
    square = helpers.patch_similarity(random_vit, _transform(32), noise, TEXTS)
    wide = Image.new("RGB", (96, 32), "red")
    wide.paste(noise, (32, 0))
    assert np.allclose(helpers.patch_similarity(random_vit, _transform(32), wide, TEXTS), square, atol=1e-5)


def test_the_model_is_left_as_it_was(random_vit, noise):
    helpers.patch_similarity(random_vit, _transform(32), noise, TEXTS)
    assert not any(part._forward_pre_hooks for part in random_vit.modules())


def test_other_image_encoders_are_refused_in_a_line(random_vit, noise):
    class Other(torch.nn.Module):
        visual, text_projection = torch.nn.Linear(1, 1), torch.ones(1, 1)

    with pytest.raises(TypeError, match=r"got Linear. Use occlusion_maps, which works with any model"):
        helpers.patch_similarity(Other(), _transform(32), noise, TEXTS)
    with pytest.raises(helpers.ImageError, match=r"^Cannot read nowhere.png: there is no such file"):
        helpers.patch_similarity(random_vit, _transform(32), "nowhere.png", TEXTS)


@pytest.mark.parametrize(("name", "least"), [("tiny", 0.75), ("tiny-vit", 0.5)])
def test_planted_things_are_found_in_their_quarter(name, least):
    """Two things in two quarters of the image: chance is one in four."""
    model, preprocess = helpers.load(name)
    rng, found = random.Random(7), 0
    for _ in range(40):
        names, quarters = rng.sample(drawings.drawing_names(), 2), rng.sample(range(4), 2)
        places = [(64 + 128 * (quarter % 2), 64 + 128 * (quarter // 2), 128) for quarter in quarters]
        scene = drawings.scene(names, (256, 256), places=places)
        one_map = helpers.patch_similarity(model, preprocess, scene, f"a {names[0]}")[0]
        row, column = np.unravel_index(one_map.argmax(), one_map.shape)
        found += 2 * (2 * row // len(one_map)) + 2 * column // len(one_map) == quarters[0]
    assert found >= least * 40
