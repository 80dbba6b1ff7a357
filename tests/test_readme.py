"""What README and the page of the command line say works."""

import re
import shlex
import shutil

import pytest

from helpers.index import command
from tests.conftest import ROOT
from tests.test_lessons import LESSONS

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def beside_the_images(monkeypatch, tmp_path):
    """A folder that has the course's images, as the README's examples expect it."""
    shutil.copytree(ROOT / "images", tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_lesson_is_linked():
    assert not [path.name for path in LESSONS if f"](notebooks/{path.name})" not in README]


def test_the_code_runs(beside_the_images):
    names = {}
    for code in re.findall(r"```python\n(.*?)```", README, re.S):
        exec(code, names)
    assert len(names["index"].paths) > 30


def test_the_search_runs(beside_the_images, capsys):
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    (line,) = (line for line in page.splitlines() if re.search(r"python -m helpers search ", line))
    assert command.main(shlex.split(line)[4:]) == 0
    assert capsys.readouterr().out
