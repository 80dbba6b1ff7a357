"""Which models exist, and how to load one."""

import difflib
import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import clip
import torch
from torch import nn

from helpers._checkpoint import read_state_dict, remember_file
from helpers._clip import CLIP, OFFICIAL_URLS, build_model, clip_preprocess, fetch
from helpers._validation import path_of, printable, reason, shown
from helpers.weights import TINY_PATH, TINY_SHA256, VIT_PATH, VIT_SHA256

PRECISIONS = ("float32", "float16", "bfloat16")
PROCESSOR = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model before it is loaded.

    Attributes:
        name: what `load` takes.
        parameters: millions of parameters, both encoders together.
        embedding_size: ``d``, the length of a feature row.
        resolution: pixels; the image encoder sees a square of this side.
        gflops: billions of multiplications and additions, for one image and one text.
        imagenet_accuracy: zero-shot top-1 on ImageNet in percent; None where nobody measured it.
        download_mib: size of the file in MiB; 0 when it travels with this package.
        sha256: checksum of that file.

    Sources: parameters, sizes and GFLOPs from open_clip's docs/model_profile.csv, accuracy from its
    docs/openclip_results.csv, checksums from the addresses in clip/clip.py. The figures of `tiny` and
    `tiny-vit` are measured by this project (training/README.md).
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
    """List the models that `load` knows by name: `tiny` and `tiny-vit` first, then OpenAI's nine."""
    tiny = ModelInfo("tiny", 13.0, 384, 64, 0.3, None, 0, TINY_SHA256)
    tiny_vit = ModelInfo("tiny-vit", 10.5, 384, 64, 0.6, None, 0, VIT_SHA256)
    official = (ModelInfo(*figures, OFFICIAL_URLS[figures[0]].split("/")[-2]) for figures in _FIGURES)
    return (tiny, tiny_vit, *official)


def load(
    name: str | PathLike = "tiny",
    device: str | torch.device | None = None,
    download_root: str | PathLike | None = None,
    precision: str | None = None,
    warm_up: bool = False,
) -> tuple[CLIP, Callable]:
    """Load a model and its preprocessing: the very pair that `clip.load` gives.

    The file is read as data: its tensors by their names, and nothing else. No code in it is run, be it a pickle's or
    a TorchScript archive's, OpenAI's own included. The checksum of the file travels with the model.

    Args:
        name: a name of `list_models()`, or the path of a checkpoint: a state dict saved with
            `torch.save`, or a TorchScript archive such as OpenAI's files.
        device: "cpu", "cuda", "mps", …; by default "cuda" if there is one, else "cpu".
        download_root: folder of the official files, by default ``~/.cache/clip``.
        precision: "float32", "float16" or "bfloat16", of the numbers that the model multiplies; by default "float16"
            on CUDA, else "float32". "bfloat16" is several times as fast on processors that have it, and moves a
            feature row by less than a cosine of 0.001. On others it is several times slower, and a warning says so.
        warm_up: encode one batch first, so that your own first batch is as fast as the later ones.

    Returns:
        ``(model, preprocess)``. The model is in eval mode. `preprocess` turns a PIL image into a
        ``(3, resolution, resolution)`` float32 tensor.

    Raises:
        ValueError: the name or the precision is unknown, the device does not exist, or the file is no checkpoint, is
            damaged, or holds a number that is not finite.
        ConnectionError: an official model is not on this machine and can't be fetched.
    """
    device = checked_device(device)
    if precision == "bfloat16" and emulates_bfloat16(device):
        warnings.warn(
            "this processor has no bfloat16, so torch emulates it, several times slower than float32 "
            "(measured on AVX2: 18 prompts a second against 146): use precision='float32'",
            stacklevel=2,
        )
    precision = precision or default_precision(device)
    if precision not in PRECISIONS:
        raise ValueError(f"no such precision: {shown(precision)}; use {', '.join(map(repr, PRECISIONS))}")
    name, root = str(name), download_root and path_of("download_root", download_root)
    embedded = {"tiny": (TINY_PATH, TINY_SHA256), "tiny-vit": (VIT_PATH, VIT_SHA256)}
    if name in embedded:
        path, _ = embedded[name]
    elif name in OFFICIAL_URLS:
        path = fetch(name, next(i.download_mib for i in list_models() if i.name == name), root)
    elif _is_file(name):
        path = Path(name)
    else:
        raise ValueError(_unknown_name(name))
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if name in embedded and sha256 != embedded[name][1]:
        raise ValueError(
            f"{path} is damaged: its SHA-256 begins {sha256[:8]}, not {embedded[name][1][:8]}; fetch the file again"
        )
    model = _build(path).to(device).eval()
    _set_precision(model, getattr(torch, precision))
    remember_file(model, sha256)
    if warm_up:
        _warm_up(model, device)
    return model, clip_preprocess(model.visual.input_resolution)


