"""The exercises of the lessons check themselves: one module per lesson, one function ``exercise_N`` per exercise.

Such a function gets the learner's answer and what the lesson computed, works out the right answer by itself, and
returns None, or a sentence that tells what is wrong without giving the answer away.
"""

from dataclasses import dataclass
from importlib import import_module

from helpers._validation import shown


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
        return Verdict(False, f"exercise {exercise}: put your answer in place of the dots, and run the cell again")
    try:
        lesson, number = exercise.split(".")
        tell = getattr(import_module(f"helpers.course.exercises.lesson{int(lesson):02}"), f"exercise_{number}")
    except (AttributeError, ModuleNotFoundError, ValueError) as error:
        raise ValueError(
            f"Expected lesson and number, such as '6.2'; got {shown(exercise)}. There is no such exercise."
        ) from error
    try:
        problem = tell(answer, *context)
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        problem = f"a {type(answer).__name__} like yours can't be checked: {error}"
    return Verdict(not problem, f"exercise {exercise}: " + (f"not yet. {problem}" if problem else "right!"))
