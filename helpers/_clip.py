"""The one door to OpenAI's `clip`: all names of it that are not its public API pass here."""

from os import PathLike
from pathlib import Path

import clip

if not hasattr(clip, "tokenize"):
    raise ImportError(
        "the installed package 'clip' is not OpenAI's CLIP (PyPI's 'clip' is another project): "
        "run `pip uninstall clip`, then install the one that README.md names"
    )

from clip.clip import _MODELS as OFFICIAL_URLS
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

from helpers._download import download
from helpers._validation import reason

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


def fetch(name: str, mib: int, download_root: str | PathLike | None) -> Path:
    """Give the path of an official file, fetched if it is missing or damaged; its SHA-256 is compared each time.

    Args:
        name: of an official model.
        mib: size of its file in MiB.
        download_root: folder of the official files, by default ``~/.cache/clip``.

    Raises:
        ConnectionError: it is not on this machine and can't be fetched.
        KeyboardInterrupt: a person stopped it; this tells what is kept, too.
    """
    url = OFFICIAL_URLS[name]
    sha256, file = url.split("/")[-2:]
    folder = Path(download_root).expanduser() if download_root else Path.home() / ".cache" / "clip"
    try:
        download(url, folder / file, sha256, mib)
    except (OSError, KeyboardInterrupt) as error:
        part = folder / f"{file}.part"
        size = part.stat().st_size / 2**20 if part.is_file() else 0
        ways = [f"{size:.1f} MiB are kept, and the same call goes on with them"] if size else []
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(*ways) from None
        ways += [f"download {url} elsewhere and put it into {folder}", "use load('tiny'), which needs no network"]
        why = f"{name!r} ({mib} MiB) is not on this machine and could not be fetched ({reason(error)})"
        raise ConnectionError(f"{why}: {'; or '.join(ways)}") from None  # the message says it all
    return folder / file
