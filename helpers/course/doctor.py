"""Check whether this machine can run the course: print one line per check, and what fixes each fault.

python -m helpers check            run all checks; the exit status is 1 if one fails
python helpers/course/doctor.py    the same, where not even the package can be imported
"""

# make runs parts of it: --room GB before an install, --versions EXTRA after one that failed. It needs the standard
# library and packaging, runs even on an old Python (in order to say so), and is imported by nothing.

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PROJECT, OLDEST_PYTHON = "clip-encoders-course", (3, 11)
WINDOWS = os.name == "nt"
VENV = ROOT / ".venv"  # the environment that `make run` prepares
READY = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
INSTALL_GB, WORK_GB = 7, 1  # nearly all of it PyTorch; an official model, or the index of a folder
SECONDS = 300  # for all imports together: a cold disk and a busy machine take long
CLIPS = ("clip-anytorch", "clip", "openai-clip")  # names under which an index or git brings a package `clip`
REPAIR = {  # what to install again when an import fails
    "torch": ("torch", "torchvision"),
    "torchvision": ("torch", "torchvision"),
    "PIL": ("--no-deps", "pillow"),
    "clip": ("--no-deps", "clip-anytorch", "setuptools", "ftfy", "regex"),
    "numpy": ("--no-deps", "numpy"),
}
IMPORT = """if True:
    import importlib.util, sys
    sys.path.append(sys.argv[1])  # as the first cell of a lesson does
    for name in ("helpers", "numpy", "torch", "torchvision", "PIL", "clip"):
        spec = importlib.util.find_spec(name)
        print(name, spec and (spec.origin or list(spec.submodule_search_locations)[0]), flush=True)
        __import__(name)
    torch = sys.modules["torch"]
    print("torch", "with NumPy", flush=True)
    torch.ones(2).numpy().sum()  # fails where torch was built for another NumPy
    print("device", "CUDA" if torch.cuda.is_available() else "MPS" if torch.backends.mps.is_available() else "CPU")
"""


class Verdict(NamedTuple):
    """The result of one check: its state is "fine", "wrong", or "note" for what the lessons can do without."""

    state: str
    name: str
    text: str


def main(arguments: list[str]) -> int:
    """Print the verdicts; if only a part is checked, print only its faults."""
    parser = argparse.ArgumentParser(
        "python -m helpers check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--room", type=float, metavar="GB", help="check only whether an install of this size fits")
    parser.add_argument("--versions", nargs="+", metavar="EXTRA", help="check only the packages of these extras")
    options = parser.parse_args(arguments)
    verdicts = [python()]
    if verdicts[0].state == "fine" and options.room:
        verdicts += room(options.room, VENV, cache("uv"))
    elif verdicts[0].state == "fine":
        try:
            verdicts += [versions(*options.versions)] if options.versions else everything()
        except ImportError:
            verdicts.append(wrong("packages", "`packaging`, which compares versions", "neither it nor pip", install()))
    for state, name, text in verdicts:
        if state == "wrong" or not (options.room or options.versions):
            print(f"{state:5} {name:9} {text}")
    return int(any(verdict.state == "wrong" for verdict in verdicts))


def everything() -> list[Verdict]:
    """Run all checks; imports are tried only where the packages are right."""
    if ready() and not installed("torch"):
        return [another_python()]  # before anyone installs PyTorch a second time
    if not installed("torch") and sys.prefix == sys.base_prefix:
        nothing = wrong("packages", "the packages of the course", "a Python without PyTorch", install())
        return [nothing, *room(INSTALL_GB, VENV, cache("uv"))]
    verdicts = [versions("clip"), clip()]
    if all(verdict.state == "fine" for verdict in verdicts):
        verdicts.append(imports())
    return [*verdicts, kernel(), *weights(), *room(WORK_GB, ROOT, cache("clip"))]


def python() -> Verdict:
    """Compare this Python with the oldest one that the course runs on."""
    version = "{}.{}.{}".format(*sys.version_info)
    if sys.version_info >= OLDEST_PYTHON:
        return Verdict("fine", "Python", f"{version}, {sys.executable}")
    return wrong("Python", "Python {}.{} or newer".format(*OLDEST_PYTHON), f"{version}, {sys.executable}", install())


def another_python() -> Verdict:
    """Name the environment of the course, and the ways to run a lesson in it."""
    kernel = command(READY, "-m", "ipykernel", "install", "--user", "--name", "clip-course")
    do = (
        f"Use `{READY}`. In VS Code: Select Kernel > Python Environments > .venv. In JupyterLab: run `make lab`, "
        f"or once {kernel} and then choose Kernel > Change Kernel > clip-course"
    )
    return wrong("Python", f"the environment of the course, {VENV}", sys.executable, do)


