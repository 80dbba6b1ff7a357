"""Say whether what is installed fits together, and which command mends it.

The standard library alone is used here, for this has to run where the rest can't be imported.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from helpers import probe
from helpers.requirements import ROOT, command, fits, installed, numbers, pip, requirements, requires

HOME = Path(__file__).parent
OLDEST_PYTHON = (3, 11)
PATIENCE_SECONDS = 120  # for all imports together: a cold disk takes long
CLIPS = ("clip-anytorch", "clip", "openai-clip")  # names under which an index or git brings a package `clip`
MISSING = "is not installed"
STEPS = ("numpy", "torch", "arrays", "torchvision", "pillow", "clip", "helpers", "kernel")

Facts = dict  # what `helpers.probe` tells of each step


class Verdict(NamedTuple):
    """What is known of one thing.

    Attributes:
        name: of the thing.
        state: "fine", "note" for what the lessons can do without, or "wrong".
        text: what was found.
        mend: the command that mends it.
    """

    name: str
    state: str
    text: str
    mend: str = ""

    def __str__(self) -> str:
        """Write it as one line."""
        return f"{self.state:5} {self.name:12} {self.text}" + (f": {self.mend}" if self.mend else "")


def preflight() -> None:
    """Print what doesn't fit among the installed packages, and the commands that mend it; nothing if all fits.

    It reads their versions and imports nothing, so it takes a moment. ``python -m helpers check`` looks further.
    """
    for verdict in misfits():
        print(verdict)


def misfits() -> list[Verdict]:
    """List what doesn't fit, by the versions alone."""
    judged = [python(), *packages({step: {} for step in STEPS})]
    judged += clip({"where": probe.where("clip")}, judged)
    return [verdict for verdict in judged if verdict.state == "wrong"]


