"""Build the course as a site, into build/site: the lessons with the outputs they have, and the other pages.

python -m docs.site.build

Two steps: stage the sources in build/site-source, with links that fit there, then run Sphinx on them (conf.py) with
warnings as errors. The playground (docs/playground) writes its own files beside its page.
"""

import base64
import os
import re
import shutil
import sys
import time
from html import escape
from pathlib import Path

import nbformat
from sphinx.cmd.build import build_main

from docs.playground.build import build as build_playground
from docs.playground.page import write_page, write_teaser
from docs.site.mathml import write_font
from notebooks import refresh

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
SITE, STAGE, DOCTREES = (ROOT / "build" / name for name in ("site", "site-source", "site-doctrees"))
NAMES = {
    "README.md": "index.md",
    "GLOSSARY.md": "glossary.md",
    "helpers/README.md": "api.md",
    "benchmarks/results.md": "speed.md",
    "training/README.md": "model-card.md",
    "images/LICENSE.md": "image-licence.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}
PAGES = NAMES | {
    **{f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))},
    **{f"notebooks/{path.name}": f"lessons/{path.name}" for path in refresh.lessons()},
}
IMAGES = (".png", ".svg", ".jpg", ".jpeg", ".gif")
CODE_OR_LINK = re.compile(
    r"^```.*?^```|\[([^\]\[]*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)|`[^`\n]+`", re.M | re.S
)
HEAD = re.compile(
    r"# (?P<title>.+)\n\n(?P<lead>.+)\n\n(?P<intro>.+)\n\n"
    r"(?P<picture>!.+)\n\n\*(?P<caption>.+)\*\n[\s\S]*?\n(?P<note>> .+)\n"
)
LESSON = re.compile(r"(\d+)&nbsp;(\[[^\]]+\]\([^)]+\))([^<|]*)")
PART = re.compile(r"^\| \*\*(.+?)\*\* \| (.+?) \| (\d+) \|$", re.M)


def links(text: str, source: str, address: str) -> str:
    """Let the links of a page lead to pages and images of the site, else to the repository, if its address is set."""

    def link(found: re.Match) -> str:
        label, file, anchor = found[1], found[2], found[3] or ""
        if file is None:
            return found[0]
        target = os.path.normpath(os.path.join(os.path.dirname(source), file))  # noqa: PTH118, PTH120
        folder = Path(PAGES.get(source, source)).parent
        if target in PAGES:
            return f"[{label}]({os.path.relpath(PAGES[target], folder)}{anchor})"
        if target.endswith(IMAGES):
            copy(ROOT / target, target.lstrip("."))
            return f"[{label}]({os.path.relpath(target.lstrip('.'), folder)})"
        return f"[{label}]({address}/blob/main/{target}{anchor})" if refresh.UNSET not in address else label

    return CODE_OR_LINK.sub(link, text)


def front_page(readme: str, address: str) -> str:
    """Rearrange README: title, what it is about and the buttons, then the parts as cards, then its other sections."""
    if not (head := HEAD.match(readme)):
        sys.exit("Expected README to begin with title, two paragraphs, picture, caption, note; got another order.")
    sections = re.split(r"^## ", readme, flags=re.M)[1:]
    words = head.groupdict() | {
        "teaser": write_teaser(),
        "cards": cards(readme),
        "sections": "".join(f"## {text}" for text in sections if not text.startswith("The lessons")),
        "docs": "\n".join(Path(page).stem for source, page in PAGES.items() if source.startswith("docs/")),
        "parts": "\n".join(contents(*part) for part in PART.findall(readme)),
    }
    page = (HERE / "front.md").read_text(encoding="utf-8")
    for name, text in words.items():
        page = page.replace(f"@{name}@", text)
    return links(page, "README.md", address)


def cards(readme: str) -> str:
    """Write a card for each row of README's table: a part, its minutes, and its lessons."""
    found = []
    for name, row, minutes in PART.findall(readme):
        lessons = "\n".join(f"{number}. {link}{gloss}" for number, link, gloss in LESSON.findall(row))
        found.append(f'<div class="card">\n<h3>Part {name}</h3>\n<p>{minutes} minutes</p>\n\n{lessons}\n\n</div>')
    return "\n\n".join(found)


