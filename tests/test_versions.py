"""The files in constraints/ are what pyproject.toml promises."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
REQUIREMENTS = [Requirement(line) for line in LINES]


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
    checked = {canonicalize_name(line.name) for line in REQUIREMENTS}
    assert len(colab) == 7
    assert colab.keys() <= checked
    for requirement in REQUIREMENTS:
        version = colab.get(canonicalize_name(requirement.name))
        assert version is None or version in requirement.specifier, requirement
