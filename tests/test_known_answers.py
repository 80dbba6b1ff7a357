"""Answers that others published, and the same features from other libraries.

Most of it needs files or packages that do not travel with the course: a skip names them, and where they belong.
With KNOWN_ANSWERS=required, as in the weekly job, what is missing fails.
"""

import hashlib
import os
from functools import cache
from importlib import import_module
from pathlib import Path

import clip
import numpy as np
import pytest
import torch
from clip.model import CLIP
from PIL import Image
from torchvision.datasets import CIFAR100

import helpers
from helpers import models
from tests.conftest import IMAGES
from tests.test_models import ARCHITECTURES

CACHE = Path.home() / ".cache"
CLIP_PNG_SHA256 = "308a3ca4503f1c7a07803916c369d78c4ef501e5ab7fc727da9b5e1d2f9ec85b"
SNAKE = {"snake": 65.31, "turtle": 12.29, "sweet_pepper": 3.83, "lizard": 1.88, "crocodile": 1.75}
DESCRIPTIONS = {
    "page": "a page of text about segmentation",
    "chelsea": "a facial photo of a tabby cat",
    "astronaut": "a portrait of an astronaut with the American flag",
    "rocket": "a rocket standing on a launchpad",
    "motorcycle_right": "a red motorcycle standing in a garage",
    "camera": "a person looking at a camera on a tripod",
    "horse": "a black-and-white silhouette of a horse",
    "coffee": "a cup of coffee on a saucer",
}
"""scikit-image's images, and what openai/CLIP's notebook says of them."""
IN_OPEN_CLIP = {"ViT-B/32": "ViT-B-32-quickgelu", "RN50": "RN50-quickgelu"}
IMAGES = [helpers.open_image(IMAGES / name) for name in ("cat.png", "maze1.jpeg", "rocket.png")]
TEXTS = ["a cat", "Hello World!", "a maze with a glowing green path, seen from above"]


def missing(what):
    """Skip, and say what is missing; where everything is required, fail."""
    if os.environ.get("KNOWN_ANSWERS") == "required":
        pytest.fail(what)
    pytest.skip(what)


def need_file(path, sha256, source):
    if not path.is_file():
        missing(f"{path} is missing: put {source} there")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        missing(f"{path} is not {source}: its SHA-256 begins {found[:8]}, not {sha256[:8]}")
    return path


def need_package(name, package):
    try:
        return import_module(name)
    except ImportError as error:
        missing(f"{error}: install {package}")


@cache
def official(name):
    """The model with OpenAI's weights; never downloads them."""
    info = next(info for info in helpers.list_models() if info.name == name)
    url = models.OFFICIAL_URLS[name]
    need_file(CACHE / "clip" / url.split("/")[-1], info.sha256, url)
    return helpers.load(name, device="cpu")


@cache
def random(name):
    """The same architecture with random weights."""
    torch.manual_seed(0)
    model = CLIP(*ARCHITECTURES[name]).eval()
    return model, models.clip_preprocess(model.visual.input_resolution)


def peers():
    return need_package("benchmarks.peers", "the extra `bench`")


def agree(ours, theirs):
    """Say whether two sets of features are equal but for rounding, however much their rows have in common."""
    ours, theirs = (np.asarray(features, dtype=np.float64) for features in (ours, theirs))
    return np.abs(ours - theirs).max() < 1e-3 * (ours - ours.mean(axis=0)).std()


def test_hello_world_has_five_tokens():
    tokens = clip.tokenize("Hello World!")
    assert tokens.shape == (1, 77)
    assert tokens[0, :5].tolist() == [49406, 3306, 1002, 256, 49407]
    assert not tokens[0, 5:].any()


def test_parameters_of_vit_b_32():
    with torch.device("meta"):
        model = CLIP(*ARCHITECTURES["ViT-B/32"])
    assert sum(parameter.numel() for parameter in model.parameters()) == 151_277_313
    assert (model.context_length, model.vocab_size) == (77, 49_408)


def test_official_file_holds_these_parameters():
    model, _ = official("ViT-B/32")
    assert sum(parameter.numel() for parameter in model.parameters()) == 151_277_313
    assert model.logit_scale.exp().item() == pytest.approx(100, abs=0.01)


def test_clip_png_is_a_diagram():
    """The README of openai/CLIP. CLIP.png is transparent: `preprocess` makes that black, `open_image` white."""
    path = need_file(CACHE / "clip" / "CLIP.png", CLIP_PNG_SHA256, "CLIP.png of github.com/openai/CLIP")
    model, preprocess = official("ViT-B/32")
    with torch.no_grad():
        logits, _ = model(preprocess(Image.open(path))[None], clip.tokenize(["a diagram", "a dog", "a cat"]))
    assert logits.softmax(dim=-1).numpy() == pytest.approx(np.array([[0.9927937, 0.00421068, 0.00299572]]), rel=0.03)


