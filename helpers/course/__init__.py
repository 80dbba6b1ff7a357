"""What only the lessons need: drawings, exercises that check themselves, and the doctor of the installation.

from helpers.course import drawings
from helpers.course.exercises import check
from helpers.course.style import diagram, plot_style

__all__ = ["check", "diagram", "drawings", "plot_style"]