def default_precision(device: torch.device) -> str:
    """Say in which precision `load` reads a model for a device unless it is told otherwise."""
    return "float16" if device.type == "cuda" else "float32"


def emulates_bfloat16(device: torch.device) -> bool:
    """Say whether this is a processor without bfloat16, as Linux lists what it can; False where nothing is listed."""
    if device.type != "cpu" or not PROCESSOR.is_file():
        return False
    return not re.search(r"\b(amx_bf16|avx512_bf16|bf16)\b", PROCESSOR.read_text())


def _set_precision(model: CLIP, precision: torch.dtype) -> None:
    """Convert what `clip.model.convert_weights` converts: all that multiplies, and no normalization."""
    for part in model.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear, nn.MultiheadAttention)):
            part.to(precision)
        for name in ("text_projection", "proj"):
            if isinstance(getattr(part, name, None), nn.Parameter):
                getattr(part, name).data = getattr(part, name).data.to(precision)


def _warm_up(model: CLIP, device: torch.device) -> None:
    """Let torch fetch its kernels and its memory."""
    resolution = model.visual.input_resolution
    tokens = clip.tokenize(["a picture of a cat"] * 16, context_length=model.context_length, truncate=True)
    with torch.inference_mode():
        model.encode_image(torch.zeros(16, 3, resolution, resolution, device=device)).cpu()
        model.encode_text(tokens.to(device)).cpu()


def checked_device(device: str | torch.device | None) -> torch.device:
    """Give the device of that name, by default "cuda" if there is one, else "cpu"; ValueError if there is none."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"no such device: {shown(device)}; use 'cpu', 'cuda' or 'mps'") from error
    try:
        torch.zeros(1, device=found).item()
    except Exception as error:  # of many kinds: torch was built without it, it is not there, it has no numbers
        raise ValueError(f"this machine has no {str(found)!r} device; use device='cpu' ({reason(error)})") from error
    return found


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # such as a name that is too long for a file
        return False


def _unknown_name(name: str) -> str:
    names = [info.name for info in list_models()]
    by_lower = {known.lower(): known for known in names}
    nearest = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.4)
    hint = f"; did you mean {by_lower[nearest[0]]!r}?" if nearest else ""
    return f"no model or file is called {shown(name)}{hint} The names are: {', '.join(names)}"


def _build(path: Path) -> CLIP:
    """Build a model from a file. Not `clip.load`: it runs an archive's code, and fails on a state dict."""
    try:
        state_dict = read_state_dict(path)
        if "visual.proj" in state_dict and "text_projection" not in state_dict:  # an image side that shares our texts
            tiny = torch.load(TINY_PATH, map_location="cpu", weights_only=True)
            state_dict = {k: v for k, v in tiny.items() if not k.startswith("visual.")} | state_dict
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):  # its shapes first, at no cost of memory
            build_model(dict(state_dict))
        model = build_model(dict(state_dict)).float()
        model.load_state_dict(state_dict)  # again: build_model rounded the numbers to 16 bits
    except KeyError as error:
        raise ValueError(f"{printable(path)} holds no CLIP state dict: it lacks {shown(error.args[0])}") from error
    except Exception as error:
        why = "it is empty or ends too early" if isinstance(error, EOFError) else reason(error)
        raise ValueError(f"{printable(path)} is not a readable CLIP checkpoint: {why}") from error
    for name, tensor in model.state_dict().items():
        if not tensor.isfinite().all():
            raise ValueError(f"{printable(path)} is damaged: {name} holds numbers that are not finite")
    return model