def test_cifar_image_is_a_snake():
    """The README of openai/CLIP says: the exact numbers may be slightly different depending on the device."""
    try:
        dataset = CIFAR100(CACHE, train=False)
    except RuntimeError as error:
        missing(f"{CACHE / 'cifar-100-python'} is missing ({error}): torchvision's CIFAR100 fetches it")
    model, preprocess = official("ViT-B/32")
    texts = helpers.encode_texts(model, [f"a photo of a {name}" for name in dataset.classes])
    image = helpers.encode_images(model, preprocess, [dataset[3637][0]])
    percent = 100 * helpers.probabilities(helpers.cosine_similarity(texts, image), axis=0)[:, 0]
    best = np.argsort(-percent)[:5]
    assert [dataset.classes[place] for place in best] == list(SNAKE)
    assert percent[best] == pytest.approx(np.array(list(SNAKE.values())), rel=0.03)


def test_official_heatmap_is_brightest_on_its_diagonal():
    skimage = need_package("skimage", "scikit-image")
    paths = {path.stem: path for path in Path(skimage.data_dir).iterdir()}
    for name in DESCRIPTIONS:
        if name not in paths:
            missing(f"the image {name!r} is missing in {skimage.data_dir}: install another scikit-image")
    model, preprocess = official("ViT-B/32")
    images = [Image.open(paths[name]).convert("RGB") for name in DESCRIPTIONS]
    features = helpers.encode_images(model, preprocess, images)
    texts = helpers.encode_texts(model, [f"This is {description}" for description in DESCRIPTIONS.values()])
    similarity = helpers.cosine_similarity(texts, features)
    assert similarity.argmax(axis=0).tolist() == similarity.argmax(axis=1).tolist() == list(range(8))
    assert 0.05 < similarity.min() < 0.2 < similarity.diagonal().min() < similarity.max() < 0.4


@pytest.mark.parametrize("name", IN_OPEN_CLIP)
@pytest.mark.parametrize("weights", [random, official])
def test_open_clip_agrees(name, weights):
    library = need_package("open_clip", "the extra `bench`")
    model, preprocess = weights(name)
    theirs, their_preprocess = peers().build_open_clip(model.state_dict(), IN_OPEN_CLIP[name])
    pixels = torch.stack([preprocess(image) for image in IMAGES])
    assert torch.equal(pixels, torch.stack([their_preprocess(image) for image in IMAGES]))
    tokens = library.get_tokenizer(IN_OPEN_CLIP[name])(TEXTS)
    assert torch.equal(tokens, clip.tokenize(TEXTS).to(tokens.dtype))
    with torch.no_grad():
        assert agree(helpers.encode_images(model, preprocess, IMAGES), theirs.encode_image(pixels))
        assert agree(helpers.encode_texts(model, TEXTS), theirs.encode_text(tokens))


def test_open_clip_without_quickgelu_is_another_model():
    """The same weights under the name that people write first (open_clip#771): this comparison can fail."""
    need_package("open_clip", "the extra `bench`")
    model, preprocess = random("ViT-B/32")
    theirs, _ = peers().build_open_clip(model.state_dict(), "ViT-B-32")
    pixels = torch.stack([preprocess(image) for image in IMAGES])
    with torch.no_grad():
        assert not agree(helpers.encode_images(model, preprocess, IMAGES), theirs.encode_image(pixels))
        assert not agree(helpers.encode_texts(model, TEXTS), theirs.encode_text(clip.tokenize(TEXTS)))


@pytest.mark.parametrize("weights", [random, official])
def test_transformers_agrees(weights):
    need_package("transformers", "the extra `bench`")
    model, preprocess = weights("ViT-B/32")
    theirs = peers().build_transformers(model.state_dict())
    pixels = torch.stack([preprocess(image) for image in IMAGES])
    with torch.no_grad():
        images = theirs.get_image_features(pixel_values=pixels).pooler_output
        texts = theirs.get_text_features(input_ids=clip.tokenize(TEXTS).long()).pooler_output
    assert agree(helpers.encode_images(model, preprocess, IMAGES), images)
    assert agree(helpers.encode_texts(model, TEXTS), texts)


@pytest.mark.parametrize("required", [False, True])
def test_a_missing_or_other_file_is_named(tmp_path, monkeypatch, required):
    monkeypatch.setenv("KNOWN_ANSWERS", "required" if required else "")
    outcome = pytest.fail.Exception if required else pytest.skip.Exception
    path = tmp_path / "ViT-B-32.pt"
    with pytest.raises(outcome, match=r"ViT-B-32\.pt is missing: put https://example there"):
        need_file(path, "40d36571", "https://example")
    path.write_bytes(b"other")
    with pytest.raises(
        outcome, match=r"ViT-B-32\.pt is not https://example: its SHA-256 begins d9298a10, not 40d36571"
    ):
        need_file(path, "40d36571", "https://example")
    with pytest.raises(outcome, match="No module named 'no_such_package': install it"):
        need_package("no_such_package", "it")