def facts() -> Facts:
    """Run `helpers.probe` with this Python, in the folder of the lessons, as a lesson would be run."""
    lessons = ROOT / "notebooks"
    command = [sys.executable, "-c", Path(probe.__file__).read_text(encoding="utf-8"), str(HOME)]
    try:
        done = subprocess.run(
            command,
            cwd=lessons if lessons.is_dir() else None,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        output, end = done.stdout, f"the process ended with status {done.returncode}"
    except subprocess.TimeoutExpired as error:
        output, end = error.stdout or b"", f"no answer in {PATIENCE_SECONDS} seconds"
    found: Facts = {step: {"error": "not tried"} for step in STEPS}
    for line in re.findall(rb'^\{"step".*\}$', output, re.M):
        told = json.loads(line)
        found[told.pop("step")] = {"error": end} if "begins" in told else told
    return found


def python() -> Verdict:
    """Judge the Python that runs this."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Verdict("Python", "wrong", f"{version} is too old for the course", "make PYTHON=python3.12 run")
    return Verdict("Python", "fine", f"{version}, {sys.executable}")


def packages(found: Facts) -> list[Verdict]:
    """Judge each package that the course needs but clip; those that fit and have nothing to tell share a line."""
    bounds = {name: bound for name, bound in requirements().items() if name not in (*CLIPS, "setuptools")}
    if not bounds:
        return [Verdict("packages", "note", "what they must be is not known here")]
    judged = {name: _package(name, bound, found.get(name, {})) for name, bound in bounds.items()}
    built_for = re.findall(r"^torch *\(?==([\d.]+)", "\n".join(requires("torchvision")), re.M)
    together = pip("--upgrade", *(f"{name}{bounds[name]}" for name in ("torch", "torchvision")))
    torch = installed("torch")
    if judged["torch"].state == "wrong" and judged["torchvision"].state == "wrong" and installed("torchvision"):
        judged["torchvision"] = Verdict("torchvision", "note", "not tried before torch is mended")
    elif built_for and torch and numbers(torch) != numbers(built_for[0]):
        text = f"{installed('torchvision')} was built for torch {built_for[0]}, and {torch} is installed"
        judged["torchvision"] = Verdict("torchvision", "wrong", text, together)
    elif "error" in found["arrays"] and judged["numpy"].state == "fine":
        text = f"torch can't give its numbers to NumPy ({found['arrays']['error']})"
        judged["numpy"] = Verdict("numpy", "wrong", text, f"{together} numpy")
    own = [v for name, v in judged.items() if v.state != "fine" or name in STEPS]
    others = [f"{name} {installed(name)}" for name, v in judged.items() if v not in own]
    return [*own, *[Verdict("others", "fine", ", ".join(others))] * bool(others)]


def _package(name: str, bounds: str, found: dict[str, Any]) -> Verdict:
    version, install = installed(name) or found.get("version"), f"{name}{bounds}"
    if version is None:
        return Verdict(name, "wrong", MISSING, pip(install))
    if not fits(version, bounds):
        return Verdict(name, "wrong", f"{version} does not fit, the course needs {bounds}", pip(install))
    if "error" in found:
        text = f"{version} can't be imported ({found['error']})"
        return Verdict(name, "wrong", text, pip("--force-reinstall", install))
    formats = ["reads JPEG", "PNG", *found["formats"]] if "formats" in found else []
    return Verdict(name, "fine", ", ".join([version, *formats]))


def clip(found: dict[str, Any], needed: list[Verdict]) -> list[Verdict]:
    """Tell OpenAI's clip from the clipboard tool of that name and from two at once; and judge what it needs."""
    bounds, place = requirements(), Path(found.get("where") or "")
    install = pip(*(f"{name}{bounds.get(name, '')}" for name in ("clip-anytorch", "setuptools")))
    brought = [name for name in CLIPS if installed(name)]
    owner = next(
        (name for name in brought if Path(str(metadata.distribution(name).locate_file(place.name))) == place), ""
    )
    afresh = f"{command('-m', 'pip', 'uninstall', '--yes', *brought)} && {install}"
    if not found.get("where"):
        return [Verdict("clip", "wrong", MISSING, install)]
    if not (place / "simple_tokenizer.py").is_file():
        if owner:
            return [Verdict("clip", "wrong", f"{place} is another project of that name, and not OpenAI's", afresh)]
        return [Verdict("clip", "wrong", f"{place} stands in the way of OpenAI's clip; give it another name", install)]
    if len(brought) > 1:
        return [Verdict("clip", "wrong", f"{' and '.join(brought)} are installed over each other", afresh)]
    what = f"{owner} {installed(owner)}" if owner else "a checkout"
    verdict = Verdict("clip", "fine", f"OpenAI's, {what}, {place}")
    setuptools = _setuptools(place, bounds.get("setuptools", ""))
    if "error" in found:
        if any(v.state == "wrong" for v in [*needed, *setuptools]):
            verdict = Verdict("clip", "note", "not tried before what it needs is mended")
        else:
            verdict = Verdict("clip", "wrong", f"{place} can't be imported ({found['error']})", afresh)
    return [verdict, *setuptools]


def _setuptools(clip: Path, bounds: str) -> list[Verdict]:
    """Judge setuptools, where this clip needs its pkg_resources; OpenAI's own has left that behind."""
    if "pkg_resources" not in (clip / "clip.py").read_text(encoding="utf-8"):
        return []
    version, mend = installed("setuptools"), pip(f"setuptools{bounds}")
    if version is None:
        return [Verdict("setuptools", "wrong", "is not installed, and this clip needs its pkg_resources", mend)]
    if not fits(version, bounds):
        text = f"{version} does not fit, this clip needs pkg_resources of {bounds}"
        return [Verdict("setuptools", "wrong", text, mend)]
    return [Verdict("setuptools", "fine", f"{version}, for this clip's pkg_resources")]


def helpers(found: dict[str, Any], needed: list[Verdict]) -> Verdict:
    """Say whether a lesson gets the helpers of this folder, and whether they can be imported."""
    mend = pip("--editable", f"{ROOT}[clip,lab]")
    place = found.get("where")
    if place is None and "error" not in found:
        return Verdict("helpers", "wrong", "the lessons can't find them", mend)
    if place is not None and Path(place).resolve() != HOME.resolve():
        text = f"the lessons find those of {place}, not {HOME}; rename or uninstall the former"
        return Verdict("helpers", "wrong", text, mend)
    if "error" in found:
        if any(v.state == "wrong" for v in needed):
            return Verdict("helpers", "note", "not tried before what they need is mended")
        return Verdict("helpers", "wrong", f"can't be imported ({found['error']})", mend)
    return Verdict("helpers", "fine", str(HOME))


def kernel(found: dict[str, Any]) -> Verdict:
    """Say whether Jupyter starts this Python for a lesson."""
    mend = command("-m", "ipykernel", "install", "--sys-prefix")
    if "error" in found:
        return Verdict("kernel", "wrong", f"Jupyter can't be asked ({found['error']})", pip(f"{ROOT}[lab]"))
    if not found:
        return Verdict("kernel", "note", "no Jupyter here; to open the lessons", pip(f"{ROOT}[lab]"))
    starts = shutil.which(found["python"]) or found["python"]
    if found["python"].startswith("python") or Path(starts).parent.resolve() == Path(sys.executable).parent.resolve():
        return Verdict("kernel", "fine", "Jupyter starts this Python")  # a bare "python" means Jupyter's own
    return Verdict("kernel", "wrong", f"Jupyter starts {starts} (see {found['place']}), not this Python", mend)
