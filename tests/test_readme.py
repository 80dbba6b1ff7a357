"""What the README says works."""

import re
import shutil

import pytest
from test_lessons import LESSONS, refresh

from conftest import ROOT

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_lesson_stands_in_the_table_with_its_link_to_colab(path):
    (row,) = [line for line in README.splitlines() if line.startswith(f"| {int(path.stem[:2])} |")]
    assert f"](notebooks/{path.name})" in row
    assert f"]({refresh.colab_address(path.name)})" in row


def test_minutes_are_those_of_the_lessons():
    for path in LESSONS:
        minutes = re.search(r"\*\*Time:\*\* (\d+) minutes", path.read_text())[1]
        assert re.search(rf"^\| {int(path.stem[:2])} \|.*\| {minutes} \|", README, re.M), path.name


def test_the_code_runs(monkeypatch, tmp_path):
    shutil.copytree(ROOT / "images", tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in re.findall(r"```python\n(.*?)```", README, re.S):
        exec(code, names)
    assert names["similarity"].shape == (2, 2)
    assert names["match"].path.parent == tmp_path / "images"
