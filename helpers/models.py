"""List the models, and load one."""

import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from torch import nn

from helpers._checkpoint import read_state_dict
from helpers._clip import CLIP, OFFICIAL_URLS, build_model, clip_preprocess, tokenizer
from helpers._download import official_file
from helpers._open_clip import OpenClip
from helpers._open_clip_hub import PREFIX, load_open_clip
from helpers._validation import did_you_mean, path_of, printable, reason, shown
from helpers.weights import TINY_PATH, TINY_SHA256, VIT_PATH, VIT_SHA256

PRECISIONS = ("float32", "float16", "bfloat16")
PROCESSOR = Path("/proc/cpuinfo")
FEWEST_TOKENS, MOST_TOKENS = 3, 4096  # of a text: start, one more and end; attention grows with the square
INTEGERS = ("num_batches_tracked", "input_resolution", "context_length", "vocab_size")  # all else are weights


@dataclass(frozen=True)
class ModelInfo:
    """What is known about a model before it is loaded.

    Attributes:
        name: the name that `load` takes.
        parameters: millions of parameters, both encoders together.
        embedding_size: ``d``, the dimension of an embedding.
        resolution: side of the square that the image encoder sees, in pixels.
        gflops: billions of multiplications and additions, for one image and one text.
        imagenet_accuracy: zero-shot top-1 accuracy on ImageNet in percent; None if nobody has measured it.
        download_mib: size of the file in MiB; 0 for the bundled models.
        sha256: checksum of that file.

    Sources: parameters, sizes and GFLOPs from open_clip's docs/model_profile.csv, accuracy from its
    docs/openclip_results.csv, checksums from the addresses in clip/clip.py. The figures of `tiny` and
    `tiny-vit` were measured by this project (training/README.md).
    """

    name: str
    parameters: float
    embedding_size: int
    resolution: int
    gflops: float
    imagenet_accuracy: float | None
    download_mib: int
    sha256: str


_FIGURES = (
    ("RN50", 102.0, 1024, 224, 18.2, 59.8, 244),
    ("RN101", 119.7, 512, 224, 25.5, 62.3, 278),
    ("RN50x4", 178.3, 640, 288, 51.8, 66.3, 402),
    ("RN50x16", 291.0, 768, 384, 162.7, 70.7, 630),
    ("RN50x64", 623.3, 1024, 448, 552.7, 73.9, 1290),
    ("ViT-B/32", 151.3, 512, 224, 14.8, 63.3, 338),
    ("ViT-B/16", 149.6, 512, 224, 41.1, 68.3, 335),
    ("ViT-L/14", 427.6, 768, 224, 175.3, 75.5, 890),
    ("ViT-L/14@336px", 427.9, 768, 336, 395.2, 76.6, 891),
)


def list_models() -> tuple[ModelInfo, ...]:
    """List the models that `load` knows by name: the bundled `tiny` and `tiny-vit` first, then OpenAI's nine."""
    tiny = ModelInfo("tiny", 13.0, 384, 64, 0.3, None, 0, TINY_SHA256)
    tiny_vit = ModelInfo("tiny-vit", 10.5, 384, 64, 0.6, None, 0, VIT_SHA256)
    official = (ModelInfo(*figures, OFFICIAL_URLS[figures[0]].split("/")[-2]) for figures in _FIGURES)
    return (tiny, tiny_vit, *official)


