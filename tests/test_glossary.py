"""Each term of the glossary stands in bold in the lesson that it names."""

import re
from functools import cache

import nbformat

from tests.conftest import ROOT

ROW = re.compile(r"^\| \*\*(.+?)\*\* \| (.+) \| \[(\d+)\]\((notebooks/.+?\.ipynb)\) \|$", re.M)
ROWS = ROW.findall((ROOT / "GLOSSARY.md").read_text(encoding="utf-8"))


@cache
def bold_in(file):
    cells = nbformat.read(ROOT / file, as_version=4).cells
    prose = " ".join(" ".join(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    return " · ".join(re.findall(r"\*\*(.+?)\*\*", prose)).lower()


def test_a_term_is_bold_in_its_lesson():
    assert ROWS
    assert not [(term, file) for term, _, _, file in ROWS if term.lower() not in bold_in(file)]
    assert not [file for _, _, lesson, file in ROWS if not file.startswith(f"notebooks/{int(lesson):02}-")]


def test_terms_are_sorted_and_stand_once():
    terms = [row[0].lower() for row in ROWS]
    assert terms == sorted(set(terms))
