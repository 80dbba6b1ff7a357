"""Say what this machine has for the models: the files that it holds, and room and a way to the others."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from helpers.installation import Verdict
from helpers.requirements import command
from helpers.weights import TINY_PATH, TINY_SHA256

HASH_SECONDS = 4  # all nine official files together are 5 GB
REACH_SECONDS = 3


def cache_folder() -> Path:
    """Tell where clip keeps the official files."""
    return Path.home() / ".cache" / "clip"


def tiny() -> Verdict:
    """Compare the embedded model with its checksum."""
    mend = f"git -C {TINY_PATH.parent} checkout -- {TINY_PATH.name}"
    if not TINY_PATH.is_file():
        return Verdict("tiny", "wrong", f"{TINY_PATH} is missing; fetch it again", mend)
    found = _sha256(TINY_PATH) or ""
    if found != TINY_SHA256:
        size = TINY_PATH.stat().st_size
        text = f"{TINY_PATH} is damaged, {size:,} bytes with a SHA-256 that begins {found[:8]}, not {TINY_SHA256[:8]}"
        return Verdict("tiny", "wrong", text, mend)
    return Verdict("tiny", "fine", f"SHA-256 begins {TINY_SHA256[:8]}, as it must")


def official(models: list[tuple[str, int, str]]) -> list[Verdict]:
    """Compare the official files that are here with their checksums, the small ones first.

    Args:
        models: of each its name, the MiB of its file, and its address, which holds the checksum.
    """
    deadline, sound, unread, verdicts = time.monotonic() + HASH_SECONDS, [], [], []
    for name, mib, url in sorted(models, key=lambda model: model[1]):
        file, expected = cache_folder() / url.split("/")[-1], url.split("/")[-2]
        part = file.with_name(f"{file.name}.part")
        if part.is_file():
            text = f"{part.stat().st_size >> 20} of {mib} MiB of {name} were fetched; load({name!r}) goes on with that"
            verdicts.append(Verdict("official", "note", text))
        if not file.is_file():
            continue
        found = _sha256(file, deadline)
        if found is None:
            unread.append(name)
        elif found == expected:
            sound.append(name)
        else:
            text = f"{file} is damaged, its SHA-256 begins {found[:8]}, not {expected[:8]}; fetch it again"
            mend = command("-c", f"import helpers; helpers.load({name!r})")
            verdicts.append(Verdict("official", "wrong", text, mend))
    text = f"in {cache_folder()}: {', '.join(sound) or 'none'}"
    if unread:
        text += f"; too large for {HASH_SECONDS} seconds, so load checks them: {', '.join(unread)}"
    return [Verdict("official", "fine", text), *verdicts]


def room(mib: int, needed: bool) -> Verdict:
    """Say whether the disk has room for a download.

    Args:
        mib: size of the file.
        needed: whether it is wanted now; else a lack of room is a note.
    """
    place = next(folder for folder in (cache_folder(), *cache_folder().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free >> 20
    if free < mib:
        text = f"{free} MiB are free at {place}, a download takes {mib}; make room, or name another place"
        return Verdict("room", "wrong" if needed else "note", text, "helpers.load(..., download_root=...)")
    return Verdict("room", "fine", f"{free:,} MiB are free at {place}")


def network(url: str, needed: bool) -> Verdict:
    """Say whether the server of the official files answers, by way of the proxy that the environment names."""
    answers: list[str] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=REACH_SECONDS).close()
            answers.append("")
        except OSError as error:
            answers.append(str(getattr(error, "reason", None) or error))

    server = urllib.parse.urlsplit(url).netloc
    asking = threading.Thread(target=ask, daemon=True)  # a name that nobody knows can take minutes
    asking.start()
    asking.join(REACH_SECONDS)
    problem = answers[0] if answers else f"no answer in {REACH_SECONDS} seconds"
    if not problem:
        return Verdict("network", "fine", f"{server} answers")
    text = f"{server} can't be reached ({problem}); tiny needs no network"
    if not needed:
        return Verdict("network", "note", text)
    return Verdict("network", "wrong", f"{text}. Elsewhere, fetch {url} into {cache_folder()}")


def device(found: dict[str, Any]) -> Verdict:
    """Tell what torch computes with.

    Args:
        found: what `helpers.probe` tells of torch.
    """
    if found.get("device") == "cpu" and shutil.which("nvidia-smi"):
        text = "cpu, though nvidia-smi is here: the driver and this build of torch don't go together"
        return Verdict("device", "note", f"{text}; pytorch.org, Get started, names the build that does")
    return Verdict("device", "fine", f"{found.get('device', 'none')}, {found.get('threads', 0)} threads")


def processor(found: dict[str, Any]) -> Verdict:
    """Tell how many cores there are, and whether they multiply bfloat16 by themselves.

    Args:
        found: what `helpers.probe` tells of the helpers.
    """
    kinds = {False: "no bfloat16 of its own, so float32 is faster", True: "bfloat16", None: "bfloat16 not known"}
    return Verdict("processor", "fine", f"{os.cpu_count()} cores, {kinds[found.get('bfloat16')]}")


def _sha256(file: Path, deadline: float = float("inf")) -> str | None:
    """Compute a checksum; None if the time is up."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(1 << 22):
            if time.monotonic() > deadline:
                return None
            digest.update(piece)
    return digest.hexdigest()


def is_cached(url: str) -> bool:
    """Say whether the file of an address is here."""
    return (cache_folder() / url.split("/")[-1]).is_file()
