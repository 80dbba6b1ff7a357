"""Architectures of open_clip, whole and with random weights, give open_clip's own features by the calls of the course.

Real weights can't be fetched in a closed network; what is wrong with an architecture shows with any.
"""

import json

import numpy as np
import open_clip
import pytest
import torch
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transform import PreprocessCfg, image_transform_v2
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

import helpers
from helpers.shards import encode_manifest, read_shard
from tests.conftest import IMAGES

ARCHITECTURES = (
    "ViT-B-32-quickgelu",
    "RN50",
    "convnext_base_w",
    "EVA02-B-16",
    "ViTamin-S",
    "PE-Core-T-16-384",
    "MobileCLIP-S1",
    "MobileCLIP2-S0",
    "coca_ViT-B-32",
)
SIGLIP = {"ViT-B-16-SigLIP": "</s>", "ViT-B-32-SigLIP2-256": "<pad>"}  # with what each fills a short text up
TEXTS = ["a cat", "a photo of a red car and two dogs in front of a house", "the sea", " ".join(["word"] * 9)]
FILES = [IMAGES / name for name in ("cat.png", "maze1.jpeg", "rocket.png")]


def assert_equal_to(plain, transform, tokenizer, model, preprocess):
    """Compare relative to the largest value; the embeddings of random models are of any size."""
    images = [helpers.open_image(path) for path in FILES]
    with torch.inference_mode():
        expected = plain.encode_image(torch.stack([transform(image) for image in images]), normalize=False).numpy()
        expected_texts = plain.encode_text(tokenizer(TEXTS), normalize=False).numpy()
    for found, right in (
        (helpers.encode_images(model, preprocess, images), expected),
        (helpers.encode_texts(model, TEXTS), expected_texts),
    ):
        difference = np.abs(found - right).max() / np.abs(right).max()
        print(f"{model.name}: {difference:.1e}")
        assert difference < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_architecture_with_weights_in_a_file(architecture, tmp_path):
    [tag, *_] = open_clip.list_pretrained_tags_by_model(architecture)
    known = get_pretrained_cfg(architecture, tag)
    torch.manual_seed(0)
    plain = open_clip.create_model(architecture, force_quick_gelu=known.get("quick_gelu", False)).eval()
    torch.save(plain.state_dict(), tmp_path / "weights.pt")
    settings = {key: known[key] for key in ("mean", "std", "interpolation", "resize_mode") if known.get(key)}
    transform = image_transform_v2(PreprocessCfg(size=plain.visual.image_size, **settings), is_train=False)
    loaded = helpers.load(f"open_clip:{architecture}/{tag}", weights=tmp_path / "weights.pt")
    assert_equal_to(plain, transform, open_clip.get_tokenizer(architecture), *loaded)


def siglip(folder, architecture):
    """Save a SigLIP with random weights and a small tokenizer of the same kind, as the hub has it."""
    config = open_clip.get_model_config(architecture)
    padding = SIGLIP[architecture]
    words = Tokenizer(models.Unigram())
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    words.train_from_iterator(
        TEXTS * 9, trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>")
    )
    words.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token=padding, eos_token="</s>", unk_token="<unk>", padding_side="right"
    )
    tokenizer.save_pretrained(folder)
    content = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return f"open_clip:local-dir:{folder}"


@pytest.mark.parametrize("architecture", SIGLIP)
def test_a_siglip_with_a_tokenizer_of_its_own(architecture, tmp_path):
    name = siglip(tmp_path, architecture)
    model, preprocess = helpers.load(name)
    plain, transform = open_clip.create_model_from_pretrained(name.removeprefix("open_clip:"))
    assert_equal_to(
        plain.eval(), transform, open_clip.get_tokenizer(name.removeprefix("open_clip:")), model, preprocess
    )
    assert model.context_length == 64
    assert model.logit_bias.item() == -10
    with pytest.raises(ValueError, match="Expected texts of at most 64 tokens; text 0 has more"):
        helpers.encode_texts(model, "word " * 64)
    exact = helpers.encode_texts(model, TEXTS)
    close = helpers.encode_texts(helpers.load(name, precision="bfloat16")[0], TEXTS)
    assert 0 < np.abs(exact - close).max() < 0.05 * np.abs(exact).max()


def test_shards_are_made_with_it(tmp_path):
    """Each process of the pool loads the model by its name."""
    name = siglip(tmp_path, "ViT-B-16-SigLIP")
    manifest = tmp_path / "images.csv"
    manifest.write_text("id,path\n" + "".join(f"{i},{path}\n" for i, path in enumerate(FILES)))
    encode_manifest(manifest, tmp_path / "shards", model=name, workers=1, progress=False)
    found = np.stack(read_shard(tmp_path / "shards" / "000000.parquet").column("features").to_pylist())
    np.testing.assert_allclose(found, helpers.encode_images(*helpers.load(name), FILES), rtol=0, atol=1e-4)