def contents(name: str, row: str, minutes: str) -> str:
    """Write the entry of a part in the table of contents."""
    pages = re.findall(r"\]\((notebooks/[^)]+)\)", row)
    return "\n".join(
        ["```{toctree}", ":hidden:", f":caption: 'Part {name}'", "", *(PAGES[page] for page in pages), "```", ""]
    )


def lesson(path: Path, address: str) -> nbformat.NotebookNode:
    """Read a lesson; its cell for Colab is folded, it has a link for the download, and its figures have words."""
    notebook = nbformat.read(path, as_version=4)
    download = f'<a href="{path.name}" download>Download the notebook</a>'
    notebook.cells[0].source = refresh.LINKS.sub(
        lambda line: f"{{.links}}\n{line[0]} · {download}", notebook.cells[0].source, count=1
    )
    for cell in notebook.cells:
        if cell.metadata.get("cellView"):
            cell.metadata["tags"] = ["hide-input"]
        if cell.cell_type == "markdown":
            cell.source = links(cell.source, f"notebooks/{path.name}", address)
        for i, output in enumerate(cell.get("outputs", [])):
            show_figure(output, f"{path.name[:2]}-{cell.id}-{i}")
    copy(path, f"extra/lessons/{path.name}")
    return notebook


def show_figure(output: nbformat.NotebookNode, name: str) -> None:
    """Turn a figure into HTML: Sphinx knows one alternative text per cell, and no height, so the page would jump."""
    for kind, suffix in (("image/png", ".png"), ("image/svg+xml", ".svg")):
        if kind in output.get("data", {}):
            content = output.data[kind]
            write(f"extra/figures/{name}{suffix}", base64.b64decode(content) if suffix == ".png" else content.encode())
            about = output.metadata[kind]
            size = [f'{side}="{about[side]}"' for side in ("width", "height") if side in about]
            size = size or re.findall(r'\b(?:width|height)="\d+"', content)[:2]
            source = f'src="../figures/{name}{suffix}" alt="{escape(about["alt"])}"'
            output.data = {"text/html": f'<img class="figure" loading="lazy" {source} {" ".join(size)}>'}


written: set[Path] = set()


def write(name: str, content: bytes) -> None:
    """Write a file of the staged tree, unless it is there already: Sphinx reads again what is newer."""
    path = STAGE / name
    written.add(path)
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def copy(path: Path, name: str) -> None:
    """Copy a file into the staged tree."""
    write(name, path.read_bytes())


def stage() -> None:
    """Write all that Sphinx reads, and remove what no longer belongs there, from the site as well."""
    written.clear()
    address = refresh.address()
    for source, page in PAGES.items():
        path = ROOT / source
        if path.suffix == ".ipynb":
            content = nbformat.writes(lesson(path, address))
        elif source == "README.md":
            content = front_page(path.read_text(encoding="utf-8"), address)
        else:
            content = links(path.read_text(encoding="utf-8"), source, address)
        write(page, content.encode())
    copy(HERE / "playground.md", "playground.md")
    write("playground.html", write_page(SITE / "playground").encode())
    for path in STAGE.rglob("*"):
        if path.is_file() and path not in written:
            path.unlink()
            (SITE / path.relative_to(STAGE)).with_suffix(".html").unlink(missing_ok=True)


def build() -> Path:
    """Build the site, and return its folder; Sphinx tells what is wrong before this ends the program."""
    stage()
    environment = DOCTREES / "environment.pickle"
    if environment.exists() and any(path.stat().st_mtime > environment.stat().st_mtime for path in HERE.glob("*.py")):
        shutil.rmtree(DOCTREES)  # else Sphinx would keep pages that an earlier version of our code wrote
    arguments = ["-q", "-W", "--keep-going", "-c", HERE, "-d", DOCTREES, STAGE, SITE]
    if build_main([str(argument) for argument in arguments]):
        sys.exit("Expected a site without warnings; got those above. Fix them, and run make site again.")
    write_font(SITE)
    build_playground(SITE / "playground")
    return SITE


def main() -> None:
    """Build the site, and tell what was built."""
    start = time.monotonic()
    files = [path for path in build().rglob("*") if path.is_file()]
    pages, size = sum(path.suffix == ".html" for path in files), sum(path.stat().st_size for path in files)
    seconds = time.monotonic() - start
    print(f"{SITE.relative_to(ROOT)}: {pages} pages, {size / 1e6:.1f} MB, in {seconds:.0f} s")


if __name__ == "__main__":
    main()
