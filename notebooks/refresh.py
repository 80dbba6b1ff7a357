"""Stamp every lesson with the project's public address, run it from top to bottom, and keep its outputs.

    python notebooks/refresh.py            all lessons
    python notebooks/refresh.py 03 06      only these
    python notebooks/refresh.py --stamp    stamp only, run nothing

The address stands in one place: Repository, under [project.urls] in pyproject.toml.
The commit of the official clip stands in environment.yml.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parent
ROOT = NOTEBOOKS.parent
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SETUP_CELL = """\
import os
import sys

if "google.colab" in sys.modules:
    if not os.path.isdir("course"):
        !git clone --quiet --depth 1 {address} course
    %pip install --quiet ftfy regex tqdm {clip}
    sys.path.insert(0, "course")

MODEL = os.environ.get("CLIP_MODEL", "tiny")"""
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})"


def address() -> str:
    """Read the public address of the repository from pyproject.toml."""
    return re.search(r'^Repository = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]


def setup_cell() -> str:
    """Write the first code cell that every lesson shares."""
    clip = re.search(r"git\+https://github\.com/openai/CLIP\.git@[0-9a-f]{40}", (ROOT / "environment.yml").read_text())
    return SETUP_CELL.format(address=address(), clip=clip[0])


def badge(name: str) -> str:
    """Write the Colab badge of the lesson with this file name."""
    on_colab = address().replace("https://github.com", "https://colab.research.google.com/github")
    return BADGE.format(address=f"{on_colab}/blob/main/notebooks/{name}")


def stamp(path: Path) -> nbformat.NotebookNode:
    """Bring the badge and the first code cell of a lesson up to date."""
    notebook = nbformat.read(path, as_version=4)
    first_code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first_code.source = setup_cell()
    title = notebook.cells[0]
    title.source = re.sub(r"^\[!\[Open in Colab\].*$", badge(path.name), title.source, flags=re.M)
    return notebook


def run(notebook: nbformat.NotebookNode) -> None:
    """Run a lesson in a fresh kernel, in the folder of the notebooks, and drop what differs from run to run."""
    place = {"metadata": {"path": NOTEBOOKS}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", coalesce_streams=True, resources=place).execute()
    notebook.metadata = KERNEL
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_progress_bar(output)]


def is_progress_bar(output: nbformat.NotebookNode) -> bool:
    """Tell the bar of a slow machine from a warning, which the author should see."""
    return output.get("name") == "stderr" and (
        not output.text.strip() or "it/s" in output.text or "s/it" in output.text
    )


def stamp_readme() -> None:
    """Bring the badges of README.md up to date."""
    readme = ROOT / "README.md"
    pattern = r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*/notebooks/([^)/]+\.ipynb)\)"
    readme.write_text(re.sub(pattern, lambda found: badge(found[1]), readme.read_text()))


def main(arguments: list[str]) -> None:
    """Refresh the lessons that the arguments choose."""
    numbers = tuple(argument for argument in arguments if argument != "--stamp")
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
