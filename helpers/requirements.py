"""What the course needs of other packages, and what is installed. The standard library alone is used here."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = "clip-encoders-course"


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
        lines = [line for line in requires(PROJECT) if re.search(r"^[^;]*$|extra == .clip.", line)]
    return dict(re.findall(r"^([\w-]+)([^;\s]*)", "\n".join(lines), re.M))


def fits(version: str, bounds: str) -> bool:
    """Say whether a version lies within bounds such as ``>=2.4,<3,!=2.13.0``, by its numbers alone."""
    for sign, bound in re.findall(r"(>=|<|==|!=)([\d.]+)", bounds):
        mine, other = numbers(version), numbers(bound)
        if not {">=": mine >= other, "<": mine < other, "==": mine == other, "!=": mine != other}[sign]:
            return False
    return True


def numbers(version: str) -> list[int]:
    """Read the first four numbers of a version; what follows a letter or a plus does not count."""
    found = [int(number) for number in re.match(r"[\d.]*", version)[0].split(".") if number][:4]  # type: ignore[index]
    return found + [0] * (4 - len(found))


def installed(name: str) -> str | None:
    """Read a package's version without importing it; None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def requires(name: str) -> list[str]:
    """List what a package needs, as it says itself; nothing if it is not installed."""
    return metadata.requires(name) or [] if installed(name) else []
