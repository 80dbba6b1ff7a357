"""Each term of the glossary stands in bold where it says that it is met."""

import re

import nbformat
import pytest

from tests.conftest import ROOT

ROW = re.compile(r"^\| \*\*(.+?)\*\* \| (.+) \| \[(\d+)\]\((notebooks/.+?\.ipynb)\) \|$", re.M)
ROWS = ROW.findall((ROOT / "GLOSSARY.md").read_text(encoding="utf-8"))


def bold_in(file):
    cells = nbformat.read(ROOT / file, as_version=4).cells
    prose = " ".join(" ".join(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    return " · ".join(re.findall(r"\*\*(.+?)\*\*", prose)).lower()


@pytest.mark.parametrize(("term", "meaning", "lesson", "file"), ROWS, ids=[row[0] for row in ROWS])
def test_a_term_is_bold_in_its_lesson(term, meaning, lesson, file):
    assert file.startswith(f"notebooks/{int(lesson):02}-")
    assert term.lower() in bold_in(file)
    assert "**" not in meaning


def test_terms_are_sorted_and_stand_once():
    terms = [row[0].lower() for row in ROWS]
    assert terms == sorted(set(terms))
    assert len(terms) > 50
