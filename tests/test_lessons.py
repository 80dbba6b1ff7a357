"""Every lesson keeps the format of the design page."""

import importlib.util
import re
import statistics
import tomllib

import nbformat
import pytest

from conftest import ROOT

NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))
WRONG_ANSWERS = tomllib.loads((ROOT / "tests" / "wrong_answers.toml").read_text())
MOST_BYTES, MOST_LINES, MOST_IGNORED = 1_000_000, 30, 2

pytestmark = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def load_refresh():
    spec = importlib.util.spec_from_file_location("refresh", NOTEBOOKS / "refresh.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


refresh = load_refresh()


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def words(cell):
    """Count the words a reader reads: no answers, links or tables."""
    prose = re.sub(r"<details>.*?</details>|\]\([^)]*\)|^\|.*$", " ", cell.source, flags=re.S | re.M)
    return len(re.findall(r"\w+", prose))


def test_lesson_is_a_valid_notebook_of_the_right_size(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    assert path.stat().st_size < MOST_BYTES
    assert 25 <= len(cells(path, "code")) + len(cells(path, "markdown")) <= 70


def test_outputs_come_from_one_clean_run(path):
    code = cells(path, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_code_cells_are_short(path):
    lengths = [len(cell.source.splitlines()) for cell in cells(path, "code")]
    assert statistics.median(lengths) <= 6
    assert max(lengths) <= MOST_LINES


def test_prose_comes_in_small_pieces(path):
    lengths = [words(cell) for cell in cells(path, "markdown")]
    assert 15 <= statistics.median(lengths) <= 60
    assert max(lengths) <= 100


def test_lesson_opens_and_closes_as_all_do(path):
    prose = [cell.source for cell in cells(path, "markdown")]
    assert prose[0].startswith(f"# {int(path.stem[:2])} · ")
    for part in ("After this lesson", "**Time:**", "colab-badge.svg"):
        assert part in prose[0]
    ending = "\n".join(prose[-3:])
    assert "## Recap" in ending
    assert 2 <= ending.count("<details><summary>Answer</summary>") <= 3
    assert prose[-1].startswith("**Next:**")


def test_links_between_lessons_lead_somewhere(path):
    for cell in cells(path, "markdown"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", cell.source):
            assert (NOTEBOOKS / target).is_file(), target


def test_address_and_first_cell_are_stamped(path):
    assert cells(path, "code")[0].source == refresh.setup_cell()
    assert refresh.badge(path.name) in cells(path, "markdown")[0].source


def test_pictures_have_alternative_text(path):
    """An image in the prose has one; a plot is followed by its description in words."""
    notebook = nbformat.read(path, as_version=4)
    for cell, after in zip(notebook.cells, notebook.cells[1:], strict=False):
        assert not re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=\"[^\"]+\")", cell.source)
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            assert after.source.startswith(("*The plot in words:*", "*The picture in words:*"))


def test_ignored_outputs_are_few_and_carry_a_reason(path):
    lines = [line for cell in cells(path, "code") for line in cell.source.splitlines() if "NBVAL" in line]
    assert len(lines) <= MOST_IGNORED
    for line in lines:
        assert re.search(r"NBVAL_IGNORE_OUTPUT\W+\w+", line)
    assert not [cell for cell in cells(path, "code") if cell.metadata.get("tags")]


def test_exercises_have_a_stub_a_hint_a_right_and_a_wrong_answer(path):
    code, prose = ("\n".join(cell.source for cell in cells(path, kind)) for kind in ("code", "markdown"))
    stubs = re.findall(r'^(\w+) = \.\.\..*\nhelpers\.check\("([\d.]+)", \1\b', code, re.M)
    assert len(stubs) == code.count("helpers.check(")
    for name, exercise in stubs:
        assert re.search(rf"```python\n(?:.*\n)*?(?:def )?{name}\b", prose), f"no answer fills in {name}"
        assert WRONG_ANSWERS.get(exercise), f"no wrong answer to {exercise}"
    assert prose.count("<summary>Hint</summary>") >= len(stubs)
