"""Say which installed packages fit the course, by what they say of themselves, and which command mends what doesn't.

The standard library alone is used here, for this has to run where the rest can't be imported.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from helpers.course.probe import STEPS, where

ROOT = Path(__file__).parents[2]
PROJECT = "clip-encoders-course"
OLDEST_PYTHON = (3, 11)
CLIPS = ("clip-anytorch", "clip", "openai-clip")  # names under which an index or git brings a package `clip`
MISSING = "is not installed"


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
    if found := misfits():
        print(report(found))


def report(verdicts: list[Verdict]) -> str:
    """Write verdicts, a line each, and one command for all that is missing."""
    lines = [str(verdict) for verdict in verdicts]
    if [verdict.text for verdict in verdicts].count(MISSING) > 1:
        lines.append(f"all that is missing at once: {pip('--editable', f'{ROOT}[clip,lab]')}")
    return "\n".join(lines)


def misfits() -> list[Verdict]:
    """List what doesn't fit, by the versions alone."""
    judged = [python()]
    if judged[0].state == "fine":
        judged += packages({step: {} for step in STEPS})
        judged += clip({"where": where("clip")}, judged)
    return [verdict for verdict in judged if verdict.state == "wrong"]


def python() -> Verdict:
    """Judge the Python that runs this."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Verdict("Python", "wrong", f"{version} is too old for the course", "make PYTHON=python3.12 run")
    return Verdict("Python", "fine", f"{version}, {sys.executable}")


def packages(found: dict[str, dict]) -> list[Verdict]:
    """Judge each package that the course needs but clip; those that fit and have nothing to tell share a line.

    Args:
        found: what `helpers.course.probe` tells of each step.
    """
    bounds = {name: bound for name, bound in requirements().items() if name not in (*CLIPS, "setuptools")}
    if not bounds:
        return [Verdict("packages", "note", "what they must be is not known here")]
    judged = {name: _package(name, bound, found.get(name, {})) for name, bound in bounds.items()}
    built_for = re.findall(r"^torch *\(?==([\d.]+)", "\n".join(_requires("torchvision")), re.M)
    together = pip("--upgrade", *(f"{name}{bounds[name]}" for name in ("torch", "torchvision")))
    torch, torchvision = installed("torch"), installed("torchvision")
    if judged["torch"].state == "wrong" and judged["torchvision"].state == "wrong" and torchvision:
        judged["torchvision"] = Verdict("torchvision", "note", "not tried before torch is mended")
    elif built_for and torch and _numbers(torch) != _numbers(built_for[0]):
        text = f"{torchvision} was built for torch {built_for[0]}, and {torch} is installed"
        judged["torchvision"] = Verdict("torchvision", "wrong", text, together)
    elif "error" in found["arrays"] and judged["numpy"].state == "fine":
        text = f"torch can't give its numbers to NumPy ({found['arrays']['error']})"
        judged["numpy"] = Verdict("numpy", "wrong", text, f"{together} numpy")
    own = [verdict for name, verdict in judged.items() if verdict.state != "fine" or name in STEPS]
    others = ", ".join(f"{name} {installed(name)}" for name, verdict in judged.items() if verdict not in own)
    return [*own, *[Verdict("others", "fine", others)] * bool(others)]


def _package(name: str, bounds: str, found: dict[str, Any]) -> Verdict:
    version, install = installed(name) or found.get("version"), f"{name}{bounds}"
    if version is None:
        return Verdict(name, "wrong", MISSING, pip(install))
    if not fits(version, bounds):
        return Verdict(name, "wrong", f"{version} does not fit, the course needs {bounds}", pip(install))
    if "error" in found:
        text = f"{version} can't be imported ({found['error']})"
        return Verdict(name, "wrong", text, pip("--force-reinstall", install))
    return Verdict(name, "fine", ", ".join([version, *found.get("formats", [])]))


def clip(found: dict[str, Any], needed: list[Verdict]) -> list[Verdict]:
    """Tell OpenAI's clip from the clipboard tool of that name and from two at once; and judge its setuptools.

    Args:
        found: what `helpers.course.probe` tells of clip.
        needed: the verdicts on what it needs.
    """
    bounds, place = requirements(), Path(found.get("where") or "")
    names = [f"{name}{bounds.get(name, '')}" for name in ("clip-anytorch", "setuptools", "ftfy", "regex")]
    install, again = pip(*names[:2]), pip("--force-reinstall", "--no-deps", *names)
    brought = [name for name in CLIPS if installed(name)]
    files = {name: Path(str(metadata.distribution(name).locate_file(place.name))) for name in brought}
    owner = next((name for name in brought if files[name] == place), "")
    afresh = f"{command('-m', 'pip', 'uninstall', '--yes', *brought)} && {install}"
    if not found.get("where"):
        return [Verdict("clip", "wrong", MISSING, install)]
    if not (place / "simple_tokenizer.py").is_file():
        if owner:
            return [Verdict("clip", "wrong", f"{place} is another project of that name, and not OpenAI's", afresh)]
        return [Verdict("clip", "wrong", f"{place} stands in the way of OpenAI's clip; give it another name", install)]
    if len(brought) > 1:
        return [Verdict("clip", "wrong", f"{' and '.join(brought)} are installed over each other", afresh)]
    origin = f"{owner} {installed(owner)}" if owner else "a checkout"
    verdict = Verdict("clip", "fine", f"OpenAI's, {origin}, {place}")
    setuptools = _setuptools(place, bounds.get("setuptools", ""))
    if "error" in found:
        verdict = Verdict("clip", "wrong", f"{place} can't be imported ({found['error']})", again)
        if any(v.state == "wrong" for v in [*needed, *setuptools]):
            verdict = Verdict("clip", "note", "not tried before what it needs is mended")
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


def command(*arguments: str) -> str:
    """Write a command for this Python, with quotes that every shell knows."""
    return " ".join(f'"{word}"' if re.search(r"[ <>\[()]", word) else word for word in (sys.executable, *arguments))


def pip(*arguments: str) -> str:
    """Write a command that installs something for this Python."""
    return command("-m", "pip", "install", *arguments)


def requirements() -> dict[str, str]:
    """Read the bounds of each package, `clip` and what it needs among them: from pyproject.toml, or as installed."""
    import tomllib  # from Python 3.11 on

    file = ROOT / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"] if file.is_file() else {}
    if project.get("name") == PROJECT:
        lines = [*project["dependencies"], *project["optional-dependencies"]["clip"]]
    else:
        lines = [line for line in _requires(PROJECT) if re.search(r"^[^;]*$|extra == .clip.", line)]
    return dict(re.findall(r"^([\w-]+)([^;\s]*)", "\n".join(lines), re.M))


def fits(version: str, bounds: str) -> bool:
    """Say whether a version lies within bounds such as ``>=2.4,<3,!=2.13.0``, by its numbers alone."""
    for sign, bound in re.findall(r"(>=|<|==|!=)([\d.]+)", bounds):
        mine, other = _numbers(version), _numbers(bound)
        if not {">=": mine >= other, "<": mine < other, "==": mine == other, "!=": mine != other}[sign]:
            return False
    return True


def _numbers(version: str) -> list[int]:
    """Read the first four numbers of a version; what follows a letter or a plus does not count."""
    found = [int(number) for number in re.findall(r"\d+", re.findall(r"^[\d.]*", version)[0])][:4]
    return found + [0] * (4 - len(found))


def installed(name: str) -> str | None:
    """Read a package's version without importing it; None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requires(name: str) -> list[str]:
    """List what a package needs, as it says itself; nothing if it is not installed."""
    return metadata.requires(name) or [] if installed(name) else []