def versions(*extras: str) -> Verdict:
    """Compare the installed packages with what the course needs, and torch with what torchvision needs."""
    file = (clip_folder() or ROOT) / "clip.py"
    unneeded = [*CLIPS]  # `clip` judges them
    if file.is_file() and "pkg_resources" not in file.read_text(encoding="utf-8"):
        unneeded.append("setuptools")  # OpenAI's own clip has left pkg_resources behind
    wanted = {name: need for name, need in needs(*extras).items() if name not in unneeded}
    found = {name: installed(name) for name in wanted}
    misfits = [name for name, need in wanted.items() if not fits(need, found[name])]
    made_for = needs(of="torchvision").get("torch")
    if made_for and not {"torch", "torchvision"} & set(misfits) and not fits(made_for, found["torch"]):
        got = f"torchvision {found['torchvision']}, made for {made_for}, and torch {found['torch']}"
        return wrong("packages", "a torchvision made for this torch", got, pip("torch", "torchvision"))
    if misfits:
        expected = ", ".join(f"{name}{wanted[name].specifier}" for name in misfits)
        got = ", ".join(f"{name} {found[name]}" if found[name] else f"no {name}" for name in misfits)
        return wrong("packages", expected, got, pip(*misfits))
    return Verdict("fine", "packages", ", ".join(f"{name} {version}" for name, version in found.items()))


def clip() -> Verdict:
    """Distinguish OpenAI's clip from the clipboard tool of that name, and from two that overwrote each other."""
    place, brought = clip_folder(), [name for name in CLIPS if installed(name)]
    if place is None:
        return wrong("clip", "OpenAI's clip", "none", pip("clip-anytorch", "setuptools"))
    fine, got = (place / "simple_tokenizer.py").is_file(), str(place)
    owns = any(Path(str(metadata.distribution(name).locate_file(place.name))) == place for name in brought)
    if fine and len(brought) < 2:
        return Verdict("fine", "clip", f"OpenAI's, {place}")
    if not fine and not owns:
        return wrong("clip", "OpenAI's clip", got, "Rename it, and check again")
    got = f"{' and '.join(brought)}, installed over each other" if len(brought) > 1 else f"another tool, {got}"
    remove = command(sys.executable, "-m", "pip", "uninstall", "--yes", *brought)
    return wrong("clip", "OpenAI's clip alone", got, f"Run {remove}, then {pip('clip-anytorch', 'setuptools')[4:]}")


