"""Stamp every lesson, run it from top to bottom, and keep its outputs.

    python notebooks/refresh.py            all lessons
    python notebooks/refresh.py 03 06      only these
    python notebooks/refresh.py --stamp    stamp only, run nothing
    python notebooks/refresh.py --address URL  say where it is published

Stamped is what all lessons share: the line of links below the title,
the counted minutes, and the folded cell for Colab. The public address
stands in one place: Repository, under [project.urls] in pyproject.toml.
The commit of the official clip stands in environment.yml.
"""

import base64
import io
import os
import re
import sys
from pathlib import Path

import nbformat
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelspec import get_kernel_dict
from nbclient import NotebookClient
from PIL import Image

# else two kernels spin for the same cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
NOTEBOOKS = Path(__file__).resolve().parent
ROOT = NOTEBOOKS.parent
COLAB_CELL = """\
# @title On Colab: fetch the course (elsewhere, this only checks the kernel)
import importlib.util
import os
import sys

if "google.colab" in sys.modules:
    course = "{course}"
    package = "git+https://github.com/openai/CLIP.git"
    commit = "{commit}"
    if not os.path.isdir("course"):
        !git clone --quiet --depth 1 {{course}} course
    if not os.path.isdir("course/helpers"):
        raise RuntimeError(f"Expected a clone of {{course}}; got none.")
    %pip install --quiet ftfy regex tqdm filelock pooch
    %pip install --quiet {{package}}@{{commit}}
    sys.path.insert(0, os.path.abspath("course"))
    colab = course.replace("//", "//colab.research.google.com/", 1)
    for lesson in [
{near}    ]:
        print(colab.replace(".com/github.com", ".com/github"), end="/")
        print(f"blob/main/notebooks/{{lesson}}")
sys.path.append(os.path.abspath(".."))
# Waiting threads sleep, else two open lessons take eight times as long
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if not importlib.util.find_spec("clip"):
    raise RuntimeError(
        f"Expected the kernel of the course; got {{sys.executable}}, which "
        "has no clip. Choose another kernel, or run `make lab`."
    )"""
# GitHub shows no widgets: a lesson falls back on an image, which is kept
NO_WIDGETS = "import sys; sys.modules['ipywidgets'] = None"
UNSET = "github.com/OWNER/"
LINKS = re.compile(r"^(?:\[←|\[All lessons|\[Open lesson).*$", re.M)
MINUTES = re.compile(r"\*\*(?:Time:\*\* )?\d+ minutes\b\.?(?:\*\*)?")
LARGE_FIGURE = 60_000  # bytes
WORDS_A_MINUTE, LINES_A_MINUTE = 150, 12


def address() -> str:
    """Return the public address of the repository."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(r'^Repository = "(.+)"', project, re.M)[1]


def lessons() -> list[Path]:
    """List the lessons in their order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))


def colab_address(name: str) -> str:
    """Return where Colab opens the lesson with this file name."""
    repository = address().removeprefix("https://github.com/")
    colab = "https://colab.research.google.com/github"
    return f"{colab}/{repository}/blob/main/notebooks/{name}"


def neighbours(path: Path) -> dict[str, Path]:
    """Return the lessons before and after this one, by their arrows."""
    found = lessons()
    i = found.index(path)
    before, after = found[max(0, i - 1) : i], found[i + 1 : i + 2]
    return {
        arrow: p for arrow, ps in (("←", before), ("→", after)) for p in ps
    }


def number_and_title(path: Path) -> str:
    """Read the title of a lesson, such as "6 · Compare"."""
    first = nbformat.read(path, as_version=4).cells[0].source
    return first.splitlines()[0].removeprefix("# ")


def link_line(path: Path) -> str:
    """Write the links: back, all lessons, on, glossary, and Colab."""
    near = neighbours(path)
    parts = ["[All lessons](../README.md#the-lessons)"]
    if "←" in near:
        title = number_and_title(near["←"])
        parts.insert(0, f"[← {title}]({near['←'].name})")
    if "→" in near:
        title = number_and_title(near["→"])
        parts.append(f"[{title} →]({near['→'].name})")
    parts.append("[Glossary](../GLOSSARY.md)")
    if UNSET not in address():
        parts.append(f"[Open in Colab]({colab_address(path.name)})")
    return " · ".join(parts)


def colab_cell(path: Path) -> str:
    """Write the folded cell that fetches the course on Colab."""
    environment = (ROOT / "environment.yml").read_text(encoding="utf-8")
    commit = re.search(r"openai/CLIP\.git@([0-9a-f]{40})", environment)[1]
    near = "".join(
        f'        "{near.name}",\n' for near in neighbours(path).values()
    )
    return COLAB_CELL.format(course=address(), commit=commit, near=near)


