"""What only the lessons need: drawings, exercises that check themselves, and the doctor of the installation.

from helpers.course import drawings
from helpers.course.exercises import check
from helpers.course.style import diagram, plot_style
from helpers.course.widgets import slider, text_field

__all__ = ["check", "diagram", "drawings", "plot_style", "slider", "text_field"]
