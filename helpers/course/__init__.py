"""What only the lessons need: drawings, exercises that check themselves, and the doctor of the installation.

The names are imported when first used, so that the doctor can speak where nothing else can be imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.course import drawings as drawings
    from helpers.course.exercises import check as check
    from helpers.course.observe import observe as observe

__all__ = ["check", "drawings", "observe"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module 'helpers.course' has no attribute {name!r}")
    module = import_module("helpers.course." + {"check": "exercises"}.get(name, name))
    globals()[name] = value = module if name == "drawings" else getattr(module, name)
    return value
