"""What load promises: the pair of clip.load, in 32 bits on a CPU, or one clear line."""

import copy
import hashlib
import os
import subprocess
import sys
import urllib.error

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


EMBEDDED = ("tiny", "tiny-vit")


def test_models_are_the_embedded_two_and_the_nine_of_clip():
    names = [info.name for info in helpers.list_models()]
    assert names == [*EMBEDDED, *clip.list_models()]


def count_gflops(model, resolution):
    """Count multiplications and additions from the shapes: torch's own counter differs from version to version."""
    multiplications = 0

    def add(module, inputs, output):
        nonlocal multiplications
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            multiplications += output.numel() * module.weight[0].numel()
        elif isinstance(module, torch.nn.MultiheadAttention):
            places, _, width = inputs[0].shape
            multiplications += 4 * places * width**2 + 2 * places**2 * width
        elif isinstance(module, AttentionPool2d):  # one place asks, all places answer
            places, width = inputs[0].shape[2:].numel() + 1, inputs[0].shape[1]
            multiplications += (2 * places + 1) * width**2 + 2 * places * width + width * output.shape[-1]

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


@pytest.mark.parametrize("info", helpers.list_models()[:2], ids=EMBEDDED)
def test_figures_of_the_embedded_are_measured(info):
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
def test_a_damaged_embedded_model_is_refused(monkeypatch, tmp_path, name, path):
    damaged = tmp_path / f"{name}.pt"
    content = bytearray(getattr(models, path).read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(models, path, damaged)
    with pytest.raises(ValueError, match=rf"{name}\.pt is damaged: its SHA-256 begins \w{{8}}, not \w{{8}}"):
        helpers.load(name)


def test_an_unknown_name_lists_the_names_and_the_nearest():
    with pytest.raises(
        ValueError, match=r"called 'vit-b32'; did you mean 'ViT-B/32'\? The names are: tiny, tiny-vit, RN50, .*"
    ):
        helpers.load("vit-b32")
    with pytest.raises(ValueError, match=r"called 'qqqqqqqqq' The names are: tiny"):
        helpers.load("qqqqqqqqq")


def test_an_unknown_or_missing_device_is_named():
    with pytest.raises(ValueError, match="no such device: 'gpu'; use 'cpu', 'cuda' or 'mps'"):
        helpers.load("tiny", device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="this machine has no 'cuda' device; use device='cpu'"):
            helpers.load("tiny", device="cuda")


def test_a_state_dict_file_keeps_its_32_bits(random_vit, tmp_path):
    torch.save(random_vit.state_dict(), tmp_path / "own.pt")
    model, preprocess = helpers.load(tmp_path / "own.pt", device="cpu")
    for mine, theirs in zip(random_vit.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert preprocess.transforms[0].size == 32


def test_a_image_side_alone_gets_the_text_side_of_tiny(tiny, tmp_path):
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
    with pytest.raises(ValueError, match=r"junk\.pt is not a readable CLIP checkpoint") as caught:
        helpers.load(path)
    assert "\n" not in str(caught.value)


def test_another_networks_weights_are_refused(tmp_path):
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt holds no CLIP state dict: it lacks 'visual"):
        helpers.load(tmp_path / "other.pt")


def test_a_checkpoint_can_run_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "evil"),))

    torch.save({"visual": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"evil\.pt is not a readable CLIP checkpoint"):
        helpers.load(tmp_path / "evil.pt")
    assert not (tmp_path / "evil").exists()


def test_without_network_one_line_says_the_way_out(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.OpenerDirector.open", refuse)
    with pytest.raises(ConnectionError) as caught:
        helpers.load("ViT-B/32", download_root=tmp_path)
    message = str(caught.value)
    for part in ("338 MiB", "no network", models.OFFICIAL_URLS["ViT-B/32"], str(tmp_path), "load('tiny')"):
        assert part in message
    assert "\n" not in message


def serve(archive, folder, monkeypatch, checksum):
    """Let `ViT-B/32` stand at a file address with this checksum in it, as in OpenAI's own addresses."""
    place = folder / checksum / "ViT-B-32.pt"
    place.parent.mkdir(parents=True)
    place.write_bytes(archive.read_bytes())
    monkeypatch.setitem(models.OFFICIAL_URLS, "ViT-B/32", place.as_uri())


@pytest.mark.filterwarnings("ignore")
def test_an_official_model_is_fetched_once_and_checked(archive, tmp_path, monkeypatch, random_vit):
    serve(archive, tmp_path / "server", monkeypatch, hashlib.sha256(archive.read_bytes()).hexdigest())
    model, _ = helpers.load("ViT-B/32", device="cpu", download_root=tmp_path / "cache")
    assert torch.allclose(model.text_projection, random_vit.text_projection, atol=1e-3)
    (tmp_path / "server").rename(tmp_path / "gone")
    again, _ = helpers.load("ViT-B/32", device="cpu", download_root=tmp_path / "cache")
    assert torch.equal(model.text_projection, again.text_projection)


def test_a_damaged_download_is_refused(archive, tmp_path, monkeypatch):
    serve(archive, tmp_path / "server", monkeypatch, "0" * 64)
    with pytest.raises(
        ConnectionError, match=r"what came is another file: its SHA-256 does not begin 00000000\).*'tiny'"
    ):
        helpers.load("ViT-B/32", device="cpu", download_root=tmp_path / "cache")


def test_the_clipboard_tool_of_the_same_name_is_recognised(tmp_path):
    (tmp_path / "clip.py").write_text("def copy(text): ...\n")
    result = subprocess.run(
        [sys.executable, "-c", "import helpers"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert "ImportError: the installed package 'clip' is not OpenAI's CLIP" in result.stderr
    assert "pip uninstall clip" in result.stderr


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
    with pytest.raises(ValueError, match="no such precision: 'int8'; use 'float32', 'float16', 'bfloat16'"):
        helpers.load("tiny", precision="int8")


def test_warm_up_encodes_once_before_the_first_batch(monkeypatch):
    calls = []
    for name in ("encode_image", "encode_text"):
        original = getattr(CLIP, name)

        def counted(model, batch, name=name, original=original):
            calls.append(name)
            return original(model, batch)

        monkeypatch.setattr(CLIP, name, counted)
    helpers.load("tiny")
    assert calls == []
    helpers.load("tiny", warm_up=True)
    assert calls == ["encode_image", "encode_text"]


def test_a_model_of_another_context_length_is_warmed_up_too(tmp_path):
    torch.save(CLIP(32, 64, 1, 64, 32, 5, 49408, 64, 1, 1).state_dict(), tmp_path / "short.pt")
    assert helpers.load(tmp_path / "short.pt", warm_up=True)[0].context_length == 5


@pytest.mark.parametrize(("flags", "emulated"), [("fpu avx2 fma", True), ("avx512f avx512_bf16", False)])
def test_bfloat16_on_a_processor_without_it_is_warned_of(flags, emulated, monkeypatch, tmp_path, recwarn):
    (tmp_path / "cpuinfo").write_text(f"model name : AMD EPYC\nflags : {flags}\n")
    monkeypatch.setattr(models, "PROCESSOR", tmp_path / "cpuinfo")
    helpers.load("tiny", device="cpu", precision="float32")
    assert not recwarn
    helpers.load("tiny", device="cpu", precision="bfloat16")
    assert [str(warning.message)[:61] for warning in recwarn] == emulated * [
        "this processor has no bfloat16, so torch emulates it, several"
    ]
