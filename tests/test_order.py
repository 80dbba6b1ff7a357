"""A room imports the core and no other room, the core imports no room, and nothing imports the doctor."""

import ast

import pytest

from tests.conftest import ROOT

HELPERS = ROOT / "helpers"
OPEN_TO_ROOMS = {"helpers", "helpers.__main__", "helpers.course"}  # the public names, the commands, what lessons need
DOCTOR = "helpers.course.doctor"


def imports_in(folder):
    """Map each module to those that it imports, wherever in it; ``if TYPE_CHECKING`` is no import."""
    modules = {}
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return {name: imported_by(file, modules) - {name} for name, file in modules.items()}


def imported_by(file, modules):
    used, waiting = set(), [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            used |= inside & modules.keys() or {node.module}
        waiting += ast.iter_child_nodes(node)
    return used & modules.keys()


def room_of(module):
    """Return ``helpers.index`` of ``helpers.index.store``, and None of a module of the core."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 and (HELPERS / parts[1]).is_dir() and parts[1] != "weights" else None


def faults_of(imports):
    for module, used in imports.items():
        room = room_of(module)
        for other in used:
            if other == DOCTOR:
                yield f"{module} imports the doctor"
            if room_of(other) not in (None, room) and not {module, room} & OPEN_TO_ROOMS:
                yield f"{module} imports {other}"


def floors_of(imports):
    """Lay each module one floor above the highest that it imports: ``{module: floor}``, the lowest 1."""
    floors = {}

    def floor(module, way=()):
        assert module not in way, f"a circle: {' → '.join([*way, module])}"
        if module not in floors:
            floors[module] = 1 + max((floor(used, (*way, module)) for used in imports[module]), default=0)
        return floors[module]

    for module in imports:
        floor(module)
    return floors


def test_rooms_import_only_the_core_and_the_core_no_room():
    assert list(faults_of(imports_in(HELPERS))) == []


def test_there_are_at_most_six_floors():
    """The commands, the public names and what the lessons need stand on top of the house, and are not counted."""
    imports = imports_in(HELPERS)
    on_top = {
        m for m in imports if m.endswith((".command", ".__main__")) or room_of(m) in OPEN_TO_ROOMS or m == "helpers"
    }
    floors = floors_of({m: used - on_top for m, used in imports.items() if m not in on_top})
    high = max(floors.values())
    assert high <= 6, sorted(((floor, module) for module, floor in floors.items()), reverse=True)[:12]


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("encode", "from helpers.index.store import Store", "helpers.encode imports helpers.index.store"),
        ("index/scan", "def f():\n    import helpers.explain.patches", "helpers.index.scan imports helpers.explain.p"),
        ("course/drawings", "from helpers.course import doctor", "helpers.course.drawings imports the doctor"),
    ],
)
def test_a_wrong_import_is_seen(tmp_path, module, line, fault):
    for name in (module, "index/store", "explain/patches", "course/doctor"):
        file = tmp_path / "helpers" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(line if name == module else "")
    found = list(faults_of(imports_in(tmp_path / "helpers")))
    assert len(found) == 1 and found[0].startswith(fault)


def test_a_seventh_floor_and_a_circle_are_seen(tmp_path):
    chain = {f"m{i}": {f"m{i + 1}"} for i in range(6)} | {"m6": set()}
    assert max(floors_of(chain).values()) == 7
    with pytest.raises(AssertionError, match="a circle: m0 → m1"):
        floors_of(chain | {"m6": {"m0"}})


def test_what_clip_keeps_to_itself_comes_in_by_one_door():
    inside = {file.stem for file in HELPERS.rglob("*.py") if "from clip." in file.read_text(encoding="utf-8")}
    assert inside == {"_clip"}