def load(
    name: str | PathLike = "tiny",
    device: str | torch.device | None = None,
    download_root: str | PathLike | None = None,
    precision: str | None = None,
    weights: str | PathLike | None = None,
) -> tuple[CLIP | OpenClip, Callable]:
    """Load a model and its preprocessing: the same pair that `clip.load` returns.

    The file is read as data: its tensors by name, and nothing else. No code in it is run, neither from a pickle nor
    from a TorchScript archive, not even OpenAI's own. The SHA-256 of a bundled or official file is checked against
    `list_models()`.

    Args:
        name: a name of `list_models()`, or the path of a checkpoint: a state dict saved with
            `torch.save`, or a TorchScript archive such as OpenAI's files. A checkpoint is read as OpenAI's, with
            QuickGELU and attention heads of width 64, because the file records neither. For any other model, use the
            name of open_clip: "open_clip:ARCHITECTURE/TAG", such as "open_clip:ViT-B-16-SigLIP2/webli", or
            "open_clip:local-dir:FOLDER", or "open_clip:hf-hub:OWNER/NAME". That needs ``pip install open_clip_torch``,
            and downloads the files the first time. The model comes with its own tokenizer, preprocessing,
            ``context_length``, ``logit_scale`` and ``logit_bias``; it has the calls of a CLIP model, and
            `encode_images`, `encode_texts` and what is built on them take it. `fine_tune` and `patch_similarity` do
            not.
        device: "cpu", "cuda", "mps", …; by default "cuda" if there is one, else "cpu".
        download_root: folder for downloaded files, by default ``~/.cache/clip``, or the cache of the Hugging Face hub
            for a model of open_clip.
        precision: type of the weights in matrix products and convolutions, "float32", "float16" or "bfloat16"; by
            default "float16" on CUDA, else "float32". "bfloat16" is several times as fast on CPUs that support it,
            and moves an embedding by less than 0.001 in cosine distance; on other CPUs it is several times slower,
            and a warning says so. "auto" is "bfloat16" on a CPU that supports it (AVX512_BF16, AMX_BF16, or ARM's
            BF16, as Linux lists them), else the default.
        weights: a file to read the weights of a model of open_clip from, instead of downloading them. Its tag still
            says how the weights were trained.

    Returns:
        ``(model, preprocess)``. The model is in eval mode. `preprocess` turns a PIL image into a
        ``(3, resolution, resolution)`` float32 tensor.

    Raises:
        ValueError: the name or the precision is unknown, the device does not exist, or the file is not a CLIP
            checkpoint, is damaged, or holds weights that are not finite in this precision.
        ConnectionError: the files of a model are not on this machine and cannot be downloaded.
        ModuleNotFoundError: a model of open_clip needs a package that is not installed.
        OSError: the file cannot be read.
    """
    device = checked_device(device)
    dtype = _dtype(precision, device)
    root = None if download_root is None else path_of("download_root", download_root)
    if str(name).startswith(PREFIX):
        path_or_none = None if weights is None else path_of("weights", weights)
        other, preprocess = load_open_clip(str(name), path_or_none, device, dtype, root)
        try:
            _refuse_odd_weights(other)
        except ValueError as error:
            raise ValueError(f"Cannot load {shown(str(name))}: {error}.") from error
        return other, preprocess
    if weights is not None:
        raise ValueError(f"Expected weights only with a model of open_clip; got {shown(name)}. Pass the path as name.")
    path, content = _file(str(name), root)
    try:
        state_dict = read_state_dict(content)
        del content  # so that the weights are not held a third time
        model = _build(state_dict)
        _set_precision(model, dtype)
        _refuse_odd_weights(model)
    except KeyError as error:
        raise ValueError(f"{_cannot_read(path)}: it lacks {shown(error.args[0])}.") from error
    except Exception as error:  # a damaged file makes zipfile, pickle and torch raise nearly anything
        raise ValueError(f"{_cannot_read(path)}: {reason(error).removesuffix('.')}.") from error
    return model.to(device).eval(), clip_preprocess(model.visual.input_resolution)


def default_precision(device: torch.device) -> str:
    """Return the precision in which `load` reads a model for a device by default."""
    return "float16" if device.type == "cuda" else "float32"


def emulates_bfloat16(device: torch.device) -> bool:
    """Return whether this is a CPU without bfloat16, as Linux lists what it has; False where nothing is listed."""
    return device.type == "cpu" and PROCESSOR.is_file() and not _lists_bfloat16()


def _lists_bfloat16() -> bool:
    return PROCESSOR.is_file() and bool(re.search(r"\b(amx_bf16|avx512_bf16|bf16)\b", PROCESSOR.read_text()))


def _dtype(precision: str | None, device: torch.device) -> torch.dtype:
    """Return the dtype that a precision stands for on a device."""
    if precision == "bfloat16" and emulates_bfloat16(device):
        warnings.warn(
            "This CPU has no bfloat16, so PyTorch emulates it, several times slower than float32 "
            "(measured on AVX2: 18 prompts per second instead of 146). Use precision='auto'.",
            stacklevel=3,
        )
    if precision == "auto" and device.type == "cpu" and _lists_bfloat16():
        precision = "bfloat16"
    if precision is None or precision == "auto":
        precision = default_precision(device)
    if precision not in PRECISIONS:
        choice = ", ".join(map(repr, PRECISIONS))
        raise ValueError(f"Expected precision {choice} or 'auto'; got {shown(precision)}.")
    return getattr(torch, precision)


