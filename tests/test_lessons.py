"""Every lesson keeps the format of the design page."""

import re
import statistics
import tomllib

import nbformat
import pytest

from notebooks import refresh
from tests.conftest import ROOT

NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))
WRONG_ANSWERS = tomllib.loads((ROOT / "tests" / "wrong_answers.toml").read_text())
MOST_BYTES, MOST_CELLS, MOST_LINES, MOST_IGNORED = 1_000_000, 70, 30, 2
MOST_CODE_COLUMNS, MOST_OUTPUT_COLUMNS = 76, 80  # what a browser 1280 pixels wide shows beside the list of files
ANSWER = "<details><summary>Answer</summary>"

pytestmark = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def is_taster(path):
    """Lesson 0 is the first five minutes: shorter, and without exercises."""
    return path.name.startswith("00-")


def words(cell):
    """Count the words a reader reads: no hints, answers, links or tables."""
    prose = re.sub(r"<details>.*?</details>|\]\([^)]*\)|^\|.*$", " ", cell.source, flags=re.S | re.M)
    return len(re.findall(r"\w+", prose))


def test_lesson_is_a_valid_notebook_of_the_right_size(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    assert path.stat().st_size < MOST_BYTES
    fewest = 10 if is_taster(path) else 25
    assert fewest <= len(cells(path, "code")) + len(cells(path, "markdown")) <= MOST_CELLS


def test_outputs_come_from_one_clean_run(path):
    code = cells(path, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_code_cells_are_short(path):
    lengths = [len(cell.source.splitlines()) for cell in cells(path, "code")]
    builds = path.name.startswith(("13-", "15-"))  # a block of a ViT, a training: long, but one thought
    assert statistics.median(lengths) <= (16 if builds else 6)
    assert max(lengths) <= MOST_LINES


def test_prose_comes_in_small_pieces(path):
    prose = [cell for cell in cells(path, "markdown") if not cell.source.startswith(("## Exercises", ANSWER))]
    lengths = [words(cell) for cell in prose]
    assert 15 <= statistics.median(lengths) <= 60
    assert max(lengths) <= 100


def test_a_heading_opens_its_cell(path):
    for cell in cells(path, "markdown"):
        assert not re.search(r"\n#+ ", re.sub(r"```.*?```", "", cell.source, flags=re.S)), cell.source


def test_a_cell_that_checks_something_shows_something(path):
    for cell in cells(path, "code"):
        assert cell.outputs or not re.search(r"\bassert\b|\bobserve\(", cell.source), cell.source


def test_nothing_scrolls_sideways_or_breaks_inside_words(path):
    """Ruff sees to the code cells; here are the folded answers and the outputs."""
    for cell in cells(path, "markdown"):
        for line in "".join(re.findall(r"```python\n(.*?)```", cell.source, re.S)).splitlines():
            assert len(line) <= MOST_CODE_COLUMNS, line
    for cell in cells(path, "code"):
        for output in cell.outputs:
            data = output.get("data", {})
            text = output.get("text", "" if {"image/png", "text/html"} & {*data} else data.get("text/plain", ""))
            for line in text.splitlines():
                assert len(line) <= MOST_OUTPUT_COLUMNS, line


def test_lesson_opens_as_all_do(path):
    opening = cells(path, "markdown")[0].source
    assert opening.startswith(f"# {int(path.stem[:2])} · ")
    for part in ("After this lesson", "**Time:**", refresh.colab_link(path.name)):
        assert part in opening


def test_lesson_closes_as_all_do(path):
    """Recap, exercises of three cells each (question and hint, stub and check, answer), the next lesson."""
    ending = nbformat.read(path, as_version=4).cells
    assert ending[-1].source.startswith("**Next:**")
    if is_taster(path):
        return
    titles = [cell.source.splitlines()[0] if cell.source else "" for cell in ending]
    exercises = ending[titles.index("## Exercises") + 1 : -1]
    assert titles.index("## Recap") < titles.index("## Exercises")
    assert len(exercises) in (6, 9), "two or three exercises of three cells each, and nothing between them"
    for i, (question, stub, answer) in enumerate(zip(*[iter(exercises)] * 3, strict=True), start=1):
        assert question.source.startswith(f"**Exercise {i}.** ")
        assert question.source.count("<details><summary>Hint</summary>\n\n") == 1
        assert question.source.rstrip().endswith("</details>")
        assert stub.cell_type == "code"
        assert stub.source.splitlines()[-1].startswith(f'helpers.check("{int(path.stem[:2])}.{i}", ')
        assert answer.source.startswith(ANSWER)
        assert answer.source.rstrip().endswith("</details>")


def test_links_between_lessons_lead_somewhere(path):
    for cell in cells(path, "markdown"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", cell.source):
            assert (NOTEBOOKS / target).is_file(), target


def test_address_and_first_cell_are_stamped(path):
    assert cells(path, "code")[0].source == refresh.setup_cell()


def test_opening_a_lesson_changes_nothing(path):
    """JupyterLab writes down the kernel; only another version of Python makes a difference."""
    saved, written = nbformat.read(path, as_version=4).metadata, refresh.metadata()
    assert saved.kernelspec == written["kernelspec"]
    assert {**saved.language_info, "version": ""} == {**written["language_info"], "version": ""}


def test_images_have_alternative_text(path):
    """An image in the prose has one; a plot is followed by its description in words."""
    notebook = nbformat.read(path, as_version=4)
    for cell, after in zip(notebook.cells, notebook.cells[1:], strict=False):
        assert not re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=\"[^\"]+\")", cell.source)
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            assert after.source.startswith(("*The plot in words:*", "*The image in words:*"))


def test_ignored_outputs_are_few_and_carry_a_reason(path):
    """In the next line: nbval sees the mark only if it stands alone."""
    code = [cell.source for cell in cells(path, "code")]
    marks = [match for source in code for match in re.findall(r"^.*NBVAL.*\n?.*", source, re.M)]
    assert len(marks) <= MOST_IGNORED
    for mark in marks:
        assert re.fullmatch(r"# NBVAL_IGNORE_OUTPUT\n# \w+.*", mark), mark
    assert not [cell for cell in cells(path, "code") if cell.metadata.get("tags")]


def test_every_stub_has_a_right_and_a_wrong_answer(path):
    code, prose = ("\n".join(cell.source for cell in cells(path, kind)) for kind in ("code", "markdown"))
    stubs = re.findall(r'^(\w+) = \.\.\..*\nhelpers\.check\("([\d.]+)", \1\b', code, re.M)
    assert len(stubs) == code.count("helpers.check(")
    for name, exercise in stubs:
        assert re.search(rf"```python\n(?:.*\n)*?(?:def )?{name}\b", prose), f"no answer fills in {name}"
        assert WRONG_ANSWERS.get(exercise), f"no wrong answer to {exercise}"
