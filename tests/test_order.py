"""The modules of the helpers stand in one order, and each imports only those before it."""

import ast

import pytest

from tests.conftest import ROOT

HELPERS = ROOT / "helpers"
ORDER = (
    "weights network checks files download openai checkpoint models images identity threads forward tokens encode "
    "compare question plots zeroshot explain patches contrast pairs trainer tune journal store folder searchable "
    "search scale drawings lessons exercises commands __main__"
).split()
SCALE = "manifest encoder shards workers job index lance".split()


def imports_of(name):
    """Name every module that this one or a module in its folder imports, as ``helpers.models``."""
    files = (HELPERS / name).glob("*.py") if (HELPERS / name).is_dir() else [HELPERS / f"{name}.py"]
    used = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            used |= {f"{node.module}.{alias.name}" for alias in node.names}
    return used


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_a_module_imports_only_those_before_it(place):
    ours = {name.split(".")[1] for name in imports_of(ORDER[place]) if name.split(".")[0] == "helpers"}
    assert ours <= {*ORDER[:place], ORDER[place]}


@pytest.mark.parametrize("place", range(len(SCALE)))
def test_a_module_of_scale_imports_only_those_before_it(place):
    parts = (name.split(".") for name in imports_of(f"scale/{SCALE[place]}"))
    assert {part[2] for part in parts if part[:2] == ["helpers", "scale"]} <= {*SCALE[:place]}
    assert {path.stem for path in (HELPERS / "scale").glob("*.py")} - {"__init__"} == set(SCALE)


def test_each_module_has_its_place():
    modules = {path.stem for path in HELPERS.glob("*.py")} | {path.parent.name for path in HELPERS.glob("*/*.py")}
    assert modules - {"__init__"} == set(ORDER)


def test_what_clip_keeps_to_itself_comes_in_by_one_door():
    inside = {name for name in ORDER if any(used.startswith("clip.") for used in imports_of(name))}
    assert inside == {"openai"}
