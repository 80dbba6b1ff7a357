"""What load promises: the pair of clip.load, in 32 bits on a CPU, or one clear line."""

import copy
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import clip
import numpy as np
import pytest
import torch
from clip.clip import _transform
from clip.model import CLIP, AttentionPool2d, VisionTransformer, convert_weights

import helpers
from helpers import models
from tests.conftest import IMAGES, ROOT

ARCHITECTURES = {
    "RN50": (1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 12),
    "RN101": (512, 224, (3, 4, 23, 3), 64, None, 77, 49408, 512, 8, 12),
    "RN50x4": (640, 288, (4, 6, 10, 6), 80, None, 77, 49408, 640, 10, 12),
    "RN50x16": (768, 384, (6, 8, 18, 8), 96, None, 77, 49408, 768, 12, 12),
    "RN50x64": (1024, 448, (3, 15, 36, 10), 128, None, 77, 49408, 1024, 16, 12),
    "ViT-B/32": (512, 224, 12, 768, 32, 77, 49408, 512, 8, 12),
    "ViT-B/16": (512, 224, 12, 768, 16, 77, 49408, 512, 8, 12),
    "ViT-L/14": (768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12),
    "ViT-L/14@336px": (768, 336, 24, 1024, 14, 77, 49408, 768, 12, 12),
}
"""As the papers and the checkpoints give them, in the order of CLIP's arguments."""


BUNDLED = ("tiny", "tiny-vit")


def test_models_are_the_bundled_two_and_the_nine_of_clip():
    names = [info.name for info in helpers.list_models()]
    assert names == [*BUNDLED, *clip.available_models()]


def count_gflops(model, resolution):
    """Count multiplications and additions from the shapes: torch's own counter differs from version to version."""
    multiplications = 0

    def add(module, inputs, output):
        nonlocal multiplications
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            multiplications += output.numel() * module.weight[0].numel()
        elif isinstance(module, torch.nn.MultiheadAttention):
            positions, _, width = inputs[0].shape
            multiplications += 4 * positions * width**2 + 2 * positions**2 * width
        elif isinstance(module, AttentionPool2d):  # one place asks, all positions answer
            positions, width = inputs[0].shape[2:].numel() + 1, inputs[0].shape[1]
            multiplications += (2 * positions + 1) * width**2 + 2 * positions * width + width * output.shape[-1]

    hooks = [part.register_forward_hook(add) for part in model.modules()]
    with torch.no_grad():
        model.visual(torch.zeros(1, 3, resolution, resolution, device=model.text_projection.device))
        model.transformer(torch.zeros(77, 1, model.ln_final.weight.shape[0], device=model.text_projection.device))
    for hook in hooks:
        hook.remove()
    projections = [model.text_projection, getattr(model.visual, "proj", None)]
    return 2 * (multiplications + sum(table.numel() for table in projections if table is not None)) / 1e9


def test_operations_are_counted_as_by_hand():
    """A ViT of two layers, width 64, on 16 patches of 8 × 8 pixels and a class token; a text side of one layer."""
    model = CLIP(32, 32, 2, 64, 8, 77, 100, 64, 1, 1)
    patches, layer = 16 * 3 * 8**2 * 64, 12 * 17 * 64**2 + 2 * 17**2 * 64
    text = 12 * 77 * 64**2 + 2 * 77**2 * 64
    assert count_gflops(model, 32) == 2 * (patches + 2 * layer + text + 2 * 64 * 32) / 1e9


@pytest.mark.parametrize("info", helpers.list_models()[2:], ids=lambda info: info.name)
def test_figures_of_official_models_follow_from_their_architecture(info):
    with torch.device("meta"):
        model = CLIP(*ARCHITECTURES[info.name])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert round(parameters / 1e6, 1) == info.parameters
    assert (model.text_projection.shape[1], model.visual.input_resolution) == (info.embedding_size, info.resolution)
    assert len(info.sha256) == 64
    assert count_gflops(model, info.resolution) == pytest.approx(info.gflops, rel=0.04)


