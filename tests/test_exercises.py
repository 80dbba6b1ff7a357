"""A check says whether an answer is right, and never stops a lesson."""

import sys
import types

import pytest

from helpers.course import check


@pytest.fixture(autouse=True)
def lesson_99(monkeypatch):
    """A lesson whose only exercise asks for the largest number of a list."""
    checks = types.ModuleType("lesson99")
    checks.exercise_1 = lambda answer, numbers: None if answer == max(numbers) else f"{answer + 0} is not the largest."
    monkeypatch.setitem(sys.modules, "helpers.course.exercises.lesson99", checks)


@pytest.mark.parametrize(
    ("answer", "right", "message"),
    [
        (..., False, "▢ Exercise 99.1: put your answer in place of the dots, and run the cell again"),
        (3, True, "✔ Exercise 99.1: right."),
        (2, False, "✘ Exercise 99.1: not yet. 2 is not the largest."),
        ("3", False, "✘ Exercise 99.1: not yet. Expected what the comment beside the dots names; got str ('3')."),
    ],
)
def test_the_verdict_is_one_line(answer, right, message):
    verdict = check("99.1", answer, [1, 3, 2])
    assert verdict.right == right
    assert repr(verdict).startswith(message)
    assert "\n" not in repr(verdict)


@pytest.mark.parametrize("exercise", ["98.1", "99.7", "six"])
def test_an_unknown_exercise_is_named(exercise):
    with pytest.raises(ValueError, match=f"^Expected lesson and number, such as '6.2'; got '{exercise}'"):
        check(exercise, 1)
