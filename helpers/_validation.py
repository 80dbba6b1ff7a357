"""Refuse bad input with a one-line message that names it and that any terminal can show."""

import difflib
import math
import reprlib
import sys
from collections.abc import Iterable
from numbers import Integral, Real
from os import PathLike
from pathlib import Path

import numpy as np

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_JOINERS = "\u200c\u200d"  # inside emoji and Arabic words; without them a name could not be pasted


def printable(text: object) -> str:
    """Make text one line: characters that move the cursor, colour, hide, or cannot be encoded are escaped as ``\\x1b``.

    A backslash stays single, because doubling it would spoil every path of Windows. So a newline in a name looks like
    a backslash and an n.
    """
    return "".join(
        letter if letter.isprintable() or letter in _JOINERS else ascii(letter)[1:-1] for letter in str(text)
    )


def shown(value: object) -> str:
    """Show any value as Python would write it, in one short line."""
    return _cut(" ".join(_SHORT.repr(value).split()), 120)


def given(value: object) -> str:
    """Show a value of the wrong type with its type, as in ``int (5)``."""
    return "None" if value is None else f"{type(value).__name__} ({shown(value)})"


def _cut(text: str, most: int) -> str:
    return printable(text if len(text) <= most else f"{text[:most]}…")


def reason(error: BaseException) -> str:
    """Return the message of another library's error in one short line, or its type if it has none."""
    text = " ".join((getattr(error, "strerror", None) or str(error)).split()) or type(error).__name__
    return _cut(text, 300)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the known name that is nearest to this one, after a space, or nothing if none is near."""
    by_lower = {each.lower(): each for each in known}
    nearest = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.4)
    return f" Did you mean {by_lower[nearest[0]]!r}?" if nearest else ""


def told(error: BaseException) -> str:
    """Return an error's message as a command prints it: an error of the system begins with the name of the file."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"{printable(error.filename)}: {reason(error)}" if error.filename else reason(error)
    return printable(error)


def whole(name: str, value: object, least: int = 1, most: int = sys.maxsize) -> int:
    """Return an argument that must be an integer from ``least`` to ``most``."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"Expected {name} to be an integer; got {given(value)}.")
    if not least <= int(value) <= most:
        limits = f"at least {least}" if most == sys.maxsize and int(value) < least else f"between {least} and {most}"
        raise ValueError(f"Expected {name} to be {limits}; got {shown(int(value))}.")
    return int(value)


def number(name: str, value: object) -> float:
    """Return an argument that must be a finite number."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"Expected {name} to be a number; got {given(value)}.")
    if not math.isfinite(value):
        raise ValueError(f"Expected {name} to be finite; got {value}.")
    return float(value)


def path_of(name: str, value: object) -> Path:
    """Return an argument that must be a path."""
    if not isinstance(value, (str, PathLike)):
        raise TypeError(f"Expected {name} to be a path; got {given(value)}.")
    return Path(value)


def strings(name: str, values: object) -> list[str]:
    """List strings; a single one counts as a list of one."""
    if isinstance(values, (str, bytes)):
        values = [values]
    if not isinstance(values, Iterable):
        raise TypeError(f"Expected a {name} or a list of them; got {given(values)}.")
    found = list(values)
    for i, value in enumerate(found):
        if not isinstance(value, str):
            raise TypeError(f"Expected {name} {i} to be a string; got {given(value)}.")
    return found


def numbers(name: str, values: object, most_dimensions: int = 2) -> np.ndarray:
    """Return an array of numbers, finite or not."""
    try:
        array = np.asarray(values)
    except Exception as error:  # of many kinds: a tensor on another device, rows of different lengths
        raise TypeError(f"Expected {name} to be an array; NumPy cannot convert it: {reason(error)}") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"Expected {name} to hold real numbers; got an array of {array.dtype}.")
    if not 1 <= array.ndim <= most_dimensions:
        raise ValueError(f"Expected {name} to have 1 to {most_dimensions} dimensions; got shape {array.shape}.")
    return array


def finite(name: str, values: object) -> np.ndarray:
    """Return an array of finite numbers."""
    array = numbers(name, values)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = tuple(bad[0].tolist())
        raise ValueError(f"Expected {name} to be finite; got {array[place]} at {place}. Leave out unreadable images.")
    return array
