"""Refuse bad input in one line that names it, and that any terminal can show."""

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


def printable(text: object) -> str:
    """Make text one line: what moves a cursor, colours, hides or can't be encoded is written as ``\\x1b``."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))


def shown(value: object) -> str:
    """Show any value as Python would write it, in one short line."""
    return _cut(" ".join(_SHORT.repr(value).split()), 120)


def _cut(text: str, most: int) -> str:
    return printable(text if len(text) <= most else f"{text[:most]}…")


def reason(error: BaseException) -> str:
    """Say in one short line what an error of another library says; its kind, if it says nothing."""
    text = " ".join((getattr(error, "strerror", None) or str(error)).split()) or type(error).__name__
    return _cut(text, 300)


def whole(name: str, value: object, least: int = 1) -> int:
    """Give an option that must be a whole number of at least so much."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} is {shown(value)}, a {type(value).__name__}; it must be a whole number")
    given = int(value)
    if given < least:
        raise ValueError(f"{name} is {given}; it must be at least {least}")
    if given > sys.maxsize:
        raise ValueError(f"{name} is {shown(given)}; it must be at most {sys.maxsize}")
    return given


def number(name: str, value: object) -> float:
    """Give an option that must be a finite number."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} is {shown(value)}, a {type(value).__name__}; it must be a number")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}; it must be finite")
    return float(value)


def path_of(name: str, value: object) -> Path:
    """Give an option that must be a path."""
    if not isinstance(value, (str, PathLike)):
        raise TypeError(f"{name} is {shown(value)}, a {type(value).__name__}; it must be a path")
    return Path(value)


def strings(name: str, values: object) -> list[str]:
    """List strings; a single one counts as a list of one."""
    if isinstance(values, (str, bytes)):
        values = [values]
    if not isinstance(values, Iterable):
        raise TypeError(f"{shown(values)} is no list of {name}s; give strings")
    found = list(values)
    for i, value in enumerate(found):
        if not isinstance(value, str):
            raise TypeError(f"{name} {i} is {shown(value)}, a {type(value).__name__}; a {name} must be a string")
    return found


def numbers(name: str, values: object, most_dimensions: int = 2) -> np.ndarray:
    """Make an array of what must be numbers, finite or not."""
    try:
        array = np.asarray(values)
    except Exception as error:  # of many kinds: a tensor on another device, rows of different lengths
        raise TypeError(f"{name} can't become an array: {reason(error)}") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has elements of {array.dtype}, which are no real numbers")
    if not 1 <= array.ndim <= most_dimensions:
        raise ValueError(f"{name} has shape {array.shape}; it must have 1 to {most_dimensions} dimensions")
    return array


def finite(name: str, values: object) -> np.ndarray:
    """Make an array of what must be finite numbers."""
    array = numbers(name, values)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = tuple(bad[0].tolist())
        raise ValueError(f"{name} is {array[place]} at {place}: leave out what could not be read")
    return array
