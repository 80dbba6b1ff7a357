"""A model of open_clip gives open_clip's own features, by the calls of the course."""

import json
import logging
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

import helpers
from helpers.index import command
from tests.conftest import IMAGES

CAUSAL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SIGMOID = {  # as SigLIP: the text is read both ways, and its last position is the embedding
    **CAUSAL,
    "custom_text": True,
    "init_logit_bias": -10,
    "text_cfg": {**CAUSAL["text_cfg"], "no_causal_mask": True, "pool_type": "last", "proj_bias": True},
}
SQUASH = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "squash"}
TEXTS = ["a cat", "a photo of a red car and two dogs", "the sea"]
FITS = "a a a a a a a a a a a a a a"  # with its start and its end 16 tokens


def saved(folder, config, preprocessing=SQUASH, **change):
    """Save a model with random weights as open_clip does: a folder with a configuration and the weights."""
    folder.mkdir()
    config = {**config, **change}
    content = {"model_cfg": config, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return f"open_clip:local-dir:{folder}"


@pytest.fixture(params=[CAUSAL, SIGMOID], ids=["causal", "sigmoid"])
def name(request, tmp_path):
    return saved(tmp_path / "model", request.param)


def own(name):
    """Load a model by open_clip alone: itself, its preprocessing, and its tokenizer."""
    name = name.removeprefix("open_clip:")
    model, preprocess = open_clip.create_model_from_pretrained(name)
    return model.eval(), preprocess, open_clip.get_tokenizer(name)


def test_features_are_those_of_open_clip(name):
    """The wide image too: this preprocessing squashes it, where clip's own crops it."""
    images = [Image.open(IMAGES / "cat.png"), Image.linear_gradient("L").resize((900, 30)).convert("RGB")]
    model, preprocess = helpers.load(name)
    plain, transform, tokenizer = own(name)
    with torch.inference_mode():
        expected_images = plain.encode_image(torch.stack([transform(image.convert("RGB")) for image in images]))
        expected_texts = plain.encode_text(tokenizer(TEXTS))
    opened = [helpers.open_image(image) for image in images]
    np.testing.assert_allclose(helpers.encode_images(model, preprocess, opened), expected_images, atol=1e-5)
    np.testing.assert_allclose(helpers.encode_texts(model, TEXTS), expected_texts, atol=1e-5)


def test_the_model_has_the_attributes_of_a_clip(name):
    model, preprocess = helpers.load(name)
    plain, _, _ = own(name)
    assert not model.training
    assert model.context_length == 16
    assert preprocess(Image.new("RGB", (50, 70))).shape == (3, model.visual.input_resolution, 32)
    assert model.logit_scale == plain.logit_scale
    assert model.logit_bias == plain.logit_bias
    assert helpers.encode_texts(model, []).shape == (0, 32)


def test_a_text_that_open_clip_would_cut_is_refused(name):
    model, _ = helpers.load(name)
    plain, _, tokenizer = own(name)
    with torch.inference_mode():
        expected = plain.encode_text(tokenizer([f"{FITS} a", FITS]))
    np.testing.assert_allclose(helpers.encode_texts(model, [f"{FITS} a", FITS], truncate=True), expected, atol=1e-5)
    np.testing.assert_allclose(helpers.encode_texts(model, FITS), expected[1:], atol=1e-5)
    with pytest.raises(ValueError, match=r"Expected texts of at most 16 tokens; text 1 has more: 'a a .* truncate"):
        helpers.encode_texts(model, ["a cat", f"{FITS} a"])


def test_a_text_that_continues_after_its_end_is_refused(tmp_path):
    model, _ = helpers.load(saved(tmp_path / "model", CAUSAL))
    with pytest.raises(ValueError, match="CLIP reads nothing after its end token; got .* as text 0"):
        helpers.encode_texts(model, "a cat<end_of_text> and a dog")


def test_a_folder_is_searched_with_it(name, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for file in ("cat.png", "dog.png", "car.png"):
        (folder / file).write_bytes((IMAGES / file).read_bytes())
    index = helpers.FolderIndex(folder, *helpers.load(name))
    assert index.update().encoded == 3
    best = index.search(image=folder / "dog.png", k=1)[0]
    assert best.path.name == "dog.png"
    assert best.score == pytest.approx(1, abs=1e-5)
    assert helpers.FolderIndex(folder, *helpers.load(name)).update().unchanged == 3


def test_features_of_another_activation_are_not_mixed(tmp_path):
    """The files of the weights are equal; only the name tells which activation the model computes."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "cat.png").write_bytes((IMAGES / "cat.png").read_bytes())
    first = saved(tmp_path / "gelu", CAUSAL)
    other = saved(tmp_path / "quick", CAUSAL, quick_gelu=True)
    helpers.FolderIndex(tmp_path / "images", *helpers.load(first)).update()
    assert helpers.FolderIndex(tmp_path / "images", *helpers.load(other)).update().encoded == 1


@pytest.mark.parametrize("call", ["fine_tune", "patch_similarity"])
def test_what_looks_inside_refuses_it_in_a_sentence(call, tmp_path):
    model, preprocess = helpers.load(saved(tmp_path / "model", CAUSAL))
    with pytest.raises(TypeError, match=r"Expected (a model of OpenAI's|CLIP's own).* got .+\. \w.+\.$"):
        if call == "fine_tune":
            helpers.fine_tune(model, preprocess, [(IMAGES / "cat.png", "a"), (IMAGES / "dog.png", "b")], [])
        else:
            helpers.patch_similarity(model, preprocess, IMAGES / "cat.png", "a cat")


def test_bfloat16_moves_an_embedding_a_little(tmp_path):
    name = saved(tmp_path / "model", CAUSAL)
    exact, close = (helpers.load(name, precision=precision)[0] for precision in ("float32", "bfloat16"))
    first, second = (helpers.encode_texts(model, TEXTS) for model in (exact, close))
    assert 0 < np.abs(first - second).max() < 0.03 * np.abs(first).max()


@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        ("ViT-B-33/openai", {}, r"Expected an architecture .* got 'ViT-B-33'\. Did you mean 'ViT-B-32'\?"),
        ("ViT-B-32/openia", {}, r"Expected a tag of ViT-B-32; got 'openia'\. Its tags are openai, "),
        ("RN50", {}, r"Expected a tag.*or weights=PATH; got 'open_clip:RN50'\. Use open_clip:RN50/openai\."),
        ("ViT-B-32", {"weights": "w.pt"}, "differ in their activation or preprocessing.*open_clip:ViT-B-32/TAG"),
        ("RN50/openai", {"weights": "nowhere.pt"}, "Cannot load 'open_clip:RN50/openai': .*nowhere.pt"),
        ("local-dir:nowhere", {}, "Cannot load 'open_clip:local-dir:nowhere': .*nowhere"),
        ("local-dir:nowhere", {"weights": "w.pt"}, "Leave them out"),
    ],
)
def test_a_bad_name_is_answered_by_a_sentence(given, options, says):
    with pytest.raises(ValueError, match=says):
        helpers.load(f"open_clip:{given}", **options)


def test_weights_of_another_kind_of_model_are_refused():
    with pytest.raises(ValueError, match=r"Expected weights only with a model of open_clip; got 'tiny'"):
        helpers.load("tiny", weights="w.pt")


def test_the_preprocessing_of_weights_in_a_file_is_that_of_their_tag(tmp_path):
    """open_clip forgets it: a file gets OpenAI's mean."""
    torch.save(open_clip.create_model("ViT-S-32", load_weights=False).state_dict(), tmp_path / "w.pt")
    open_clip.pretrained._PRETRAINED["ViT-S-32"] = {"test": {"mean": (0.5,) * 3, "std": (0.5,) * 3}}
    try:
        _, preprocess = helpers.load("open_clip:ViT-S-32/test", weights=tmp_path / "w.pt")
    finally:
        del open_clip.pretrained._PRETRAINED["ViT-S-32"]
    expected = image_transform_v2(PreprocessCfg(mean=(0.5,) * 3, std=(0.5,) * 3), is_train=False)
    image = helpers.open_image(IMAGES / "cat.png")
    assert torch.equal(preprocess(image), expected(image))


@pytest.mark.parametrize("damage", ["none", "cut", "nan"])
def test_weights_that_are_missing_or_damaged_are_refused(damage, tmp_path):
    name = saved(tmp_path / "model", CAUSAL)
    file = tmp_path / "model" / "open_clip_pytorch_model.bin"
    if damage == "none":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-1000])
    else:
        weights = torch.load(file)
        weights["ln_final.weight"][3] = torch.nan
        torch.save(weights, file)
    with pytest.raises(ValueError, match=r"^Cannot load 'open_clip:local-dir:[^\n]+\.$"):
        helpers.load(name)


def test_loading_in_several_threads_leaves_the_process_as_it_was(tmp_path):
    """The hub's library is kept offline, and open_clip silent, only while the files of this machine are tried."""
    name = saved(tmp_path / "model", CAUSAL)
    before = constants.HF_HUB_OFFLINE, logging.root.manager.disable
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(helpers.load, [name] * 24))
    assert (constants.HF_HUB_OFFLINE, logging.root.manager.disable) == before


def test_a_hub_that_does_not_answer_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with pytest.raises(ConnectionError, match=r"Cannot load open_clip:RN50/yfcc15m: .* hub does not answer\. Load"):
        helpers.load("open_clip:RN50/yfcc15m", download_root=tmp_path)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package open_clip, .* `pip install open_clip_torch`"):
        helpers.load("open_clip:RN50/openai")


def test_the_search_command_names_a_missing_package_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    assert command.main([str(tmp_path), "a cat", "--model", "open_clip:RN50/openai"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
