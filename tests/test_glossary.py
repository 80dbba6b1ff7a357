"""Every term that a lesson introduces in bold is in the glossary, and every line leads to a lesson."""

import re

import nbformat
import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
LESSONS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
LETTERS = re.findall(r"^## (.+)$", TEXT, re.M)
LINES = re.findall(r"^\*\*.*$", TEXT, re.M)
LESSON = r"\[(?P<number>\d+)\]\((?P<file>notebooks/(?P<prefix>\d\d)-[\w-]+\.ipynb)\)"
FORM = re.compile(rf"\*\*(?P<term>[^*]+)\*\* — .+\. {LESSON}")

# A lesson may use another form of the word.
FORMS = {
    "alpha": "alpha channel",
    "asynchronously": "asynchronous execution",
    "atomic": "atomic operation",
    "clopper–pearson": "clopper–pearson interval",
    "cold": "cold start",
    "contrastive": "contrastive learning",
    "convex": "convex function",
    "crop": "centre crop",
    "exact": "exact search",
    "few-shot": "few-shot learning",
    "graph": "graph index",
    "lbfgs": "l-bfgs",
    "nearest mean": "nearest-mean classifier",
    "out of distribution": "out-of-distribution",
    "pad": "padding",
    "paired": "paired comparison",
    "positions": "positional embedding",
    "`preprocess`": "preprocessing",
    "project": "projection",
    "pulled": "pull and push",
    "pushed": "pull and push",
    "recall at 1": "recall at k",
    "recall at 3": "recall at k",
    "squash": "squashing",
    "the validation loss": "validation loss",
    "validation": "validation set",
    "warm up": "warm-up",
}

# Bold for emphasis: no terms.
EMPHASIS = {
    "a million",
    "byte by byte",
    "bytes",
    "cut",
    "cut the padding",
    "decode less",
    "differences",
    "directions",
    "disk",
    "fewer bits",
    "from a paper",
    "from openai's notebook",
    "from the paper",
    "measure",
    "not below",
    "old task",
    "one line",
    "one machine",
    "path",
    "plan",
    "rename",
    "search",
    "six times",
    "structure",
    "threads",
    "without",
}


def names(term: str) -> set[str]:
    """Split "vision transformer (ViT)" into both of its names."""
    return {name.strip() for name in re.split(r"[()]", term.lower()) if name.strip()}


TERMS = {name for line in LINES if (found := FORM.fullmatch(line)) for name in names(found["term"])}


def bold_terms(path) -> set[str]:
    """Find what a lesson prints in bold, without sentences and labels."""
    cells = nbformat.read(path, as_version=4).cells
    prose = "\n\n".join(" ".join(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    prose = re.sub(r"```.*?```", "", prose)  # `**` is a power there
    bold = (found.lower() for found in re.findall(r"\*\*(.+?)\*\*", prose))
    return {term for term in bold if len(term.split()) <= 3 and term[-1] not in ".:?!" and not term[0].isdigit()}


def is_defined(term: str) -> bool:
    term = FORMS.get(term, term).replace("center", "centre")
    return bool({term, term.removesuffix("s"), term.removesuffix("es")} & TERMS)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_term_in_bold_is_defined(path):
    assert not {term for term in bold_terms(path) - EMPHASIS if not is_defined(term)}


def test_a_line_is_a_term_a_definition_and_a_lesson():
    assert not [line for line in LINES if not FORM.fullmatch(line)]
    found = [FORM.fullmatch(line) for line in LINES]
    assert not [match["term"] for match in found if int(match["number"]) != int(match["prefix"])]
    # `test_readme` and `test_links` check that these lessons exist.
    assert not [match["term"] for match in found if f"]({match['file']})" not in README]


def test_terms_are_in_order_below_their_letters():
    terms = [FORM.fullmatch(line)["term"].lower() for line in LINES]
    assert terms == sorted(set(terms))
    for letter, below in zip(LETTERS, re.split(r"^## .+$", TEXT, flags=re.M)[1:], strict=True):
        initials = {term[0].upper() for term in re.findall(r"^\*\*(.+?)\*\*", below, re.M)}
        assert initials == {letter}


def test_the_index_has_every_letter():
    assert sorted(LETTERS) == LETTERS
    assert " · ".join(f"[{letter}](#{letter.lower()})" for letter in LETTERS) in TEXT
