"""The exercises of the lessons check themselves: one module per lesson, one function ``exercise_N`` per exercise.

Such a function gets the learner's answer and what the lesson computed, works out the right answer by itself, and
returns None, or a sentence that tells what is wrong without giving the answer away.
"""

from dataclasses import dataclass
from importlib import import_module

from helpers._validation import reason, shown


@dataclass(frozen=True)
class Verdict:
    """What `check` found.

    Attributes:
        right: whether the answer is right; False as long as there is none.
        message: one line for the learner.
    """

    right: bool
    message: str

    def __repr__(self) -> str:
        """Show the message alone: a cell that ends with `check` prints it."""
        return self.message


def check(exercise: str, answer: object, *context: object) -> Verdict:
    """Check the answer to an exercise.

    Args:
        exercise: lesson and number, such as "6.2".
        answer: the learner's; ``...`` as long as nothing is filled in.
        context: what the lesson computed and the check needs, in the order that the stub gives.

    Returns:
        A verdict, which shows itself as one line.

    Raises:
        ValueError: there is no such exercise.
    """
    if answer is ...:
        return Verdict(False, f"▢ Exercise {exercise}: put your answer in place of the dots, and run the cell again.")
    try:
        lesson, number = exercise.split(".")
        find_fault = getattr(import_module(f"helpers.course.exercises.lesson{int(lesson):02}"), f"exercise_{number}")
    except (AttributeError, ModuleNotFoundError, ValueError) as error:
        raise ValueError(f"Expected lesson and number, such as '6.2'; got {shown(exercise)}.") from error
    try:
        fault = find_fault(answer, *context)
    except Exception as error:  # a learner's answer may be anything, and a function of his may raise anything
        fault = f"Expected what the comment beside the dots names; got {type(answer).__name__} ({shown(answer)})."
        if callable(answer):
            fault = f"Your function raised {type(error).__name__}: {reason(error)}"
    return Verdict(not fault, f"✘ Exercise {exercise}: not yet. {fault}" if fault else f"✔ Exercise {exercise}: right.")
