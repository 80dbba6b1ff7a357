"""Load a model of open_clip: its architecture, the weights of a tag or of a file, its preprocessing, its tokenizer.

open_clip is an extra (``pip install open_clip_torch``) and takes two seconds to import, so that is done when a model
of it is loaded.
"""

import logging
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.error import URLError
from urllib.parse import urlsplit

import torch

from helpers._open_clip import OpenClip
from helpers._validation import did_you_mean, printable, reason, shown

PREFIX = "open_clip:"
ELSEWHERE = ("local-dir:", "hf-hub:")  # open_clip's own names of a folder, or a repository, with weights and tokenizer
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
SECONDS_TO_ANSWER = 1.0
ONE_AT_A_TIME = threading.RLock()  # two loads that end crosswise would leave the process offline, and silent
PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}

Made = TypeVar("Made")


class _Name(NamedTuple):
    """What a name such as "open_clip:ViT-B-16/openai" says: open_clip's own name of the model, and the tag."""

    whole: str
    model: str
    tag: str | None

    @property
    def is_elsewhere(self) -> bool:
        return self.model.startswith(ELSEWHERE)


def load_open_clip(
    name: str, weights: Path | None, device: torch.device, dtype: torch.dtype, cache: Path | None
) -> tuple[OpenClip, Callable]:
    """Load a model of open_clip, as `load` describes it."""
    try:
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2
    except ModuleNotFoundError as error:
        raise _not_installed(name, error, "open_clip_torch") from error
    wanted = _parse(name)
    try:
        options = _options(wanted, weights)
        folder = None if cache is None else str(cache)
        tokenizer = _fetched(wanted, lambda: open_clip.get_tokenizer(wanted.model, cache_dir=folder))
        config = open_clip.get_model_config(wanted.model)
        pure = "pure_" if "multimodal_cfg" in config and dtype != torch.float32 else ""  # CoCa knows no other way

        def make() -> Any:
            return open_clip.create_model(
                wanted.model,
                precision=pure + PRECISIONS[dtype],
                device=device,
                cache_dir=folder,
                require_pretrained=True,
                **options,
            )

        model = _fetched(wanted, make)
    except ModuleNotFoundError as error:
        raise _not_installed(name, error, str(error.name)) from error
    except (ConnectionError, _UnknownNameError):
        raise
    except Exception as error:  # a damaged file, or a configuration, makes torch and open_clip raise nearly anything
        raise ValueError(f"Cannot load {shown(name)}: {reason(error).removesuffix('.')}.") from error
    size = model.visual.preprocess_cfg["size"]
    height, width = (size, size) if isinstance(size, int) else size
    model.visual.input_resolution = height if height == width else (height, width)
    preprocess = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    return OpenClip(model, tokenizer, wanted.whole, config["embed_dim"], dtype).eval(), preprocess


class _UnknownNameError(ValueError):
    """No such architecture or tag, or one is missing."""


def _parse(name: str) -> _Name:
    rest = name.removeprefix(PREFIX)
    if rest.startswith(ELSEWHERE):
        return _Name(name, rest, None)
    architecture, _, tag = rest.partition("/")
    return _Name(name, architecture, tag or None)


def _options(wanted: _Name, weights: Path | None) -> dict[str, Any]:
    """Return what `create_model` must be told, because open_clip forgets it: each tag's activation and preprocessing.

    Raises:
        _UnknownNameError: no such architecture or tag, or none is given where it matters.
    """
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    if wanted.is_elsewhere:
        if weights is not None:
            raise _UnknownNameError(
                f"Expected no weights beside {shown(wanted.whole)}, which has its own. Leave them out."
            )
        return {}
    architectures = open_clip.list_models()
    if wanted.model not in architectures:
        raise _UnknownNameError(
            f"Expected an architecture that open_clip knows; got {shown(wanted.model)}."
            f"{did_you_mean(wanted.model, architectures)} open_clip.list_models() lists them."
        )
    tags = open_clip.list_pretrained_tags_by_model(wanted.model)
    if wanted.tag is not None and not get_pretrained_cfg(wanted.model, wanted.tag):
        raise _UnknownNameError(
            f"Expected a tag of {wanted.model}; got {shown(wanted.tag)}. Its tags are {', '.join(tags)}."
        )
    if wanted.tag is None and weights is None:
        choice = f"{PREFIX}{wanted.model}/{tags[0]}" if tags else f"load({wanted.whole!r}, weights=PATH)"
        raise _UnknownNameError(
            f"Expected a tag, which names the weights, or weights=PATH; got {shown(wanted.whole)}. Use {choice}."
        )
    made = [_made_with(get_pretrained_cfg(wanted.model, tag)) for tag in ([wanted.tag] if wanted.tag else tags)]
    if any(one != made[0] for one in made):
        raise _UnknownNameError(
            f"Expected a tag beside weights=PATH, because the weights of {wanted.model} differ in their activation or "
            f"preprocessing; got none. Use {PREFIX}{wanted.model}/TAG with one of {', '.join(tags)}."
        )
    source = wanted.tag if weights is None else str(weights)
    return {"pretrained": source, **(made[0] if made else {})}


def _made_with(tag: dict[str, Any]) -> dict[str, Any]:
    """Return the activation and the preprocessing that the weights of a tag were trained with."""
    return {
        "force_quick_gelu": bool(tag.get("quick_gelu")),
        "force_preprocess_cfg": {key: tag[key] for key in PREPROCESSING if tag.get(key) is not None},
    }


def _fetched(wanted: _Name, make: Callable[[], Made]) -> Made:
    """Make what may need files of the Hugging Face hub: from this machine if they are here, else from the hub.

    Raises:
        ConnectionError: they are not here, and the hub does not answer.
    """
    try:
        with _offline():
            return make()
    except (OSError, RuntimeError) as error:
        if not _is_missing(error):
            raise
        if not _hub_answers():
            raise ConnectionError(
                f"Cannot load {printable(wanted.whole)}: one of its files is not on this machine, and the Hugging Face "
                "hub does not answer. Load it once with a network, or from a folder: open_clip:local-dir:FOLDER."
            ) from error
    return make()


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the hub's library from asking the network, which takes it up to a minute where there is none.

    open_clip logs a missing file as an error, although the hub has not been asked yet.
    """
    from huggingface_hub import constants

    with ONE_AT_A_TIME:
        before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
        least = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before
            logging.disable(least)


def _is_missing(error: BaseException | None) -> bool:
    """Return whether this is an error of the hub, or was caused by one."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    if error is None:
        return False
    hub = (LocalEntryNotFoundError, OfflineModeIsEnabled, URLError)
    return isinstance(error, hub) or _is_missing(error.__cause__ or error.__context__)


def _hub_answers() -> bool:
    """Return within a second or so whether the Hugging Face hub can be reached; True behind a proxy."""
    from huggingface_hub import constants

    if urllib.request.getproxies():
        return True
    address, answered = urlsplit(constants.ENDPOINT), threading.Event()

    def knock() -> None:
        port = address.port or (80 if address.scheme == "http" else 443)
        try:
            socket.create_connection((str(address.hostname), port), SECONDS_TO_ANSWER).close()
        except OSError:
            return
        answered.set()

    asking = threading.Thread(target=knock, daemon=True)  # because a name server may take longer than any timeout
    asking.start()
    asking.join(SECONDS_TO_ANSWER)
    return answered.is_set()


def _not_installed(name: str, error: ModuleNotFoundError, package: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"{shown(name)} needs the package {error.name}, which is not installed. Run `pip install {package}`.",
        name=error.name,
    )