def imports() -> Verdict:
    """Import what a lesson imports, as a lesson would, in a process of its own: an import may end the process."""
    cwd = ROOT / "notebooks" if (ROOT / "notebooks").is_dir() else None
    try:
        run = [sys.executable, "-c", IMPORT, str(ROOT)]
        done = subprocess.run(run, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return wrong(
            "imports", f"imports within {SECONDS} seconds", "a timeout", "Close other programs, and check again"
        )
    told = [line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line]
    places, last = dict(told), told[-1][0]
    if Path(places["helpers"]).parent.resolve() != ROOT / "helpers":
        return wrong("imports", f"helpers of {ROOT}", places["helpers"], "Rename or uninstall that package")
    if done.returncode == 0:
        return Verdict("fine", "imports", f"PyTorch computes on the {places['device']}")
    got = [f"exit status {done.returncode}", *done.stderr.splitlines()][-1]
    if done.returncode < 0:
        got = f"a crash ({signal.Signals(-done.returncode).name})"
    return wrong("imports", f"to import {last}", got, pip("--force-reinstall", *REPAIR[last]))


def kernel() -> Verdict:
    """Check which Python Jupyter starts for a lesson."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        spec = KernelSpecManager().get_kernel_spec("python3")
    except (ImportError, KeyError):
        return wrong("kernel", "Jupyter, to open the lessons", "none", pip("jupyterlab", "ipywidgets"), state="note")
    except RuntimeError:  # a container's user may have no home
        return wrong("kernel", "a home folder, where Jupyter keeps its settings", "none", "Run `export HOME=/tmp`")
    starts = shutil.which(spec.argv[0]) or spec.argv[0]
    if spec.argv[0].startswith("python") or Path(starts).parent.resolve() == Path(sys.executable).parent.resolve():
        return Verdict("fine", "kernel", "Jupyter starts this Python")  # a bare "python" means Jupyter's own
    install = command(sys.executable, "-m", "ipykernel", "install", "--sys-prefix", "--name", "clip-course")
    do = f"Run {install}, and in a lesson choose Kernel > Change Kernel > clip-course"
    return wrong("kernel", f"Jupyter to start {sys.executable}", f"{starts}, named in {spec.resource_dir}", do)


def weights() -> list[Verdict]:
    """Compare the bundled models with their checksums."""
    known, verdicts = runpy.run_path(str(ROOT / "helpers" / "weights" / "__init__.py")), []
    for name in ("TINY", "VIT"):
        file, expected = Path(known[f"{name}_PATH"]), known[f"{name}_SHA256"]
        found = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "no file"
        do = f"Run {command('git', '-C', file.parent, 'checkout', '--', file.name)}"
        bad = wrong(file.stem, f"SHA-256 {expected[:8]} of {file}", found[:8], do)
        verdicts.append(bad if found != expected else Verdict("fine", file.stem, f"SHA-256 {expected[:8]}"))
    return verdicts


def room(gb: float, *places: Path) -> list[Verdict]:
    """Check the free space on the file system of each place."""
    verdicts = {}
    for place in places:
        above = (place, *place.parents)
        folder = next(folder for folder in above if os.path.isdir(folder))  # noqa: PTH112  # Path's own may raise
        free = shutil.disk_usage(folder).free / 1e9
        short = wrong("room", f"{gb:g} GB free at {folder}", f"{free:.1f} GB", "Free some space there, and try again")
        fine = Verdict("fine", "room", f"{free:.0f} GB free at {folder}")
        verdicts[folder.stat().st_dev] = short if free < gb else fine
    return list(verdicts.values())


def wrong(name: str, expected: str, got: str, do: str, state: str = "wrong") -> Verdict:
    """Describe a fault in the form of the course's errors."""
    return Verdict(state, name, f"Expected {expected}; got {got}. {do}.")


def command(*words: str | Path) -> str:
    """Write a command, with quotes that every shell understands."""
    return "`" + " ".join(f'"{word}"' if re.search(r"[ <>\[()]", str(word)) else str(word) for word in words) + "`"


def pip(*names: str) -> str:
    """Return the instruction that installs packages in the versions that the course needs."""
    asked = {name: f"{name}{need.specifier}" for name, need in needs("clip", "lab").items()}
    tool = [sys.executable, "-m", "pip", "install"]
    if not importlib.util.find_spec("pip"):
        tool = ["uv", "pip", "install", "--python", sys.executable]
    return f"Run {command(*tool, '--upgrade', *(asked.get(name, name) for name in names))}"


def install() -> str:
    """Return the instruction that makes the environment, or replaces an old one, with a Python that is new enough."""
    if WINDOWS:
        then = command(READY, "-m", "pip", "install", "--editable", f"{ROOT}[clip,lab,test]")
        return f"Run {command('py', '-3', '-m', 'venv', '--clear', VENV)}, then {then}"
    names = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
    new = next((name for name in names if is_new_enough(name)), None)
    first = "Run" if new else "Install Python 3.11 or newer, then run"
    return f"{first} {command('make', '-C', ROOT, 'run', f'PYTHON={new or names[0]}')}"


def is_new_enough(name: str) -> bool:
    """Try a Python by its name, which may be a shim for a version that is not installed."""
    try:
        ask = f"import ensurepip, sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"
        return subprocess.run([name, "-c", ask], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def ready() -> bool:
    """Return whether the course's own environment has PyTorch."""
    return any([*VENV.glob("lib/python*/site-packages/torch"), *VENV.glob("Lib/site-packages/torch")])


def needs(*extras: str, of: str = PROJECT) -> dict[str, Any]:
    """Read the requirements of a package and some extras; the course's come from pyproject.toml, if it exists."""
    try:
        requirements = import_module("packaging.requirements")
    except ImportError:
        requirements = import_module("pip._vendor.packaging.requirements")
    lines, file = (metadata.requires(of) or []) if installed(of) else [], ROOT / "pyproject.toml"
    if of == PROJECT and file.is_file():
        import tomllib  # from Python 3.11 on

        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        lines = project["dependencies"] + [line for name in extras for line in project["optional-dependencies"][name]]
    found = [requirements.Requirement(line) for line in lines]
    wanted = [n for n in found if not n.marker or any(n.marker.evaluate({"extra": name}) for name in ("", *extras))]
    return {need.name: need for need in wanted}


def installed(name: str) -> str | None:
    """Read the version of a package without importing it; None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def fits(need: Any, version: str | None) -> bool:
    """Return whether a version, which may be a release candidate, satisfies a requirement."""
    return version is not None and need.specifier.contains(version, prereleases=True)


def clip_folder() -> Path | None:
    """Find where a lesson would import `clip` from."""
    spec = importlib.util.find_spec("clip")
    return Path((spec.submodule_search_locations or [str(spec.origin)])[0]) if spec else None


def cache(name: str) -> Path:
    """Find the cache folder of a tool; the course's folder for a user who has no home."""
    try:
        return Path(os.environ.get(f"{name.upper()}_CACHE_DIR") or Path.home() / ".cache" / name)
    except RuntimeError:
        return ROOT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
