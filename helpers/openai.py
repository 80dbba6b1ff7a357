"""The one door to OpenAI's `clip`: all names of it that are not its public API pass here."""

import urllib.request
from os import PathLike
from pathlib import Path

import clip

if not hasattr(clip, "tokenize"):
    raise ImportError(
        "the installed package 'clip' is not OpenAI's CLIP (PyPI's 'clip' is another project): "
        "run `pip uninstall clip`, then install the one that README.md names"
    )

from clip.clip import _MODELS as OFFICIAL_URLS
from clip.clip import _download
from clip.clip import _tokenizer as tokenizer
from clip.clip import _transform as clip_preprocess
from clip.model import (
    CLIP,
    AttentionPool2d,
    QuickGELU,
    ResidualAttentionBlock,
    Transformer,
    VisionTransformer,
    build_model,
)

__all__ = [
    "CLIP",
    "OFFICIAL_URLS",
    "AttentionPool2d",
    "QuickGELU",
    "ResidualAttentionBlock",
    "Transformer",
    "VisionTransformer",
    "build_model",
    "clip_preprocess",
    "fetch",
    "tokenizer",
]

REACH_TIMEOUT_SECONDS = 10


def fetch(name: str, mib: int, download_root: str | PathLike | None) -> Path:
    """Give the path of an official file, fetched if it is missing; clip checks its SHA-256 each time.

    Args:
        name: of an official model.
        mib: size of its file in MiB.
        download_root: folder of the official files, by default ``~/.cache/clip``.

    Raises:
        ConnectionError: it is not on this machine and can't be fetched, or it came damaged.
    """
    url = OFFICIAL_URLS[name]
    folder = Path(download_root).expanduser() if download_root else Path.home() / ".cache" / "clip"
    try:
        if not (folder / url.split("/")[-1]).is_file():
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=REACH_TIMEOUT_SECONDS).close()
        return Path(_download(url, str(folder)))
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise ConnectionError(
            f"{name!r} ({mib} MiB) is not on this machine and could not be fetched ({reason}): "
            f"download {url} elsewhere and put it into {folder}, "
            "or use load('tiny'), which needs no network"
        ) from None  # the message says it all
    except RuntimeError as error:
        raise ConnectionError(
            f"the download of {name!r} is damaged ({error}): delete it from {folder} and load again, "
            "or use load('tiny'), which needs no network"
        ) from None  # the message says it all
