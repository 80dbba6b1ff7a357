"""How the lessons are compared: strictly, but for the last printed digit; and their folded answers run, too."""

import os
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import nbformat
from nbval.plugin import IPyNbCell, IPyNbFile

# Two kernels at once spin for the same cores: lesson 15 took seven times as long. Read when torch starts its threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

WRONG_ANSWERS = tomllib.loads((Path(__file__).parent / "tests" / "wrong_answers.toml").read_text())
NUMBER = re.compile(r" *([+-]?\d+\.\d*|[+-]?\d+%) *")  # with the blanks that align it


class Output(str):
    """What a cell gave. Another machine rounds otherwise: see `__eq__`."""

    __hash__ = str.__hash__

    def __eq__(self, other: str) -> bool:
        """Allow a unit of the last printed place in numbers with a decimal point or a percent sign; nothing else."""
        mine, others = NUMBER.split(self), NUMBER.split(other)
        return mine[::2] == others[::2] and all(map(_near, mine[1::2], others[1::2]))

    def __ne__(self, other: str) -> bool:
        """Nbval asks so."""
        return not self == other


def _near(first: str, second: str) -> bool:
    if first.endswith(".") and second.endswith("."):  # a whole number of NumPy
        return float(first) == float(second)
    places = max(len(number.partition(".")[2]) for number in (first, second))
    return abs(float(first.rstrip("%")) - float(second.rstrip("%"))) < 1.5 * 10**-places


def pytest_configure(config):
    """Let nbval compare what it calls sanitized outputs as `Output` does."""
    plain = IPyNbCell.sanitize
    IPyNbCell.sanitize = lambda cell, text: Output(plain(cell, text)) if isinstance(text, str) else text


def pytest_collectstart(collector):
    """Leave out stderr, where progress bars and warnings go; run the answers after a lesson's last cell."""
    if isinstance(collector, IPyNbFile):
        collector.skip_compare += ("stderr",)
        cells = collector.collect
        collector.collect = lambda: [*cells(), *_answers(collector)]


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
    return [
        IPyNbCell.from_parent(
            lesson, name=name, cell_num=i, cell=nbformat.v4.new_code_cell(source), options=defaultdict(bool)
        )
        for i, (name, source) in enumerate(sources.items())
    ]


def _sources(lesson: IPyNbFile, kind: str) -> str:
    return "\n".join(cell.source for cell in lesson.nb.cells if cell.cell_type == kind)
