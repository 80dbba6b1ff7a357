"""Every lesson opens as all do, keeps the outputs of one clean run, and has exercises that check themselves."""

import os
import re
import sys
import tomllib

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from notebooks import refresh
from tests.conftest import ROOT

NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))
CLAIMS = ROOT / "tests" / "claims"
WRONG_ANSWERS = tomllib.loads((ROOT / "tests" / "wrong_answers.toml").read_text())
MOST_BYTES = 1_000_000
IMAGES = ("image/png", "image/svg+xml")

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def test_no_two_lessons_have_one_number():
    numbers = [path.name[:2] for path in LESSONS]
    assert numbers == sorted(set(numbers))


def test_each_file_of_claims_belongs_to_a_lesson():
    assert {path.stem for path in CLAIMS.glob("*.py")} <= {path.name[:2] for path in LESSONS}


def test_each_wrong_answer_belongs_to_an_exercise():
    sources = "\n".join(cell.source for path in LESSONS for cell in cells(path, "code"))
    assert not set(WRONG_ANSWERS) - set(re.findall(r'\bcheck\("([\d.]+)"', sources))


@every_lesson
def test_a_lesson_is_a_valid_notebook_of_less_than_a_megabyte(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert path.stat().st_size < MOST_BYTES


@every_lesson
def test_a_lesson_opens_with_its_title_its_links_and_its_minutes(path):
    opening = cells(path, "markdown")[0].source
    assert opening.startswith(f"# {int(path.stem[:2])} · ")
    assert opening.splitlines()[2] == refresh.link_line(path)
    assert f"**{refresh.minutes(nbformat.read(path, as_version=4))} minutes.**" in opening


@every_lesson
def test_the_first_code_cell_is_the_folded_one_for_colab(path):
    first = cells(path, "code")[0]
    assert first.source == refresh.colab_cell(path)
    assert first.metadata["cellView"] == "form"
    assert first.metadata["jupyter"]["source_hidden"]


def test_the_first_code_cell_lets_waiting_threads_sleep(monkeypatch):
    """Else two lessons that train at once take eight times as long; PyTorch reads it when it is imported."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    cell = refresh.colab_cell(LESSONS[0])
    assert "torch" not in cell
    exec(TransformerManager().transform_cell(cell), {})
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@every_lesson
def test_outputs_come_from_one_clean_run(path):
    code = cells(path, "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


@every_lesson
def test_opening_a_lesson_changes_nothing(path):
    """JupyterLab writes down the kernel; only another version of Python makes a difference."""
    saved, written = nbformat.read(path, as_version=4).metadata, refresh.metadata()
    assert saved.kernelspec == written["kernelspec"]
    assert {**saved.language_info, "version": ""} == {**written["language_info"], "version": ""}


@every_lesson
def test_an_image_has_alternative_text(path):
    """As its cell's metadata give it; `test_links` looks at the images in the prose."""
    for cell in cells(path, "code"):
        shown = [(kind, output) for output in cell.outputs for kind in IMAGES if kind in output.get("data", {})]
        told = [output.metadata.get(kind, {}).get("alt", "") for kind, output in shown]
        assert all(told), cell.source
        assert told == list(cell.metadata.get("alt", [])), cell.source


@every_lesson
def test_tests_are_not_in_the_readers_way(path):
    """A reason to ignore an output stands in the metadata, a claim about `tiny` in tests/claims."""
    notebook = nbformat.read(path, as_version=4)
    assert not [cell.source for cell in notebook.cells if re.search(r"(?i)nbval|\bobserve\(", cell.source)]
    for cell in notebook.cells:
        assert cell.metadata.get("tags", []) in ([], ["nbval-ignore-output"])
        assert bool(cell.metadata.get("tags")) == bool(cell.metadata.get("reason")), cell.source


@every_lesson
def test_a_claim_names_a_cell_of_its_lesson(path):
    file = CLAIMS / f"{path.name[:2]}.py"
    claimed = re.findall(r"^# %% (\S+)  .", file.read_text(encoding="utf-8"), re.M) if file.is_file() else []
    assert not set(claimed) - {cell.id for cell in cells(path, "code")}
    assert len(claimed) == (file.read_text(encoding="utf-8").count("# %%") if file.is_file() else 0)


@every_lesson
def test_an_exercise_has_a_stub_a_hint_an_answer_and_wrong_answers(path):
    """The answers run after the lesson, and must be called right, the wrong ones wrong: see `conftest.py`."""
    notebook = nbformat.read(path, as_version=4)
    stub = re.compile(r'^(\w+) = \.\.\..*\n(?:.*\n)*?check\("([\d.]+)", \1\b', re.M)
    for i, cell in enumerate(notebook.cells):
        for exercise in re.findall(r'\bcheck\("([\d.]+)"', cell.source) if cell.cell_type == "code" else []:
            (found,) = stub.findall(cell.source)
            question, answer = notebook.cells[i - 1].source, notebook.cells[i + 1].source
            lesson, number = exercise.split(".")
            assert found[1] == exercise
            assert int(lesson) == int(path.stem[:2])
            assert re.match(rf"\*\*(?:Exercise )?{number}\.", question), f"no cell asks exercise {exercise}"
            assert "<details><summary>Hint</summary>" in question, f"no hint to {exercise}"
            filled = rf"```python\n(?:.*\n)*?(?:def )?{found[0]}\b"
            assert re.search(filled, answer), f"no answer fills in {found[0]}"
            assert WRONG_ANSWERS.get(exercise), f"no wrong answer to {exercise}"
