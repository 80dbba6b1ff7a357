"""example.py is the check of an installation: it must be dependable."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from example import main
from tests.conftest import IMAGES, ROOT


def example(*arguments, folder):
    return subprocess.run(
        [sys.executable, str(ROOT / "example.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


def test_without_arguments_it_compares_two_mazes_with_four_texts(tmp_path):
    result = example(folder=tmp_path)
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("model tiny on ")
    assert lines[1].split() == ["maze1.jpeg", "maze2.jpeg"]
    rows = {line[:12].strip(): [float(value) for value in line[12:].split()] for line in lines[2:6]}
    assert list(rows) == ["maze", "game", "cat", "win the game"]
    for j in range(2):
        assert max(rows, key=lambda text: rows[text][j]) == "maze"
    assert lines[6] == "heatmap: similarity.png"
    with Image.open(tmp_path / "similarity.png") as heatmap:
        assert min(heatmap.size) > 300


def test_json_is_the_matrix_and_nothing_else_and_repeats_exactly(tmp_path):
    first, second = (example("--json", folder=tmp_path) for _ in range(2))
    assert first.stdout == second.stdout
    matrix = json.loads(first.stdout)
    assert [len(row) for row in matrix] == [2, 2, 2, 2]
    assert not list(tmp_path.iterdir())


def test_own_images_texts_and_output(tmp_path):
    result = example(IMAGES / "cat.png", "--texts", "a cat", "a bus", "--output", "mine.png", folder=tmp_path)
    assert result.returncode == 0
    assert "cat.png" in result.stdout
    assert (tmp_path / "mine.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such.png"], "Cannot read no-such.png: there is no such file"),
        (["--texts", "maze", " "], "a text is empty"),
        (["--model", "tyni"], "Did you mean 'tiny'?"),
        (["--texts", "maze " * 100], "text 0 has 102 with its start and end"),
        (["--output", "no-such-folder/heatmap.png"], "no-such-folder"),
        (["--output", ""], "--output is '.'; give a file such as similarity.png"),
        (["--output", "heatmap"], "--output is 'heatmap'; give a file such as similarity.png"),
        (["--output", "heatmap.xyz"], "Format 'xyz' is not supported"),
        (["\x1b[31m.png"], "Cannot read \\x1b[31m.png"),
    ],
)
def test_bad_input_gives_one_line_and_status_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["example.py", *arguments])
    assert main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == 1


def test_outside_the_environment_one_line_names_the_one_that_is_ready(tmp_path):
    example = Path(shutil.copy(ROOT / "example.py", tmp_path))
    for ready, do in ((None, "make run"), (tmp_path / ".venv" / "bin" / "python", "{} example.py")):
        if ready:
            ready.parent.mkdir(parents=True)
            ready.touch()
        # -S: without the packages of this environment
        result = subprocess.run([sys.executable, "-S", example], env={}, capture_output=True, text=True, check=False)
        assert result.returncode == 1
        assert result.stderr == (
            "example.py: Expected the packages of the course; "
            f"got {sys.executable} without torch. Run `{do.format(ready)}`.\n"
        )
