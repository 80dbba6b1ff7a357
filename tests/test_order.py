"""The modules of the helpers stand in one order, and each imports only those before it."""

import ast

import pytest

from conftest import ROOT

ORDER = (
    "openai checkpoint models images threads forward encode compare plots zeroshot explain journal store folder search"
).split()
IMPORTS = {}
for file in (ROOT / "helpers").glob("*.py"):
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, (ast.Import, ast.ImportFrom))]
    IMPORTS[file.stem] = {
        name
        for node in nodes
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_a_module_imports_only_those_before_it(place):
    ours = {name.split(".")[1] for name in IMPORTS[ORDER[place]] if name.startswith("helpers.")}
    assert ours <= set(ORDER[:place])
    assert "helpers" not in IMPORTS[ORDER[place]]


def test_each_module_has_its_place():
    assert set(IMPORTS) - {"__init__"} == set(ORDER)


def test_one_door_leads_to_what_clip_keeps_to_itself():
    inside = {name: {module for module in used if module.startswith("clip.")} for name, used in IMPORTS.items()}
    assert {name for name, modules in inside.items() if modules} == {"openai"}
