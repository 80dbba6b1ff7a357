"""How the lessons are tested: strictly compared, but for the last printed digit; their answers and claims run, too."""

import os
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import nbformat
from nbval.plugin import IPyNbCell, IPyNbFile

# Two kernels at once spin for the same cores: lesson 18 took seven times as long. Read when torch starts its threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

TESTS = Path(__file__).parent / "tests"
WRONG_ANSWERS = tomllib.loads((TESTS / "wrong_answers.toml").read_text(encoding="utf-8"))
NUMBER = re.compile(r" *([+-]?\d+\.\d*|[+-]?\d+%) *")  # with the blanks that align it
CLAIM = re.compile(r"^# %% (\S+)  (.+)\n", re.M)  # the id of a cell, and what the lesson says there


class Output(str):
    """What a cell printed. Processors round differently: see `__eq__`."""

    __hash__ = str.__hash__

    def __eq__(self, other: str) -> bool:
        """Allow a unit of the last printed place in numbers with a decimal point or a percent sign; nothing else."""
        mine, others = NUMBER.split(self), NUMBER.split(other)
        return mine[::2] == others[::2] and all(map(_near, mine[1::2], others[1::2]))

    def __ne__(self, other: str) -> bool:
        """Nbval asks so."""
        return not self == other


def _near(first: str, second: str) -> bool:
    if first.endswith(".") and second.endswith("."):  # an integer of NumPy
        return float(first) == float(second)
    places = max(len(number.partition(".")[2]) for number in (first, second))
    return abs(float(first.rstrip("%")) - float(second.rstrip("%"))) < 1.5 * 10**-places


def pytest_configure(config):
    """Let nbval compare what it calls sanitized outputs as `Output` does."""
    plain = IPyNbCell.sanitize
    IPyNbCell.sanitize = lambda cell, text: Output(plain(cell, text)) if isinstance(text, str) else text


def pytest_collectstart(collector):
    """Leave out stderr, where progress bars and warnings go; add the claims, and the answers."""
    if isinstance(collector, IPyNbFile):
        collector.skip_compare += ("stderr",)
        cells = collector.collect
        collector.collect = lambda: [*_with_claims(collector, list(cells())), *_answers(collector)]


def _with_claims(lesson: IPyNbFile, cells: list[IPyNbCell]) -> list[IPyNbCell]:
    """Let what the lesson says of `tiny` be checked in its own kernel, right after the cell that shows it."""
    claims = _claims(lesson.path.name[:2]) if os.environ.get("CLIP_MODEL", "tiny") == "tiny" else []
    ids = {cell.cell.get("id") for cell in cells}
    gone = [
        _cell(lesson, f"Claim '{claim}'", f"raise KeyError('no cell has the id {cell_id}')")
        for cell_id, claim, _ in claims
        if cell_id not in ids
    ]
    found = []
    for cell in cells:
        after = [claim for claim in claims if claim[0] == cell.cell.get("id")]
        found += [cell, *(_cell(lesson, f"{cell.name}, claim '{claim}'", source) for _, claim, source in after)]
    return found + gone


def _claims(number: str) -> list[tuple[str, str, str]]:
    """Read tests/claims/NN.py: for each block the id of its cell, the claim in words, and the code that checks it."""
    file = TESTS / "claims" / f"{number}.py"
    if not file.is_file():
        return []
    _, *parts = CLAIM.split(file.read_text(encoding="utf-8"))
    return list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))


def _answers(lesson: IPyNbFile) -> list[IPyNbCell]:
    """Make cells of the folded answers, which the checks must call right, and of wrong ones, which they must refuse."""
    prose, code = (_sources(lesson, kind) for kind in ("markdown", "code"))
    calls = re.findall(r'^(check\("([\d.]+)", (\w+).*\))$', code, re.M)
    sources = {}
    for i, answer in enumerate(re.findall(r"```python\n(.*?)```", prose, re.S), start=1):
        filled = [call[0] for call in calls if re.search(rf"^(def )?{call[2]}\b", answer, re.M)]
        sources[f"Answer {i}"] = "\n".join([answer, *(f"assert {call}.right, {call}" for call in filled)])
    for call, exercise, _ in calls:
        for i, wrong in enumerate(WRONG_ANSWERS.get(exercise, []), start=1):
            sources[f"Wrong answer {i} to {exercise}"] = f"{wrong}\nassert not {call}.right"
    return [_cell(lesson, name, source) for name, source in sources.items()]


def _cell(lesson: IPyNbFile, name: str, source: str) -> IPyNbCell:
    """Make a cell without outputs, which runs in the kernel of the lesson."""
    cell = nbformat.v4.new_code_cell(source)
    return IPyNbCell.from_parent(lesson, name=name, cell_num=0, cell=cell, options=defaultdict(bool))


def _sources(lesson: IPyNbFile, kind: str) -> str:
    return "\n".join(cell.source for cell in lesson.nb.cells if cell.cell_type == kind)
