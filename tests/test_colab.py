"""The first cell, which all lessons share (test_lessons compares them), works on Colab, and all that follows too."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

from notebooks import refresh
from tests.conftest import ROOT
from tests.test_lessons import LESSONS, NOTEBOOKS, cells


@pytest.fixture
def colab(tmp_path):
    """A machine that looks like Colab: `google.colab` is loaded, pip only writes down what it is asked for."""
    site = tmp_path / "site"
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    (site / "sitecustomize.py").write_text("import google.colab\n")
    (site / "pip").mkdir()
    (site / "pip" / "__init__.py").touch()
    asked = tmp_path / "asked.json"
    (site / "pip" / "__main__.py").write_text(
        f"import json, pathlib, sys\npathlib.Path({str(asked)!r}).write_text(json.dumps(sys.argv[1:]))\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": refresh.address(),
    }
    content = tmp_path / "content"
    content.mkdir()
    return content, environment, asked


def test_first_cell_works_on_colab(colab):
    """Unchanged, in an IPython of its own: afterwards `helpers` comes from the clone."""
    content, environment, asked = colab
    first = cells(LESSONS[0], "code")[0].source
    script = content / "cell.ipy"
    script.write_text(first + "\nimport helpers\nprint('HELPERS', helpers.__file__)\n")
    run = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(script)]
    result = subprocess.run(run, cwd=content, env=environment, capture_output=True, text=True, check=False)
    assert f"HELPERS {content / 'course' / 'helpers' / '__init__.py'}" in result.stdout, result.stdout + result.stderr
    install = json.loads(asked.read_text())
    assert install[:1] == ["install"]
    assert any(re.fullmatch(r"git\+https://github.com/openai/CLIP.git@[0-9a-f]{40}", word) for word in install)


def test_first_cell_names_a_kernel_without_clip():
    code = TransformerManager().transform_cell(cells(LESSONS[0], "code")[0].source)
    command = [sys.executable, "-S", "-c", code]  # -S: without the packages of this environment
    result = subprocess.run(command, cwd=NOTEBOOKS, env={}, capture_output=True, text=True, check=False)
    assert f"Expected the kernel of the course; got {sys.executable}, which has no clip." in result.stderr


@pytest.mark.skipif("COLAB" not in os.environ, reason="runs every lesson again: set COLAB=1, see CONTRIBUTING")
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_from_an_empty_folder(path, colab):
    """With the `helpers` and the images that its first cell fetched."""
    content, environment, _ = colab
    lesson = nbformat.read(path, as_version=4)
    lesson.cells.append(nbformat.v4.new_code_cell("import helpers\nprint(helpers.__file__)"))
    place = {"metadata": {"path": str(content)}}
    NotebookClient(lesson, timeout=300, kernel_name="python3", resources=place).execute(env=environment)
    assert Path(lesson.cells[-1].outputs[-1].text.strip()) == content / "course" / "helpers" / "__init__.py"
