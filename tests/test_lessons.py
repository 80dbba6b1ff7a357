"""Every lesson opens as all do, keeps the outputs of one clean run, and has exercises that check themselves."""

import re
import tomllib

import nbformat
import pytest

from notebooks import refresh
from tests.conftest import ROOT

LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WRONG_ANSWERS = tomllib.loads((ROOT / "tests" / "wrong_answers.toml").read_text())
MOST_BYTES = 1_000_000

pytestmark = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def test_a_lesson_is_a_valid_notebook_of_less_than_a_megabyte(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    assert path.stat().st_size < MOST_BYTES


def test_a_lesson_opens_with_its_title_and_its_link(path):
    opening = cells(path, "markdown")[0].source
    assert opening.startswith(f"# {int(path.stem[:2])} · ")
    assert refresh.colab_link(path.name) in opening


def test_the_first_cell_is_the_one_that_all_lessons_share(path):
    assert cells(path, "code")[0].source == refresh.setup_cell()


def test_outputs_come_from_one_clean_run(path):
    code = cells(path, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_opening_a_lesson_changes_nothing(path):
    """JupyterLab writes down the kernel; only another version of Python makes a difference."""
    saved, written = nbformat.read(path, as_version=4).metadata, refresh.metadata()
    assert saved.kernelspec == written["kernelspec"]
    assert {**saved.language_info, "version": ""} == {**written["language_info"], "version": ""}


def test_a_plot_is_followed_by_its_description_in_words(path):
    """`test_links` looks at the images in the prose."""
    notebook = nbformat.read(path, as_version=4)
    for cell, after in zip(notebook.cells, notebook.cells[1:], strict=False):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            assert after.source.startswith(("*The plot in words:*", "*The image in words:*")), cell.source


def test_an_ignored_output_carries_its_reason(path):
    """In the next line: nbval sees the mark only if it stands alone."""
    for cell in cells(path, "code"):
        for mark in re.findall(r"^.*NBVAL.*\n?.*", cell.source, re.M):
            assert re.fullmatch(r"# NBVAL_IGNORE_OUTPUT\n# \w+.*", mark), mark
        assert not cell.metadata.get("tags")


def test_an_exercise_has_a_stub_a_hint_an_answer_and_wrong_answers(path):
    """The answers run after the lesson, and must be called right, the wrong ones wrong: see `conftest.py`."""
    code, prose = ("\n\n".join(cell.source for cell in cells(path, kind)) for kind in ("code", "markdown"))
    stubs = re.findall(r'^(\w+) = \.\.\..*\n(?:.*\n)*?check\("([\d.]+)", \1\b', code, re.M)
    assert [exercise for _, exercise in stubs] == re.findall(r'\bcheck\("([\d.]+)"', code)
    for name, exercise in stubs:
        lesson, number = exercise.split(".")
        question = re.search(rf"\*\*Exercise {number}\.\*\*(.*?)(?=\n\*\*Exercise|\Z)", prose, re.S)
        assert int(lesson) == int(path.stem[:2])
        assert question, f"no cell asks exercise {exercise}"
        assert "<details><summary>Hint</summary>" in question[1], f"no hint to {exercise}"
        assert re.search(rf"```python\n(?:.*\n)*?(?:def )?{name}\b", question[1]), f"no answer fills in {name}"
        assert WRONG_ANSWERS.get(exercise), f"no wrong answer to {exercise}"
