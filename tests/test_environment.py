"""The ways to install the course say the same, and conda can read its file."""

import re
import tomllib

import pytest
import yaml
from rattler import MatchSpec

from tests.conftest import ROOT

ENVIRONMENT = (ROOT / "environment.yml").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_LINES = [line for line in yaml.safe_load(ENVIRONMENT)["dependencies"] if isinstance(line, str)]
PIP_LINES = yaml.safe_load(ENVIRONMENT)["dependencies"][-1]["pip"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


@pytest.mark.parametrize("line", CONDA_LINES)
def test_conda_understands_every_line(line):
    assert MatchSpec(line, strict=True).name.normalized == re.match(r"[a-z-]+", line)[0]


def test_official_clip_is_pinned_to_a_commit():
    (line,) = [line for line in PIP_LINES if "CLIP" in line]
    assert re.fullmatch(r"git\+https://github\.com/openai/CLIP\.git@[0-9a-f]{40}", line)


def test_pip_installs_clip_from_one_place_only():
    assert not any(re.match(r"clip\b", requirement) for requirement in PROJECT["dependencies"])


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_conda_and_pip_ask_for_the_same_versions(requirement):
    name, bounds = re.fullmatch(r"([a-z]+)(.*)", requirement).groups()
    bounds = bounds.replace(",!=2.13.0", "")
    assert CONDA_NAMES.get(name, name) + bounds in CONDA_LINES
