"""What the README says works."""

import json
import re
import shlex
import shutil
import statistics

import pytest

from helpers.index import command
from notebooks import refresh
from tests.conftest import ROOT
from tests.test_lessons import LESSONS, cells

PEERS = ("open_clip", "transformers", "sentence-transformers")
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


def test_the_commands_run(monkeypatch, tmp_path, capsys):
    """`search` as it stands there; `check` has tests of its own."""
    shutil.copytree(ROOT / "images", tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line) for line in README.splitlines() if line.startswith(".venv/bin/python -m helpers ")]
    assert [command[3] for command in commands] == ["check", "search"]
    assert command.main(commands[1][4:]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("car.png")
    assert (tmp_path / "found.html").is_file()


def test_speed_is_that_of_the_benchmark():
    results = json.loads((ROOT / "benchmarks" / "figures" / "intel-xeon.json").read_text())
    large, prompts = (
        {name: statistics.median(row["per_second"]) for name, row in table.items()}
        for table in (results["folders"]["12 megapixels"], results["texts"]["prompts"])
    )
    peer, peer_prompts = (max(PEERS, key=table.get) for table in (large, prompts))
    tutorial = large[next(name for name in large if name.endswith("one at a time"))]
    speed = " ".join(README[README.index("**How fast?**") :].split())
    assert f"{large['helpers']:.1f} photographs" in speed
    assert f"give {tutorial:.1f} and the fastest other library, {peer}, {large[peer]:.1f};" in speed
    there = f"where the fastest other library there, {peer_prompts}, gives {prompts[peer_prompts]:.0f}"
    assert f"{prompts['helpers']:.0f} prompts a second, {there}" in speed


def test_as_many_drawings_find_their_caption_as_in_lesson_6():
    (path,) = (path for path in LESSONS if path.name.startswith("06-"))
    printed = "".join(output.get("text", "") for cell in cells(path, "code") for output in cell.outputs)
    found, of = re.search(r"(\d+) of (\d+) drawings find their caption", printed).groups()
    assert re.search(rf"Of the {of} drawings[^.]*\bit gives {found} their own caption", README)