def checked_device(device: str | torch.device | None) -> torch.device:
    """Return the device of that name, by default "cuda" if there is one, else "cpu"; ValueError if there is none."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"Expected device 'cpu', 'cuda' or 'mps'; got {shown(device)}.") from error
    try:
        torch.zeros(1, device=found).item()
    except Exception as error:  # of many kinds: torch was built without it, it is not there, it has no numbers
        raise ValueError(
            f"Expected a device that this machine has; got {str(found)!r} ({reason(error)}). Use device='cpu'."
        ) from error
    return found


def _file(name: str, download_root: Path | None) -> tuple[Path, bytes]:
    """Return where a model's file is, and its content, whose SHA-256 is right if one is known."""
    bundled = {"tiny": (TINY_PATH, TINY_SHA256), "tiny-vit": (VIT_PATH, VIT_SHA256)}
    if name in bundled:
        path, sha256 = bundled[name]
        content = path.read_bytes()
        if (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise ValueError(
                f"Expected {path} with SHA-256 {sha256[:8]}…; got {found[:8]}…: it is damaged. Reinstall this package."
            )
        return path, content
    if name in OFFICIAL_URLS:
        return official_file(name, next(i.download_mib for i in list_models() if i.name == name), download_root)
    path = Path(name)
    if not _is_file(path):
        raise ValueError(_unknown_name(name))
    with path.open("rb") as file:
        start = file.read(2)
        return path, start + (file.read() if start == b"PK" else b"")  # anything else is refused, and not read


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # such as a name that is too long for a file, or has a NUL
        return False


def _unknown_name(name: str) -> str:
    names = [info.name for info in list_models()]
    return (
        f"Expected the name of a model or a checkpoint file; got {shown(name)}.{did_you_mean(name, names)} "
        f"The names are {', '.join(names)}."
    )


def _cannot_read(path: Path) -> str:
    return f"Cannot read {printable(path)} as a CLIP checkpoint"


def _build(state_dict: dict[str, torch.Tensor]) -> CLIP:
    """Build a float32 model of these tensors, which are taken out of the dictionary one by one to save memory."""
    if "visual.proj" in state_dict and "text_projection" not in state_dict:  # an image encoder that shares our texts
        tiny = read_state_dict(TINY_PATH.read_bytes())
        state_dict |= {name: tensor for name, tensor in tiny.items() if not name.startswith("visual.")}
    for name, tensor in state_dict.items():
        if not tensor.is_floating_point() and name.rpartition(".")[2] not in INTEGERS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ValueError(f"its {shown(name)} has type {kind}, not floating point")
    with torch.device("meta"):  # its shapes, at no cost of memory or time
        model = build_model({name: tensor.to("meta") for name, tensor in state_dict.items()})
    if not FEWEST_TOKENS <= model.context_length <= MOST_TOKENS:
        raise ValueError(
            f"its context length is {model.context_length:,} tokens, not {FEWEST_TOKENS} to {MOST_TOKENS:,}"
        )
    if model.vocab_size < len(tokenizer.encoder):  # the end token is the last
        raise ValueError(
            f"its vocabulary has {model.vocab_size:,} tokens, fewer than CLIP's {len(tokenizer.encoder):,}"
        )
    weights = {}
    for name in [name for name in state_dict if name not in INTEGERS]:
        tensor = state_dict.pop(name)
        dtype = torch.float32 if tensor.is_floating_point() else torch.int64
        weights[name] = tensor.to(dtype, copy=True, memory_format=torch.contiguous_format)
        if tensor.dtype == torch.float64 and tensor.any() and not weights[name].any():
            raise ValueError(f"its {shown(name)} holds values that are too small for float32")
    model.load_state_dict(weights, assign=True)
    mask = model.build_attention_mask()  # the one tensor of a CLIP that is in no state dict
    for block in model.transformer.resblocks:
        block.attn_mask = mask
    return model


def _set_precision(model: CLIP, precision: torch.dtype) -> None:
    """Convert what `clip.model.convert_weights` converts: all that multiplies, and no normalization."""
    for part in model.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear, nn.MultiheadAttention)):
            part.to(precision)
        for name in ("text_projection", "proj"):
            if isinstance(getattr(part, name, None), nn.Parameter):
                getattr(part, name).data = getattr(part, name).data.to(precision)


def _refuse_odd_weights(model: nn.Module) -> None:
    """Refuse weights that would produce embeddings of NaN."""
    for name, tensor in model.state_dict().items():
        if not tensor.numel():
            continue
        least, most = tensor.aminmax()  # NaN if one value is
        if not (least.isfinite() and most.isfinite()):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ValueError(f"its {name} holds values that are not finite in {kind}")
        if name.endswith("running_var") and least < 0:
            raise ValueError(f"its {name} holds a negative variance")
