"""Read and write the tensors of a checkpoint. A file is data: no code in it runs, and it takes memory by its own size.

Both kinds of file are zip archives: what `torch.save` writes since PyTorch 1.6, and what `torch.jit.save` writes. In
each, ``data.pkl`` names the tensors and ``data/0``, ``data/1``, … hold their bytes.
"""

import io
import math
import os
import pickle
import pickletools
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from helpers._validation import printable, reason, shown

# Several times what OpenAI's largest model needs, and little enough for any machine.
MOST_ENTRIES = 10_000  # of an archive
MOST_BYTES = 10_000_000  # that its compressed entries hold together: source text, which is not run
MOST_STEPS = 200_000  # of its pickle
MOST_CLASSES = 10_000  # that its pickle names
MOST_NAMES = 50_000  # of modules and all that hangs on them
MOST_TENSORS = 3_000
LONGEST_NAME = 500  # of a tensor

DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.DoubleStorage": torch.float64,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
}


def read_state_dict(content: bytes) -> dict[str, torch.Tensor]:
    """Read a state dict, or the parameters and buffers of a TorchScript archive, as data.

    Args:
        content: of a file that `torch.save` or `torch.jit.save` wrote.

    Returns:
        The tensors by their names, on the CPU: what ``torch.jit.load(path).state_dict()`` gives for an archive.

    Raises:
        Exception: of many kinds, when it is neither, or takes more memory than its own size.
    """
    if not content:
        raise ValueError("it is empty")
    if not content.startswith(b"PK"):
        raise ValueError("it is not a zip archive, which torch.save has written since PyTorch 1.6")
    if content.count(b"PK\x01\x02") > MOST_ENTRIES:  # before zipfile makes an object of each
        raise ValueError(f"it has more than {MOST_ENTRIES:,} entries")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        _refuse_bombs(archive, len(content))
        names = archive.namelist()
        root = next((name.split("/")[0] for name in names if re.fullmatch("[^/]*/data.pkl", name)), None)
        if root is None:
            raise ValueError("it has no data.pkl, which torch.save writes")
        if f"{root}/byteorder" in names and archive.read(f"{root}/byteorder").decode() != sys.byteorder:
            raise ValueError(f"its values are not {sys.byteorder}-endian, as this processor requires")
        read = _Unpickler(archive, root).load()
        tensors = _tensors(archive, root, read) if f"{root}/constants.pkl" in names else _state_dict(read)
    if len(tensors) > MOST_TENSORS:
        raise ValueError(f"it has more than {MOST_TENSORS:,} tensors")
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > len(content):
        raise ValueError("its tensors are larger than the file, because they share storage")
    return tensors


def write_whole(path: Path, content: dict) -> None:
    """Write a file with `torch.save` so that a kill or a full disk leaves the old one or the new one, whole.

    Raises:
        OSError: it cannot be written. The message names it, and nothing half is left.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException as error:
        new.unlink(missing_ok=True)
        if isinstance(error, (OSError, RuntimeError)):  # torch's writer makes a RuntimeError of a full disk
            cause = next((e for e in (error, error.__context__) if isinstance(e, OSError)), error)
            raise OSError(f"Cannot write {printable(path)}: {reason(cause)}. Free some space there.") from error
        raise


class _Part:
    """Stands in for whatever a pickle names, a module or a function: it keeps its state, and does nothing."""

    origin: str
    state: Any = None

    def __new__(cls, *_: object) -> "_Part":
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Dict(dict):
    """Stands in for an OrderedDict, whose arguments are never used."""

    def __init__(self, *_: object) -> None:
        super().__init__()


class _Unpickler(pickle.Unpickler):
    """Reads ``data.pkl`` of an archive: tensors become tensors, everything else a `_Part`."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        data = archive.read(f"{root}/data.pkl")
        _refuse_odd_pickle(data)
        super().__init__(io.BytesIO(data))
        self._archive, self._root = archive, root
        self._classes: dict[str, type] = {"collections.OrderedDict": _Dict}
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name; nothing is ever imported."""
        origin = f"{module}.{name}"
        if origin == "torch._utils._rebuild_tensor_v2":
            return lambda *arguments: _tensor(*arguments)  # a new one each time, for a pickle may write to it
        if origin == "torch._utils._rebuild_parameter":
            return lambda tensor, *_: tensor
        if len(self._classes) > MOST_CLASSES:
            raise ValueError(f"it names more than {MOST_CLASSES:,} classes")
        if origin not in self._classes:
            self._classes[origin] = type(name, (_Part,), {"origin": origin})
        return self._classes[origin]

    def persistent_load(self, reference: Any) -> torch.Tensor:
        """Read the flat numbers that a tensor is a view of. The zip's checksum of them is compared on the way."""
        _, kind, key, *_ = reference
        if kind.origin not in DTYPES:
            raise ValueError(f"it holds values of an unsupported type, {shown(kind.origin)}")
        if key not in self._storages:
            content, dtype = self._archive.read(f"{self._root}/data/{key}"), DTYPES[kind.origin]
            flat = torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)
            self._storages[key] = flat
        return self._storages[key]


