"""Say whether this machine can run the course: one line a thing, fine, or what is wrong and the command that mends it.

Exit status 0 if nothing is wrong, 1 otherwise. A note is what the lessons can do without.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from helpers.course import packages, probe
from helpers.course.packages import ROOT, Verdict, command, pip
from helpers.network import why_not
from helpers.weights import TINY_PATH, TINY_SHA256, VIT_PATH, VIT_SHA256

HOME = Path(__file__).parents[1]
CACHE = Path.home() / ".cache" / "clip"
PATIENCE_SECONDS = 120  # for all imports together: a cold disk takes long
HASH_SECONDS = 3  # all nine official files together are 5 GB
REACH_SECONDS = 2
BFLOAT16 = {False: "no bfloat16 of its own, so float32 is faster", True: "bfloat16", None: "bfloat16 not known"}


def main(arguments: list[str]) -> int:
    """Print the verdicts."""
    parser = argparse.ArgumentParser("python -m helpers check", description=__doc__)
    parser.add_argument("--model", help="what you want to use; by default $CLIP_MODEL, else tiny")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    options = parser.parse_args(arguments)
    verdicts = judge(options.model or os.environ.get("CLIP_MODEL", "tiny"))
    wrong = sum(verdict.state == "wrong" for verdict in verdicts)
    if options.json:
        print(json.dumps({"fine": not wrong, "verdicts": [verdict._asdict() for verdict in verdicts]}, indent=1))
    else:
        print(packages.report(verdicts))
        print(f"\n{wrong} wrong" if wrong else "\nall fine")
    return int(wrong > 0)


def judge(model: str) -> list[Verdict]:
    """Judge everything, in the order in which one thing needs another.

    Args:
        model: the name of the model to be used. Room and network for its download are wrong if they lack; for any
            other model they are notes.
    """
    judged = [packages.python()]
    if judged[0].state == "wrong":
        return judged
    found = facts()
    judged += packages.packages(found)
    judged += packages.clip(found["clip"], judged)
    judged += [helpers(found["helpers"], judged), kernel(found["kernel"]), device(found["torch"], found["helpers"])]
    judged += [embedded("tiny", TINY_PATH, TINY_SHA256), embedded("tiny-vit", VIT_PATH, VIT_SHA256)]
    official = found["helpers"].get("official", [])
    if official:
        name, mib, url = next((info for info in official if info[0] == model), official[0])
        needed = name == model and not (CACHE / url.split("/")[-1]).is_file()
        judged += [*cached(official), room(mib, needed), network(url, needed)]
    return judged


def facts() -> dict[str, dict]:
    """Try each step with this Python, in the folder of the lessons, as a lesson would be run.

    Where an import ends the process or takes too long, another process goes on behind it.
    """
    deadline, waiting = time.monotonic() + PATIENCE_SECONDS, list(probe.STEPS)
    found: dict[str, dict] = {step: {"error": "not tried"} for step in waiting}
    while waiting:
        output, end = _probe(waiting, deadline - time.monotonic())
        told = [json.loads(line) for line in re.findall(rb'^\{"step".*\}$', output, re.M)]
        if not told:
            break
        for facts in told:
            step = facts.pop("step")
            found[step] = {**facts, "error": end} if facts.pop("begins", False) else facts
        waiting = waiting[waiting.index(step) + 1 :]
    return found


def _probe(steps: list[str], seconds: float) -> tuple[bytes, str]:
    """Run `helpers.course.probe`; give what it printed, and how it ended."""
    cwd = next((lessons for lessons in [ROOT / "notebooks"] if lessons.is_dir()), None)
    run = [sys.executable, "-c", Path(probe.__file__).read_text(encoding="utf-8"), str(HOME), *steps]
    try:
        done = subprocess.run(run, cwd=cwd, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        return error.stdout or b"", f"no answer in {PATIENCE_SECONDS} seconds"
    return done.stdout, f"the process ended with status {done.returncode}"


def helpers(found: dict[str, Any], needed: list[Verdict]) -> Verdict:
    """Say whether a lesson gets the helpers of this folder, and whether they can be imported."""
    place, mend = found.get("where"), pip("--editable", f"{ROOT}[clip,lab]")
    if place and Path(place).resolve() != HOME.resolve():
        text = f"the lessons find those of {place}, not {HOME}; rename or uninstall the former"
        return Verdict("helpers", "wrong", text, mend)
    if "error" in found and any(verdict.state == "wrong" for verdict in needed):
        return Verdict("helpers", "note", "not tried before what they need is mended")
    if "error" in found:
        return Verdict("helpers", "wrong", f"can't be imported ({found['error']})", mend)
    return Verdict("helpers", "fine", str(HOME))


def kernel(found: dict[str, Any]) -> Verdict:
    """Say whether Jupyter starts this Python for a lesson."""
    if "error" in found:
        return Verdict("kernel", "wrong", f"Jupyter can't be asked ({found['error']})", pip(f"{ROOT}[lab]"))
    if "python" not in found:
        return Verdict("kernel", "note", "no Jupyter here; to open the lessons", pip(f"{ROOT}[lab]"))
    starts = shutil.which(found["python"]) or found["python"]
    if found["python"].startswith("python") or Path(starts).parent.resolve() == Path(sys.executable).parent.resolve():
        return Verdict("kernel", "fine", "Jupyter starts this Python")  # a bare "python" means Jupyter's own
    mend = command("-m", "ipykernel", "install", "--sys-prefix")
    return Verdict("kernel", "wrong", f"Jupyter starts {starts} (see {found['place']}), not this Python", mend)


def device(torch: dict[str, Any], helpers: dict[str, Any]) -> Verdict:
    """Tell what torch computes with, and whether the processor multiplies bfloat16 by itself."""
    text = f"{torch.get('device', 'none')}, {torch.get('threads', 0)} threads, {BFLOAT16[helpers.get('bfloat16')]}"
    if torch.get("device") == "cpu" and shutil.which("nvidia-smi"):
        text += "; nvidia-smi is here, but this build of torch and the driver don't go together"
        return Verdict("device", "note", f"{text}: pytorch.org, Get started, names the build that does")
    return Verdict("device", "fine", text)


def embedded(name: str, file: Path, expected: str) -> Verdict:
    """Compare a model that travels with the course with its checksum."""
    mend = f"git -C {file.parent} checkout -- {file.name}"
    if not file.is_file():
        return Verdict(name, "wrong", f"{file} is missing; fetch it again", mend)
    found = _sha256(file) or ""
    if found != expected:
        text = f"{file} is damaged, {file.stat().st_size:,} bytes, SHA-256 {found[:8]}, not {expected[:8]}"
        return Verdict(name, "wrong", text, mend)
    return Verdict(name, "fine", f"SHA-256 begins {expected[:8]}, as it must")


def cached(official: list[tuple[str, int, str]]) -> list[Verdict]:
    """Compare the official files that are here with their checksums, the small ones first.

    Args:
        official: of each model its name, the MiB of its file, and its address, which holds the checksum.
    """
    deadline, sound, verdicts = time.monotonic() + HASH_SECONDS, [], []
    for name, mib, url in sorted(official, key=lambda info: info[1]):
        file, expected = CACHE / url.split("/")[-1], url.split("/")[-2]
        part = file.with_name(f"{file.name}.part")
        if part.is_file():
            text = f"{part.stat().st_size >> 20} of {mib} MiB of {name} were fetched; load({name!r}) goes on with that"
            verdicts.append(Verdict("official", "note", text))
        found = _sha256(file, deadline) if file.is_file() else ""
        if found and found != expected:
            text = f"{file} is damaged, its SHA-256 begins {found[:8]}, not {expected[:8]}; fetch it again"
            mend = command("-c", f"import helpers; helpers.load({name!r})")
            verdicts.append(Verdict("official", "wrong", text, mend))
        elif found != "":
            sound.append(name if found else f"{name} (unread: load compares its checksum)")
    return [Verdict("official", "fine", f"{', '.join(sound) or 'none'} in {CACHE}"), *verdicts]


def room(mib: int, needed: bool) -> Verdict:
    """Say whether the disk has room for a download; a lack is wrong if it is needed now, else a note."""
    place = next(folder for folder in (CACHE, *CACHE.parents) if folder.is_dir())
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
        except Exception as error:  # a proxy can answer anything
            answers.append(why_not(url, error))

    server = urllib.parse.urlsplit(url).netloc
    asking = threading.Thread(target=ask, daemon=True)  # a name that nobody knows can take minutes
    asking.start()
    asking.join(REACH_SECONDS)
    problem = answers[0] if answers else f"no answer in {REACH_SECONDS} seconds"
    if not problem:
        return Verdict("network", "fine", f"{server} answers")
    text = f"{server} can't be reached ({problem}); tiny needs no network"
    elsewhere = f". Elsewhere, fetch {url} into {CACHE}" * needed
    return Verdict("network", "wrong" if needed else "note", text + elsewhere)


def _sha256(file: Path, deadline: float = float("inf")) -> str | None:
    """Compute a checksum; None if the time is up."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(1 << 22):
            if time.monotonic() > deadline:
                return None
            digest.update(piece)
    return digest.hexdigest()
