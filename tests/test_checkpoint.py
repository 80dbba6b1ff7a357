"""A file is read as data: the tensors that torch would load, no code of it runs, and it takes little memory."""

import io
import os
import pickle
import subprocess
import sys
import zipfile

import clip
import pytest
import torch
from clip.model import CLIP
from torch import nn

import helpers
from helpers._checkpoint import read_state_dict, write_whole
from tests.conftest import ROOT

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
    found = read_state_dict((tmp_path / "archive.pt").read_bytes())
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
    with pytest.raises(ValueError, match=r"evil\.pt as a CLIP checkpoint: it lacks 'visual"):
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

    with pytest.raises(ValueError, match="Cannot read .* as a CLIP checkpoint"):
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


def chain_of_parts(depth):
    """A module in a module in a module: names of as many letters in all as the square of the depth."""
    part = b"ca\nb\n)\x81}X\x01\x00\x00\x00n"
    return b"\x80\x02" + part * depth + b"N" + b"sb" * depth + b"."


MEMO_OF_GIGABYTES = b"\x80\x02}r" + (1 << 27).to_bytes(4, "little") + b"."


@pytest.mark.parametrize(
    ("data", "compression", "message"),
    [
        (parts_in_parts(60), zipfile.ZIP_STORED, "it has more than 50,000 names"),
        (chain_of_parts(1000), zipfile.ZIP_STORED, "it has a name of more than 500 characters"),
        (bytes(20_000_000), zipfile.ZIP_DEFLATED, "it holds 20,000,000 compressed bytes"),
        (MEMO_OF_GIGABYTES, zipfile.ZIP_STORED, "its pickle has an instruction LONG_BINPUT 134217728"),
        (b"\x80\x02" + b"]" * 300_000 + b".", zipfile.ZIP_STORED, "its pickle has more than 200,000 instructions"),
    ],
    ids=["two to the power", "deep", "compressed", "memo", "steps"],
)
def test_a_bomb_is_refused(tmp_path, data, compression, message):
    with pytest.raises(ValueError, match=rf"Cannot read .*bomb\.pt as a CLIP checkpoint: {message}"):
        helpers.load(archive(tmp_path / "bomb.pt", data, compression))


def test_many_entries_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "many.pt", "w") as file:
        for i in range(10_001):
            file.writestr(f"a/data/{i}", b"")
    with pytest.raises(ValueError, match=r"many\.pt as a CLIP checkpoint: it has more than 10,000 entries\."):
        helpers.load(tmp_path / "many.pt")


def test_a_file_of_the_other_byte_order_is_refused(tmp_path):
    path = archive(tmp_path / "big.pt", pickle.dumps({}, protocol=2))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("a/byteorder", "big" if sys.byteorder == "little" else "little")
    with pytest.raises(ValueError, match="its values are not .*-endian"):
        helpers.load(path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "state.pt"
    write_whole(path, {"a": torch.ones(3)})
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        write_whole(path, {"a": torch.zeros(3), "b": Stops()})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["state.pt"]


class Stops:
    """Stands for a kill in the middle of writing."""

    def __reduce__(self):
        raise ZeroDivisionError


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a file's size is that of Linux")
def test_a_full_disk_is_named_with_the_path(tmp_path):
    code = (
        "import resource, sys, pathlib, torch; from helpers._checkpoint import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_whole(pathlib.Path(sys.argv[1]), {'a': torch.ones(10**6)})\n"
        "except OSError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "state.pt")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert result.stdout == f"Cannot write {tmp_path / 'state.pt'}: File too large. Free some space there.\n"
    assert list(tmp_path.iterdir()) == []
