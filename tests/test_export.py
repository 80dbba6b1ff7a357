"""The ONNX files give what the model gives, for any number of images and texts of any length."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from clip.model import CLIP
from torch.torch_version import TorchVersion

import helpers
from helpers import __main__, export
from helpers.tokenizer import tokenize
from tests.conftest import IMAGES

TEXTS = [
    "a cat",
    "x",
    "a drawing of a very small dog that sits beside a big red boat, and looks at the moon",
    "🎉 émigré",
]
FILES = sorted(IMAGES.glob("*.png"))
pytestmark = pytest.mark.skipif(
    TorchVersion(torch.__version__) < export.OLDEST_TORCH, reason="the exporter of this torch is too old"
)


@pytest.fixture(scope="module", params=["tiny", "tiny-vit"])
def exported(request, tmp_path_factory):
    model, preprocess = helpers.load(request.param, "cpu")
    return model, preprocess, helpers.export_onnx(model, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return CLIP(16, 32, 1, 64, 16, 12, 49408, 64, 1, 1).eval()


def run(file, name, values):
    return onnxruntime.InferenceSession(file).run(["features"], {name: np.asarray(values)})[0]


def text_features(model, file, texts, padding=0):
    tokens, lengths = tokenize(model, texts)
    return run(file, "tokens", tokens[:, : int(lengths.max()) + padding].int())


def distances(a, b):
    return 1 - (helpers.normalize(a) * helpers.normalize(b)).sum(axis=1)


def test_texts_are_encoded_as_by_the_model(exported):
    model, _, (_, file) = exported
    expected = helpers.encode_texts(model, TEXTS)
    assert distances(text_features(model, file, TEXTS), expected).max() < 1e-4
    for i, text in enumerate(TEXTS):  # one at a time, each as long as it is, or padded
        assert distances(text_features(model, file, [text]), expected[i : i + 1]).max() < 1e-4
        assert distances(text_features(model, file, [text], padding=20), expected[i : i + 1]).max() < 1e-4


def test_images_are_encoded_as_by_the_model(exported):
    model, preprocess, (file, _) = exported
    pixels = torch.stack([preprocess(helpers.open_image(path)) for path in FILES])
    expected = helpers.encode_images(model, preprocess, FILES)
    assert distances(run(file, "pixels", pixels), expected).max() < 1e-6
    assert distances(run(file, "pixels", pixels[:1]), expected[:1]).max() < 1e-6


def test_the_files_carry_what_a_program_needs(exported):
    model, preprocess, files = exported
    normalization = preprocess.transforms[-1]
    for file in files:
        found = {each.key: json.loads(each.value) for each in onnx.load(file).metadata_props}
        assert found["resolution"] == model.visual.input_resolution
        assert found["context_length"] == model.context_length
        assert found["logit_scale"] == pytest.approx(model.logit_scale.exp().item(), rel=1e-4)
        assert found["mean"] == list(normalization.mean) and found["std"] == list(normalization.std)


def test_the_files_are_less_than_half_as_large(exported):
    model, _, files = exported
    size = 4 * sum(each.numel() for each in model.parameters())
    assert sum(file.stat().st_size for file in files) < size / 2


def test_float32_is_exact(small, tmp_path):
    image, text = helpers.export_onnx(small, tmp_path / "new" / "folder", float32=True)
    assert distances(text_features(small, text, ["a cat"]), helpers.encode_texts(small, ["a cat"])).max() < 1e-6
    with torch.inference_mode():
        pixels = torch.rand(3, 3, 32, 32)
        np.testing.assert_allclose(run(image, "pixels", pixels), small.encode_image(pixels).numpy(), atol=1e-5)
    assert sorted(file.name for file in image.parent.iterdir()) == ["image.onnx", "text.onnx"]


def test_a_weight_too_large_for_float16_stays_in_float32(small, tmp_path):
    with torch.no_grad():
        before = small.text_projection[0, 0].item()
        small.text_projection[0, 0] = 1e6
    _, text = helpers.export_onnx(small, tmp_path)
    found, expected = text_features(small, text, ["a cat"]), helpers.encode_texts(small, ["a cat"])
    with torch.no_grad():
        small.text_projection[0, 0] = before
    assert np.isfinite(found).all() and distances(found, expected).max() < 1e-4


def test_files_of_others_are_not_overwritten_but_its_own_are(small, tmp_path):
    (tmp_path / "text.onnx").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"text\.onnx was not written by this export\. Choose another folder\.$"):
        helpers.export_onnx(small, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["text.onnx"]
    (tmp_path / "text.onnx").unlink()
    first = helpers.export_onnx(small, tmp_path)[1].read_bytes()
    assert helpers.export_onnx(small, tmp_path)[1].read_bytes() == first


def test_a_full_disk_leaves_no_half_file(small, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space"):
        helpers.export_onnx(small, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_models_that_would_be_exported_wrongly_are_refused(small, tmp_path):
    hook = small.transformer.resblocks[0].register_forward_hook(lambda *_: None)
    with pytest.raises(TypeError, match="hooks, LoRA or another mask"):
        helpers.export_onnx(small, tmp_path)
    hook.remove()
    with pytest.raises(ValueError, match=r"got torch\.bfloat16\. Load it with precision='float32'\.$"):
        helpers.export_onnx(helpers.load("tiny", "cpu", precision="bfloat16")[0], tmp_path)
    with pytest.raises(TypeError, match="Pass the model alone"):
        helpers.export_onnx((small, None), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_wrote(tmp_path, capsys, small):
    torch.save(small.state_dict(), tmp_path / "small.pt")
    assert __main__.main(["export", str(tmp_path / "small.pt"), str(tmp_path / "out")]) == 0
    assert [line.split()[1:2] + [line.split("/")[-1]] for line in capsys.readouterr().out.splitlines()] == [
        ["MB", "image.onnx"],
        ["MB", "text.onnx"],
    ]
    assert __main__.main(["export", "tinny", str(tmp_path)]) == 2
    assert "Did you mean 'tiny'?" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_package_is_named_with_the_fix(missing, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None if name == missing else name)
    assert __main__.main(["export", "tiny", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"Writing ONNX files needs {missing}; got none. Run")


def test_an_old_torch_is_named_with_the_fix(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch, "__version__", "2.4.1")
    assert __main__.main(["export", "tiny", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("Expected torch 2.8 or newer, which can export both encoders; got 2.4.1.")
