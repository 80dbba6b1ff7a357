"""What only the lessons need: drawings, exercises that check themselves, and the doctor of the installation."""

from helpers.course import drawings
from helpers.course.exercises import check
from helpers.course.observe import observe

__all__ = ["check", "drawings", "observe"]