def _refuse_bombs(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse entries that are larger than the file: compressed ones, or many that share one place in it."""
    entries = archive.infolist()
    stored = sum(entry.file_size for entry in entries if entry.compress_type == zipfile.ZIP_STORED)
    compressed = sum(entry.file_size for entry in entries) - stored
    if compressed > MOST_BYTES:
        raise ValueError(f"it holds {compressed:,} compressed bytes")
    if stored > size:
        raise ValueError(f"its entries hold {stored:,} bytes, more than the file")


def _refuse_odd_pickle(data: bytes) -> None:
    """Look at a pickle's steps before they are done: a single one can ask for gigabytes."""
    for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if step > MOST_STEPS:
            raise ValueError(f"its pickle has more than {MOST_STEPS:,} instructions")
        most = MOST_STEPS if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") else sys.maxsize
        if isinstance(argument, int) and abs(argument) > most:
            raise ValueError(f"its pickle has an instruction {opcode.name} {shown(argument)}")


def _tensor(
    flat: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> torch.Tensor:
    if math.prod(size) > len(flat):
        raise ValueError(f"a tensor of shape {shown(size)} needs more than the {len(flat):,} values in the file")
    return flat.as_strided(size, stride, offset)


def _state_dict(read: object) -> dict[str, torch.Tensor]:
    """Take what `torch.save` wrote, if it is a state dict."""
    if not isinstance(read, dict):
        raise ValueError(f"it holds {_kind(read)}, not a state dict; save model.state_dict()")
    for name, tensor in read.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ValueError(f"its {shown(name)} is {_kind(tensor)}, not a tensor; save model.state_dict()")
    return dict(read)


def _kind(value: object) -> str:
    return f"a {value.origin}, whose code is not run" if isinstance(value, _Part) else f"a {type(value).__name__}"


def _tensors(archive: zipfile.ZipFile, root: str, module: Any) -> dict[str, torch.Tensor]:
    """Walk from part to part, and name each parameter and buffer by its way: ``visual.conv1.weight``."""
    found: dict[str, torch.Tensor] = {}
    sources: dict[str, dict[str, set[str]]] = {}
    waiting, seen = [("", module)], 0
    while waiting:
        prefix, part = waiting.pop()
        if not isinstance(part, _Part) or not isinstance(part.state, dict):
            continue
        seen += len(part.state)
        if seen > MOST_NAMES:
            raise ValueError(f"it has more than {MOST_NAMES:,} names")
        file, _, kind = part.origin.rpartition(".")
        if file not in sources:
            sources[file] = _declared(archive, f"{root}/code/{file.replace('.', '/')}.py")
        declared = sources[file].get(kind)
        for name, value in part.state.items():
            if len(prefix) + len(name) > LONGEST_NAME:
                raise ValueError(f"it has a name of more than {LONGEST_NAME} characters")
            if isinstance(value, _Part):
                waiting.append((f"{prefix}{name}.", value))
            elif isinstance(value, torch.Tensor) and (declared is None or name in declared):
                found[f"{prefix}{name}"] = value
    return found


def _declared(archive: zipfile.ZipFile, file: str) -> dict[str, set[str]]:
    """Read in a source file, without running it, which tensors of each class are parameters or buffers."""
    if file not in archive.namelist():
        return {}
    source = archive.read(file).decode()
    classes = re.findall(r"^class (\w+)\(Module\):\n((?:  __\w+__ = \[.*\]\n)*)", source, re.M)
    return {name: set(re.findall(r'"(.*?)"', lists)) for name, lists in classes}
