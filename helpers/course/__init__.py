"""What only the lessons need: drawings, exercises that check themselves, the look of the plots, and the doctor.

The names are imported when first used, so that the doctor can speak where nothing else can be imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.course import drawings as drawings
    from helpers.course.exercises import check as check
    from helpers.course.labels import label_images as label_images
    from helpers.course.style import diagram as diagram
    from helpers.course.style import plot_style as plot_style
    from helpers.course.widgets import slider as slider
    from helpers.course.widgets import text_field as text_field

_HOME = {  # of each name; the drawings are a module
    "check": "exercises",
    "diagram": "style",
    "drawings": "",
    "label_images": "labels",
    "plot_style": "style",
    "slider": "widgets",
    "text_field": "widgets",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'helpers.course' has no attribute {name!r}")
    module = import_module(f"helpers.course.{_HOME[name] or name}")
    globals()[name] = value = getattr(module, name) if _HOME[name] else module
    return value
