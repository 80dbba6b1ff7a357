"""Read and write the tensors of a checkpoint. A file that is only opened never acts: no code in it is run."""

import hashlib
import io
import math
import os
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from helpers._clip import CLIP
from helpers._validation import shown

MOST_NAMES = 100_000  # in an archive; a CLIP has some thousand
MOST_BYTES = 10_000_000  # that compressed entries hold together
STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.DoubleStorage": torch.float64,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.BoolStorage": torch.bool,
}


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict, or the parameters and buffers of a TorchScript archive, as data.

    Args:
        path: a state dict saved with `torch.save`, or an archive saved with `torch.jit.save`.

    Returns:
        The tensors by their names, on the CPU: what ``torch.jit.load(path).state_dict()`` gives for an archive.

    Raises:
        Exception: of many kinds, when the file is neither.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            refuse_damage(archive)
            names = [name for name in archive.namelist() if name.endswith("/constants.pkl")]
            if names:
                return _tensors(archive, names[0].removesuffix("/constants.pkl"))
    try:
        with warnings.catch_warnings(action="ignore"):  # of what it can't read it also warns
            state_dict = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its message advises to run the code
        raise ValueError("it holds more than tensors, and no code in it is run: save model.state_dict()") from error
    if not isinstance(state_dict, dict):
        raise ValueError(f"it holds a {type(state_dict).__name__}, and no state dict")
    for name, tensor in state_dict.items():
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"its {shown(name)} is {shown(tensor)}, and no tensor")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"its {shown(name)} of {tuple(tensor.shape)} is larger than the file")
    return state_dict


def write_whole(path: Path, content: dict) -> None:
    """Write a file so that a kill leaves the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def remember_file(model: CLIP, sha256: str) -> None:
    """Let a model carry the checksum of the file that it was read from."""
    model.read_from = (sha256, _state(model))


def weights_sha256(model: CLIP) -> str:
    """Tell a model's weights from any others.

    Args:
        model: from `load`, `clip.load` or your own hands.

    Returns:
        The SHA-256 of the file, if `load` read the model and nothing was changed since; else that of its state dict:
        the names, kinds, shapes and bytes of its tensors. A change by way of a tensor's ``.data`` is not noticed.
    """
    sha256, state = getattr(model, "read_from", ("", None))
    if state == _state(model):
        return sha256
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _state(model: CLIP) -> list[tuple[str, int, int]]:
    """List for each tensor its place in memory, and how often it was written to."""
    tensors = model.state_dict().items()
    return [(name, tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for name, tensor in tensors]


class _Part:
    """Stands in for whatever an archive names, a module or a function: it keeps its state, and does nothing."""

    origin: str
    state: Any = None

    def __new__(cls, *_: object) -> "_Part":
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Reads ``data.pkl`` of an archive: tensors become tensors, everything else a `_Part`."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive, self._root = archive, root
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in for a name; nothing is ever imported."""
        origin = f"{module}.{name}"
        return _tensor if origin == "torch._utils._rebuild_tensor_v2" else type(name, (_Part,), {"origin": origin})

    def persistent_load(self, reference: Any) -> torch.Tensor:
        """Read the flat numbers that a tensor is a view of."""
        _, kind, key, *_ = reference
        if key not in self._storages:
            content = self._archive.read(f"{self._root}/data/{key}")
            dtype = STORAGES[kind.origin]
            flat = torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)
            self._storages[key] = flat
        return self._storages[key]


def refuse_damage(archive: zipfile.ZipFile) -> None:
    """Compare every entry with its checksum. Only source text is compressed; more could be a thousand times as long."""
    compressed = sum(entry.file_size for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED)
    if compressed > MOST_BYTES:
        raise ValueError(f"it holds {compressed:,} compressed bytes")
    if damaged := archive.testzip():
        raise ValueError(f"its entry {shown(damaged)} is damaged")


def _tensor(
    flat: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> torch.Tensor:
    if math.prod(size) > len(flat):
        raise ValueError(f"a tensor of {size} has {len(flat)} numbers")
    return flat.as_strided(size, stride, offset)


def _tensors(archive: zipfile.ZipFile, root: str) -> dict[str, torch.Tensor]:
    """Walk from part to part, and name each parameter and buffer by its way: ``visual.conv1.weight``."""
    found: dict[str, torch.Tensor] = {}
    waiting, seen = [("", _Unpickler(archive, root).load())], 0
    while waiting:
        prefix, part = waiting.pop()
        if not isinstance(part.state, dict):
            continue
        seen += len(part.state)
        if seen > MOST_NAMES:
            raise ValueError(f"it has more than {MOST_NAMES:,} names")
        declared = _declared(archive, root, part.origin)
        for name, value in part.state.items():
            if isinstance(value, _Part):
                waiting.append((f"{prefix}{name}.", value))
            elif isinstance(value, torch.Tensor) and (declared is None or name in declared):
                found[prefix + name] = value
    return found


def _declared(archive: zipfile.ZipFile, root: str, origin: str) -> set[str] | None:
    """Read in a class's source, without running it, which tensors are parameters or buffers; None without a source."""
    module, name = origin.rsplit(".", 1)
    file = f"{root}/code/{module.replace('.', '/')}.py"
    if file not in archive.namelist():
        return None
    source = archive.read(file).decode()
    lists = re.search(rf"^class {re.escape(name)}\(Module\):\n((?:  __\w+__ = \[.*\]\n)*)", source, re.M)
    return set(re.findall(r'"(.*?)"', lists[1])) if lists else None