@pytest.mark.parametrize("info", helpers.list_models()[:2], ids=BUNDLED)
def test_figures_of_the_bundled_are_measured(info):
    model, _ = helpers.load(info.name, device="cpu")
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1) == info.parameters
    assert (model.text_projection.shape[1], model.visual.input_resolution) == (info.embedding_size, info.resolution)
    assert round(count_gflops(model, info.resolution), 1) == info.gflops


def test_tiny_is_ready_to_use(tiny):
    model, preprocess = tiny
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert str(preprocess.transforms[:2]) == str(_transform(model.visual.input_resolution).transforms[:2])


@pytest.mark.parametrize("device", ["cpu", "cpu:0", torch.device("cpu"), None])
def test_every_way_to_say_cpu_gives_32_bits(device):
    model, _ = helpers.load("tiny", device=device)
    if device is not None or not torch.cuda.is_available():
        assert model.dtype == torch.float32


@pytest.mark.parametrize(("name", "path"), [("tiny", "TINY_PATH"), ("tiny-vit", "VIT_PATH")])
def test_a_damaged_bundled_model_is_refused(monkeypatch, tmp_path, name, path):
    damaged = tmp_path / f"{name}.pt"
    content = bytearray(getattr(models, path).read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(models, path, damaged)
    with pytest.raises(
        ValueError, match=rf"Expected .*{name}\.pt with SHA-256 \w{{8}}…; got \w{{8}}…: it is damaged\."
    ):
        helpers.load(name)


def test_an_unknown_name_lists_the_names_and_the_nearest():
    with pytest.raises(
        ValueError, match=r"got 'vit-b32'\. Did you mean 'ViT-B/32'\? The names are tiny, tiny-vit, RN50, .*"
    ):
        helpers.load("vit-b32")
    with pytest.raises(ValueError, match=r"got 'qqqqqqqqq'\. The names are tiny"):
        helpers.load("qqqqqqqqq")


def test_an_unknown_or_missing_device_is_named():
    with pytest.raises(ValueError, match="Expected device 'cpu', 'cuda' or 'mps'; got 'gpu'\\."):
        helpers.load("tiny", device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="got 'cuda' .*Use device='cpu'"):
            helpers.load("tiny", device="cuda")


def test_a_state_dict_file_keeps_its_32_bits(random_vit, tmp_path):
    torch.save(random_vit.state_dict(), tmp_path / "own.pt")
    model, preprocess = helpers.load(tmp_path / "own.pt", device="cpu")
    for mine, theirs in zip(random_vit.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert preprocess.transforms[0].size == 32


def test_an_image_encoder_alone_gets_the_text_encoder_of_tiny(tiny, tmp_path):
    torch.manual_seed(0)
    visual = VisionTransformer(64, 16, 64, 1, 1, 384)
    torch.save({f"visual.{k}": v for k, v in visual.state_dict().items()}, tmp_path / "side.pt")
    model, preprocess = helpers.load(tmp_path / "side.pt", device="cpu")
    image, text = preprocess(helpers.open_image(IMAGES / "cat.png"))[None], clip.tokenize("a cat")
    with torch.no_grad():
        assert torch.equal(model.encode_image(image), visual.eval()(image))
        assert torch.equal(model.encode_text(text), tiny[0].encode_text(text))


@pytest.fixture(scope="session")
def archive(random_vit, tmp_path_factory):
    """A TorchScript archive in 16 bits, the form of OpenAI's own files."""
    path = tmp_path_factory.mktemp("archive") / "vit.pt"
    example = (torch.zeros(1, 3, 32, 32), clip.tokenize("a cat"))
    traced = torch.jit.trace(random_vit, example, check_trace=False)
    traced.save(path)
    return path


@pytest.mark.filterwarnings("ignore")
def test_an_archive_loads_as_clip_load_does(archive):
    ours, our_preprocess = helpers.load(archive, device="cpu")
    theirs, their_preprocess = clip.load(str(archive), device="cpu")
    image = helpers.open_image(IMAGES / "cat.png")
    assert torch.equal(our_preprocess(image), their_preprocess(image))
    with torch.no_grad():
        expected = theirs.encode_image(their_preprocess(image)[None])
        found = ours.encode_image(our_preprocess(image)[None])
    assert np.allclose(found, expected, atol=1e-2)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "junk.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"Cannot read .*junk\.pt as a CLIP checkpoint: ") as caught:
        helpers.load(path)
    assert "\n" not in str(caught.value)


def test_another_networks_weights_are_refused(tmp_path):
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"Cannot read .*other\.pt as a CLIP checkpoint: it lacks 'visual"):
        helpers.load(tmp_path / "other.pt")


def test_a_checkpoint_can_run_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "evil"),))

    torch.save({"visual": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(
        ValueError,
        match=r"evil\.pt as a CLIP checkpoint: its 'visual' is a .*mkdir, whose code is not run, not a tensor",
    ):
        helpers.load(tmp_path / "evil.pt")
    assert not (tmp_path / "evil").exists()


def test_the_clipboard_tool_of_the_same_name_is_recognised(tmp_path):
    (tmp_path / "clip.py").write_text("def copy(text): ...\n")
    result = subprocess.run(
        [sys.executable, "-c", "import helpers; helpers.load"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert "Expected OpenAI's CLIP; got PyPI's package 'clip', which is another project" in result.stderr
    assert "pip uninstall clip" in result.stderr


@pytest.mark.filterwarnings("error")
def test_loading_in_several_threads_leaves_all_warnings_as_they_were():
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(helpers.load, ["tiny-vit"] * 24))
    assert warnings.filters == before


def test_precision_is_of_what_multiplies_and_normalizations_stay(tiny):
    model, _ = helpers.load("tiny", precision="bfloat16")
    kinds = {name: parameter.dtype for name, parameter in model.named_parameters()}
    assert model.dtype == kinds["text_projection"] == kinds["transformer.resblocks.0.mlp.c_fc.weight"] == torch.bfloat16
    assert kinds["visual.bn1.weight"] == kinds["ln_final.weight"] == kinds["logit_scale"] == torch.float32
    assert tiny[0].dtype == torch.float32


def test_float16_rounds_what_clip_itself_rounds(random_vit):
    ours, theirs = copy.deepcopy(random_vit), copy.deepcopy(random_vit)
    models._set_precision(ours, torch.float16)
    convert_weights(theirs)
    expected = theirs.state_dict()
    for name, value in ours.state_dict().items():
        assert value.dtype == expected[name].dtype, name
        assert torch.equal(value, expected[name])


def test_an_unknown_precision_is_named():
    with pytest.raises(
        ValueError, match="Expected precision 'float32', 'float16', 'bfloat16' or 'auto'; got 'int8'\\."
    ):
        helpers.load("tiny", precision="int8")


@pytest.mark.parametrize(
    ("flags", "has"), [("fpu avx2 fma", False), ("avx512f avx512_bf16", True), ("asimd bf16", True)]
)
def test_bfloat16_is_taken_automatically_where_the_cpu_has_it_and_warned_of_elsewhere(
    flags, has, monkeypatch, tmp_path
):
    (tmp_path / "cpuinfo").write_text(f"model name : AMD EPYC\nflags : {flags}\n")
    monkeypatch.setattr(models, "PROCESSOR", tmp_path / "cpuinfo")
    with warnings.catch_warnings(action="error"):
        assert helpers.load("tiny", device="cpu", precision="auto")[0].dtype == (
            torch.bfloat16 if has else torch.float32
        )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        helpers.load("tiny", device="cpu", precision="bfloat16")
    assert [str(warning.message)[:51] for warning in said] == (not has) * [
        "This CPU has no bfloat16, so PyTorch emulates it, s"
    ]


def test_where_nothing_is_known_of_the_cpu_auto_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "PROCESSOR", tmp_path / "missing")
    assert helpers.load("tiny", device="cpu", precision="auto")[0].dtype == torch.float32


def test_a_model_has_all_its_parts_on_the_device(random_vit, tmp_path):
    """The attention mask is no part of a state dict."""
    torch.save(random_vit.state_dict(), tmp_path / "own.pt")
    model, _ = helpers.load(tmp_path / "own.pt", device="cpu")
    tokens = clip.tokenize(["a cat", "two dogs"])
    with torch.no_grad():
        assert torch.equal(model.encode_text(tokens), random_vit.encode_text(tokens))
    for block in model.transformer.resblocks:
        assert torch.equal(block.attn_mask, random_vit.transformer.resblocks[0].attn_mask)