def minutes(notebook: nbformat.NotebookNode) -> int:
    """Count the minutes of a lesson up to its exercises, in fives."""
    words = lines = 0
    for cell in notebook.cells:
        if cell.source.startswith("## Exercises"):
            break
        if cell.cell_type == "markdown":
            folded = r"<details>.*?</details>|\]\([^)]*\)"
            prose = re.sub(folded, " ", cell.source, flags=re.S)
            words += len(re.findall(r"\w+", prose))
        elif not cell.metadata.get("cellView"):
            lines += len(cell.source.splitlines())
    return max(
        5, 5 * round((words / WORDS_A_MINUTE + lines / LINES_A_MINUTE) / 5)
    )


def metadata() -> dict:
    """Write what JupyterLab would, so that opening changes nothing."""
    kernel = get_kernel_dict()
    spec = {key: kernel[key] for key in ("display_name", "language")}
    return {
        "kernelspec": {"name": "python3", **spec},
        "language_info": IPythonKernel.language_info,
    }


def stamp(path: Path) -> nbformat.NotebookNode:
    """Bring up to date what all lessons share."""
    notebook = nbformat.read(path, as_version=4)
    first, code = (
        notebook.cells[0],
        next(cell for cell in notebook.cells if cell.cell_type == "code"),
    )
    code.source = colab_cell(path)
    code.metadata.update(cellView="form", jupyter={"source_hidden": True})
    title, _, rest = first.source.partition("\n")
    rest = LINKS.sub("", rest, count=1).strip()
    rest = MINUTES.sub(f"**{minutes(notebook)} minutes.**", rest, count=1)
    first.source = f"{title}\n\n{link_line(path)}\n\n{rest}"
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
            describe(cell)
            shrink(cell)


def describe(cell: nbformat.NotebookNode) -> None:
    """Give each image the alternative text that its cell carries."""
    texts = iter(cell.metadata.get("alt", []))
    for output in cell.outputs:
        for kind in ("image/png", "image/svg+xml"):
            if kind in output.get("data", {}):
                output.metadata.setdefault(kind, {})["alt"] = next(
                    texts, ""
                )


def shrink(cell: nbformat.NotebookNode) -> None:
    """Store large figures with 256 colours, which takes a third."""
    for output in cell.outputs:
        png = base64.b64decode(output.get("data", {}).get("image/png", ""))
        if len(png) > LARGE_FIGURE:
            small = io.BytesIO()
            figure = Image.open(io.BytesIO(png)).convert("RGBA")
            figure = figure.quantize(256, Image.Quantize.FASTOCTREE)
            figure.save(small, "PNG", optimize=True)
            text = base64.b64encode(small.getvalue()).decode()
            output.data["image/png"] = text


def keep_hero(path: Path, notebook: nbformat.NotebookNode) -> None:
    """Save the best image of a lesson, which its first cell shows."""
    for cell in notebook.cells:
        if cell.metadata.get("hero"):
            images = (
                o.data["image/png"] for o in cell.outputs if "data" in o
            )
            target = ROOT / "images" / "lessons" / f"{path.name[:2]}.png"
            target.write_bytes(base64.b64decode(next(images)))


def is_progress_bar(output: nbformat.NotebookNode) -> bool:
    """Tell a slow machine's bar from a warning for the author."""
    return output.get("name") == "stderr" and (
        not output.text.strip()
        or "it/s" in output.text
        or "s/it" in output.text
    )


def stamp_readme() -> None:
    """Bring the minutes of each part in README up to date."""
    readme = ROOT / "README.md"
    counted = {
        path.name: minutes(nbformat.read(path, as_version=4))
        for path in lessons()
    }

    def with_sum(row: re.Match) -> str:
        names = re.findall(r"\]\(notebooks/([^)]+)\)", row[1])
        return f"{row[1]}{sum(counted[name] for name in names)}{row[2]}"

    text = readme.read_text(encoding="utf-8")
    row = r"^(\| .*\]\(notebooks/.*\| )\d+( \|)$"
    text = re.sub(row, with_sum, text, flags=re.M)
    readme.write_text(text, encoding="utf-8", newline="\n")


def publish(new: str) -> None:
    """Change the public address, and stamp all that names it."""
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", new):
        sys.exit(
            "Expected an address such as "
            f"https://github.com/you/clip-encoders; got {new!r}."
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
    for path in lessons():
        if not numbers or path.name.startswith(numbers):
            notebook = stamp(path)
            if "--stamp" not in arguments:
                print(path.name, flush=True)
                run(notebook)
                keep_hero(path, notebook)
            nbformat.write(notebook, path)
    stamp_readme()


if __name__ == "__main__":
    main(sys.argv[1:])
