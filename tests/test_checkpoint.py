"""An archive is read as data: the tensors that torch would load, and no code of it runs. A model knows its file."""

import copy
import io
import pickle
import zipfile

import clip
import pytest
import torch
from clip.model import CLIP
from torch import nn

import helpers
from helpers._checkpoint import read_state_dict, weights_sha256

SIZES = {
    "ViT": (32, 32, 2, 64, 8, 77, 49408, 64, 1, 2),
    "a deeper ViT with two heads": (16, 48, 3, 128, 16, 77, 500, 128, 2, 1),
    "ResNet": (32, 64, (1, 2, 1, 1), 8, None, 77, 500, 64, 1, 2),
}


def traced(model):
    resolution = model.visual.input_resolution
    return torch.jit.trace(
        model, (torch.zeros(1, 3, resolution, resolution), clip.tokenize("a") % 500), check_trace=False
    )


class Parts(nn.Module):
    """What can hang on a scripted module: shared parts, lists, buffers kept and not kept, and plain tensors."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.same = self.linear
        self.list = nn.ModuleList([nn.Linear(1, 1), nn.BatchNorm1d(1)])
        self.turned = nn.Parameter(torch.randn(4, 3).t())
        self.register_buffer("kept", torch.arange(3))
        self.register_buffer("lost", torch.ones(2, dtype=torch.bool), persistent=False)
        self.plain = torch.zeros(4)
        self.empty = nn.Parameter(torch.empty(0, 3))
        self.words = ["a", "b"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for part in self.list:
            x = part(x)
        return x + self.plain.sum() + len(self.words)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*SIZES, "half", "scripted"])
def test_an_archive_gives_the_tensors_that_torch_would_load(tmp_path, name):
    torch.manual_seed(0)
    model = CLIP(*SIZES.get(name, SIZES["ViT"])).eval()
    module = torch.jit.script(Parts()) if name == "scripted" else traced(model)
    module = module.half() if name == "half" else module
    module.save(tmp_path / "archive.pt")
    expected = torch.jit.load(tmp_path / "archive.pt").state_dict()
    found = read_state_dict(tmp_path / "archive.pt")
    assert found.keys() == expected.keys()
    assert len(found) > 5
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype, key
        assert torch.equal(found[key], tensor), key


class Writer(nn.Module):
    """An archive of this one writes a file as soon as torch opens it."""

    def __init__(self, path: str):
        super().__init__()
        self.path, self.numbers = path, torch.zeros(10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state[0], state[1]
        self.numbers = torch.from_file(state[0], True, 10)


@pytest.mark.filterwarnings("ignore")
def test_an_archive_can_run_no_code(tmp_path):
    torch.jit.script(Writer(str(tmp_path / "written"))).save(tmp_path / "evil.pt")
    (tmp_path / "written").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"evil\.pt holds no CLIP state dict: it lacks 'visual"):
        helpers.load(tmp_path / "evil.pt")
    assert not (tmp_path / "written").exists()
    torch.jit.load(tmp_path / "evil.pt")
    assert (tmp_path / "written").exists()  # the trap works: torch itself falls into it


def archive(path, data, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a/constants.pkl", b"")
        file.writestr("a/data.pkl", data)
    return path


def test_a_pickle_in_an_archive_can_run_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    with pytest.raises(ValueError, match="is not a readable CLIP checkpoint|holds no CLIP state dict"):
        helpers.load(archive(tmp_path / "evil.pt", pickle.dumps(Evil(), protocol=2)))
    assert not (tmp_path / "written").exists()


def parts_in_parts(depth):
    """A module in a module, each under two names: two to the power of ``depth`` ways."""
    data = io.BytesIO()
    pickler = pickle.Pickler(data, protocol=2)
    part = Nothing()
    for _ in range(depth):
        outer = Nothing()
        outer.a = outer.b = part
        part = outer
    pickler.dump(part)
    return data.getvalue()


class Nothing:
    pass


@pytest.mark.parametrize(
    ("data", "compression", "message"),
    [
        (parts_in_parts(60), zipfile.ZIP_STORED, "it has more than 100,000 names"),
        (bytes(20_000_000), zipfile.ZIP_DEFLATED, "it holds 20,000,000 compressed bytes"),
    ],
)
def test_a_bomb_is_refused(tmp_path, data, compression, message):
    with pytest.raises(ValueError, match=rf"bomb\.pt is not a readable CLIP checkpoint: {message}"):
        helpers.load(archive(tmp_path / "bomb.pt", data, compression))


def test_a_model_is_known_by_its_file_until_it_is_changed(tiny):
    model, _ = tiny
    known = helpers.list_models()[0].sha256
    assert weights_sha256(model) == known
    copied = copy.deepcopy(model)
    own = weights_sha256(copied)
    assert own != known
    assert weights_sha256(copied) == own
    changes = [
        lambda part: part.text_projection.mul_(2),
        lambda part: setattr(part.text_projection, "data", part.text_projection.data + 1),
        lambda part: part.load_state_dict({**part.state_dict(), "logit_scale": torch.tensor(3.0)}),
        lambda part: setattr(part, "ln_final", nn.LayerNorm(128)),
    ]
    met = {known, own}
    for change in changes:
        changed, _ = helpers.load("tiny", device="cpu")
        with torch.no_grad():
            change(changed)
        met.add(weights_sha256(changed))
    assert len(met) == 2 + len(changes)
