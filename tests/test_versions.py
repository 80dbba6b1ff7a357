"""The files in constraints/ are what pyproject.toml promises; a workflow may only read."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
REQUIREMENTS = [Requirement(line) for line in LINES]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(name):
    """The constraints of a file: ``{name: version}``."""
    lines = re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints" / name).read_text(), re.M)
    return {canonicalize_name(package): Version(version) for package, version in lines}


def lower_bounds(requirement):
    return [bound.version for bound in requirement.specifier if bound.operator in (">=", "==")]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_requirement_has_one_lower_bound(requirement):
    assert len(lower_bounds(requirement)) == 1


def test_lowest_names_exactly_the_lower_bounds():
    bounds = {(canonicalize_name(line.name), Version(lower_bounds(line)[0])) for line in REQUIREMENTS}
    assert bounds == set(read("lowest.txt").items())


def test_colab_lies_within_the_bounds():
    colab = read("colab.txt")
    assert colab.keys() <= {canonicalize_name(line.name) for line in REQUIREMENTS}
    for requirement in REQUIREMENTS:
        version = colab.get(canonicalize_name(requirement.name))
        assert version is None or version in requirement.specifier, requirement


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_comes_to_an_end(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", ".github/workflows/official-models.yml"])
def test_the_official_clip_is_the_same_commit_everywhere(name):
    conda = re.search(r"CLIP\.git@([0-9a-f]{40})", (ROOT / "environment.yml").read_text())[1]
    assert re.findall(r"\b[0-9a-f]{40}\b", (ROOT / name).read_text()) == [conda]
