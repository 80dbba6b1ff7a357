"""Stamp every lesson, run it from top to bottom, and keep its outputs.

    python notebooks/refresh.py            all lessons
    python notebooks/refresh.py 03 06      only these
    python notebooks/refresh.py --stamp    stamp only, run nothing
    python notebooks/refresh.py --address URL  say where it is published

The public address stands in one place: Repository, under [project.urls] in
pyproject.toml. The commit of the official clip stands in environment.yml.
"""

import re
import sys
from pathlib import Path

import nbformat
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelspec import get_kernel_dict
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parent
ROOT = NOTEBOOKS.parent
SETUP_CELL = """\
import os
import sys

on_colab = "google.colab" in sys.modules
if on_colab:
    course = "{course}"
    package = "{package}"
    commit = "{commit}"
    if not os.path.isdir("course"):
        !git clone --quiet --depth 1 {{course}} course
    %pip install --quiet ftfy regex tqdm {{package}}@{{commit}}
    sys.path.insert(0, os.path.abspath("course"))
sys.path.append(os.path.abspath(".."))

import helpers

MODEL = os.environ.get("CLIP_MODEL", "tiny")"""
# GitHub shows no widgets: a lesson falls back on an image, which is kept
NO_WIDGETS = "import sys; sys.modules['ipywidgets'] = None"
COLAB = "https://colab.research.google.com/github"


def address() -> str:
    """Read the public address of the repository from pyproject.toml."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(r'^Repository = "(.+)"', project, re.M)[1]


def setup_cell() -> str:
    """Write the first code cell that every lesson shares."""
    environment = (ROOT / "environment.yml").read_text(encoding="utf-8")
    clip = r"(git\+https://github\.com/openai/CLIP\.git)@([0-9a-f]{40})"
    package, commit = re.search(clip, environment).groups()
    return SETUP_CELL.format(
        course=address(), package=package, commit=commit
    )


def colab_address(name: str) -> str:
    """Tell where Colab opens the lesson with this file name."""
    on_colab = address().replace("https://github.com", COLAB)
    return f"{on_colab}/blob/main/notebooks/{name}"


def colab_link(name: str) -> str:
    """Write a link that names the lesson; a badge needs a network."""
    link = f"[Open lesson {int(name[:2])} in Colab]({colab_address(name)})"
    return f"{link} · [Glossary](../GLOSSARY.md)"


def metadata() -> dict:
    """Write what JupyterLab would, so that opening changes nothing."""
    kernel = get_kernel_dict()
    spec = {key: kernel[key] for key in ("display_name", "language")}
    return {
        "kernelspec": {"name": "python3", **spec},
        "language_info": IPythonKernel.language_info,
    }


def stamp(path: Path) -> nbformat.NotebookNode:
    """Bring up to date what all share: link, first cell, metadata."""
    notebook = nbformat.read(path, as_version=4)
    cells = notebook.cells
    first_code = next(cell for cell in cells if cell.cell_type == "code")
    first_code.source = setup_cell()
    link = rf"^\[.*\]\({re.escape(COLAB)}.*$"
    cells[0].source = re.sub(
        link, colab_link(path.name), cells[0].source, flags=re.M
    )
    notebook.metadata = nbformat.from_dict(metadata())
    return notebook


def run(notebook: nbformat.NotebookNode) -> None:
    """Run a lesson in a fresh kernel; drop what differs between runs."""
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        coalesce_streams=True,
        extra_arguments=[f"--IPKernelApp.exec_lines={NO_WIDGETS}"],
        resources={"metadata": {"path": NOTEBOOKS}},
    ).execute()
    notebook.metadata = nbformat.from_dict(metadata())
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [
                output
                for output in cell.outputs
                if not is_progress_bar(output)
            ]


def is_progress_bar(output: nbformat.NotebookNode) -> bool:
    """Tell a slow machine's bar from a warning for the author."""
    return output.get("name") == "stderr" and (
        not output.text.strip()
        or "it/s" in output.text
        or "s/it" in output.text
    )


def stamp_readme() -> None:
    """Bring the links to Colab in README.md up to date."""
    readme = ROOT / "README.md"
    link = rf"\]\({re.escape(COLAB)}[^)]*/notebooks/([^)/]+\.ipynb)\)"
    text = re.sub(
        link,
        lambda found: f"]({colab_address(found[1])})",
        readme.read_text(encoding="utf-8"),
    )
    readme.write_text(text, encoding="utf-8", newline="\n")


def publish(new: str) -> None:
    """Change the public address, and stamp all that tells it."""
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", new):
        sys.exit(
            f"{new!r} is not like https://github.com/you/clip-encoders"
        )
    old = address()
    for path in (ROOT / "pyproject.toml", ROOT / "README.md"):
        text = path.read_text(encoding="utf-8").replace(old, new)
        path.write_text(text, encoding="utf-8", newline="\n")
    main(["--stamp"])


def main(arguments: list[str]) -> None:
    """Refresh the lessons that the arguments choose."""
    if arguments[:1] == ["--address"]:
        return publish(arguments[1] if arguments[1:] else "")
    numbers = tuple(
        argument for argument in arguments if argument != "--stamp"
    )
    stamp_readme()
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb")):
        if not numbers or path.name.startswith(numbers):
            notebook = stamp(path)
            if "--stamp" not in arguments:
                print(path.name, flush=True)
                run(notebook)
            nbformat.write(notebook, path)


if __name__ == "__main__":
    main(sys.argv[1:])
