"""Draw every image of the course: everyday things in the manner of emoji, and two mazes.

Run ``python -m helpers.course.drawings [FOLDER]`` to write all files, or draw at will::

    draw("car", size=128, colour="royalblue", background="lightgrey")
    scene(["cat", "dog"], background=clutter((512, 256), seed=3))
    maze(seed=7, solved=0.5)

Every drawing is a function that paints with a `Pen` on a square of 100 by 100 units, y downwards.
The same call gives the same image, always. Only Pillow and NumPy are needed.
"""

from __future__ import annotations

import csv
import math
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageFont

from helpers._validation import shown

Colour = str | tuple[int, ...]
Point = tuple[float, ...]  # x, y
Cell = tuple[int, int]

IMAGES = Path(__file__).resolve().parents[2] / "images"  # where the course keeps them as files
SUPERSAMPLING = 8
HOLE = (0, 0, 0, 0)
INK = "#2f2a33"
MAZE_SIZE = (288, 512)
LEAVES = 900
SAVED_MAZES = {"maze1": (12, 1.0), "maze2": (8, 0.5)}


def mix(first: Colour, second: Colour, share: float) -> tuple[int, ...]:
    """Blend two colours; ``share`` is how much of the second, from 0 to 1."""
    pairs = zip(_rgb(first), _rgb(second), strict=True)
    return tuple(round(a + (b - a) * share) for a, b in pairs)


def _rgb(colour: Colour) -> tuple[int, ...]:
    return (ImageColor.getrgb(colour) if isinstance(colour, str) else colour)[:3]


def arc(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> list[Point]:
    """Points on an ellipse, in degrees clockwise from three o'clock."""
    steps = max(8, round(abs(end - start) / 4))
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def smooth(points: Sequence[Point], closed: bool = True, steps: int = 12) -> list[Point]:
    """A Catmull-Rom curve through ``points``."""
    padded = [points[-1], *points, points[0], points[1]] if closed else [points[0], *points, points[-1]]
    curve = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for t in (i / steps for i in range(steps + 1)):
            curve.append(tuple(
                0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
                for a, b, c, d in zip(before, start, end, after, strict=True)
            ))
    return curve


def stroke(canvas: ImageDraw.ImageDraw, points: Sequence[Point], colour: Colour, width: float) -> None:
    """A line with round ends and corners, in pixels."""
    canvas.line(points, fill=colour, width=round(width))
    reach = (round(width) - 1) / 2
    for x, y in points:
        canvas.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)


class Pen:
    """Paints flat shapes with a darker edge on a transparent square of 100 by 100 units."""

    def __init__(self, pixels: int) -> None:
        """Start with nothing on a square ``pixels`` wide."""
        self.image = Image.new("RGBA", (pixels, pixels))
        self._canvas = ImageDraw.Draw(self.image)
        self._scale = pixels / 100
        self._angle = 0.0

    def turn(self, degrees: float) -> None:
        """Turn all that follows clockwise about the centre."""
        self._angle = math.radians(degrees)

    def _place(self, points: Iterable[Point]) -> list[Point]:
        cos, sin = math.cos(self._angle), math.sin(self._angle)
        centred = [(x - 50, y - 50) for x, y in points]
        return [
            ((50 + x * cos - y * sin) * self._scale, (50 + x * sin + y * cos) * self._scale)
            for x, y in centred
        ]

    def line(self, points: Iterable[Point], colour: Colour = INK, width: float = 2.4) -> None:
        """A line with round ends and corners."""
        stroke(self._canvas, self._place(points), colour, width * self._scale)

    def shape(self, points: Iterable[Point], fill: Colour, edge: float = 2.4) -> None:
        """A filled outline; ``edge`` is the width of its darker border, 0 for none."""
        points = list(points)
        self._canvas.polygon(self._place(points), fill=fill)
        if edge:
            self.line([*points, points[0]], mix(fill, "#1d1024", 0.62), edge)

    def blob(self, points: Sequence[Point], fill: Colour, edge: float = 2.4) -> None:
        """A soft shape through the points."""
        self.shape(smooth(points), fill, edge)

    def disc(self, x: float, y: float, rx: float, fill: Colour, ry: float | None = None, edge: float = 2.4) -> None:
        """A disc, or an ellipse where ``ry`` is given."""
        self.shape(arc(x, y, rx, rx if ry is None else ry), fill, edge)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour,
            radius: float = 0, edge: float = 2.4) -> None:
        """A box with rounded corners."""
        corners = [(right - radius, bottom - radius, 0), (left + radius, bottom - radius, 90),
                   (left + radius, top + radius, 180), (right - radius, top + radius, 270)]
        self.shape([p for x, y, a in corners for p in arc(x, y, radius, radius, a, a + 90)], fill, edge)

    def cloud(self, discs: Sequence[tuple[float, float, float]], fill: Colour) -> None:
        """Discs ``(x, y, radius)`` grown together, with one edge around them all."""
        for x, y, radius in discs:
            self.disc(x, y, radius, fill)
        for x, y, radius in discs:
            self.disc(x, y, radius - 1, fill, edge=0)


class Drawing(NamedTuple):
    """A drawing's painter and the phrase that names what it shows."""

    paint: Callable[..., None]
    caption: str


DRAWINGS: dict[str, Drawing] = {}


def drawing(paint: Callable[..., None]) -> Callable[..., None]:
    """Register a painter under the name of its function; its docstring is the caption."""
    sentence = paint.__doc__ or ""
    DRAWINGS[paint.__name__] = Drawing(paint, sentence[:1].lower() + sentence[1:].rstrip("."))
    return paint


def drawing_names() -> tuple[str, ...]:
    """What `draw` can draw, in alphabetical order."""
    return tuple(sorted(DRAWINGS))


def caption(name: str) -> str:
    """A short English phrase for a drawing: ``caption("car")`` is ``"a red car"``."""
    return _find(name).caption


def _find(name: str) -> Drawing:
    if name not in DRAWINGS:
        known = ", ".join(drawing_names())
        raise ValueError(f"Expected the name of a drawing; got {shown(name)}. Choose one of {known}.")
    return DRAWINGS[name]


def sticker(name: str, size: int = 256, *, colour: Colour | None = None, angle: float = 0) -> Image.Image:
    """Draw a thing on nothing: an RGBA image, transparent around it.

    Args:
        name: one of `drawing_names`.
        size: width and height in pixels.
        colour: for the thing's main part; its natural one where None.
        angle: degrees clockwise.

    Raises:
        ValueError: there is no such drawing, or ``size`` is less than 1.
    """
    if size < 1:
        raise ValueError(f"Expected size to be at least 1 pixel; got {shown(size)}.")
    found = _find(name)
    pen = Pen(size * SUPERSAMPLING)
    found.paint(pen) if colour is None else found.paint(pen, colour)
    turned = pen.image.rotate(-angle, Image.Resampling.BICUBIC) if angle else pen.image
    return turned.reduce(SUPERSAMPLING)


def draw(name: str, size: int = 256, background: Colour | Image.Image = "white", *,
         colour: Colour | None = None, angle: float = 0, zoom: float = 1.0) -> Image.Image:
    """Draw a thing in the middle of a square RGB image.

    Args:
        name: one of `drawing_names`.
        size: width and height in pixels.
        background: a colour, or an image (scaled to fit).
        colour: for the thing's main part; its natural one where None.
        angle: degrees clockwise.
        zoom: 1 fills most of the image, 0.5 is half as wide, above 1 is cut at the edges.
    """
    place = (size / 2, size / 2, size * zoom)
    image = _ground(background, (size, size))
    _paste(image, sticker(name, max(1, round(place[2])), colour=colour, angle=angle), place)
    return image


def scene(names: Sequence[str], size: tuple[int, int] = (512, 256), background: Colour | Image.Image = "white", *,
          places: Sequence[tuple[float, float, float]] | None = None) -> Image.Image:
    """Draw several things in one RGB image.

    Args:
        names: from `drawing_names`; a name may come twice.
        size: width and height in pixels.
        background: a colour, or an image (scaled to fit).
        places: ``(x, y, width)`` of each thing's middle and its width, in pixels; in a row where None.

    Raises:
        ValueError: there are not as many places as names.
    """
    if places is None:
        column = size[0] / max(1, len(names))
        places = [((i + 0.5) * column, size[1] / 2, min(column, size[1])) for i in range(len(names))]
    if len(places) != len(names):
        raise ValueError(f"Expected as many places as names, {len(names)}; got {len(places)}.")
    image = _ground(background, size)
    for name, place in zip(names, places, strict=True):
        _paste(image, sticker(name, max(1, round(place[2]))), place)
    return image


def clutter(size: tuple[int, int] = (256, 256), seed: int = 0, amount: int = 40) -> Image.Image:
    """A background that distracts: pastel spots, bars and triangles at random."""
    rng = random.Random(seed)
    side = max(size)
    pen = Pen(side * 2)
    for _ in range(amount):
        x, y, reach = rng.uniform(0, 100), rng.uniform(0, 100), rng.uniform(3, 12)
        fill = ImageColor.getrgb(f"hsl({rng.randrange(360)}, {rng.randrange(30, 80)}%, {rng.randrange(60, 88)}%)")
        corners = rng.choice([3, 4, 5, 36])
        start = rng.uniform(0, 360)
        turns = [math.radians(start + 360 * i / corners) for i in range(corners)]
        pen.shape([(x + reach * math.cos(a), y + reach * math.sin(a)) for a in turns], fill, edge=0)
    ground = _ground("#f2efe6", (side, side))
    _paste(ground, pen.image.resize((side, side), Image.Resampling.LANCZOS), (side / 2, side / 2, side))
    return ground.crop((0, 0, *size))


def _ground(background: Colour | Image.Image, size: tuple[int, int]) -> Image.Image:
    if isinstance(background, Image.Image):
        return background.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return Image.new("RGB", size, background)


def _paste(image: Image.Image, thing: Image.Image, place: tuple[float, float, float]) -> None:
    x, y, _ = place
    image.paste(thing, (round(x - thing.width / 2), round(y - thing.height / 2)), thing)


@drawing
def apple(pen: Pen, colour: Colour = "#e53935") -> None:
    """A red apple."""
    pen.line(smooth([(50, 30), (51, 18), (57, 8)], closed=False), "#6d4323", 5)
    pen.blob([(50, 27), (64, 21), (80, 25), (89, 42), (86, 64), (75, 83), (62, 92), (50, 88),
              (38, 92), (25, 83), (14, 64), (11, 42), (20, 25), (36, 21)], colour)
    pen.blob([(56, 19), (64, 8), (82, 7), (76, 19), (65, 23)], "#6abf4b")
    pen.blob([(21, 40), (27, 32), (33, 32), (28, 42), (25, 55), (20, 54)], mix(colour, "white", 0.55), edge=0)


@drawing
def balloon(pen: Pen, colour: Colour = "#ef3b3b") -> None:
    """A red balloon."""
    pen.line(smooth([(50, 74), (54, 80), (47, 87), (52, 96)], closed=False), "#8a8a92", 2)
    pen.shape([(50, 68), (43, 77), (57, 77)], colour)
    pen.blob([(50, 4), (70, 9), (82, 27), (80, 45), (68, 61), (50, 71), (32, 61), (20, 45), (18, 27), (30, 9)], colour)
    pen.blob([(30, 33), (31, 22), (40, 14), (44, 16), (37, 24), (34, 34)], mix(colour, "white", 0.6), edge=0)


@drawing
def banana(pen: Pen, colour: Colour = "#ffd836") -> None:
    """A yellow banana."""
    pen.blob([(76, 9), (84, 10), (85, 20), (91, 38), (89, 57), (77, 76), (57, 87), (33, 90), (13, 83), (8, 76),
              (12, 72), (30, 74), (48, 67), (62, 53), (71, 36), (75, 21)], colour)
    pen.line(smooth([(82, 26), (83, 42), (76, 60), (58, 75), (38, 81), (17, 79)], closed=False),
             mix(colour, "#8a5a00", 0.35), 2.4)
    pen.shape([(75, 16), (75, 7), (84, 6), (85, 16)], "#6b4a1f")
    pen.disc(11, 77, 4, "#6b4a1f", ry=4.5)


@drawing
def bicycle(pen: Pen, colour: Colour = "#e53935") -> None:
    """A bicycle."""
    for x in (24, 76):
        for angle in range(0, 180, 30):
            dx, dy = 18 * math.cos(math.radians(angle)), 18 * math.sin(math.radians(angle))
            pen.line([(x - dx, 65 - dy), (x + dx, 65 + dy)], "#9a9aa5", 0.9)
        pen.line(arc(x, 65, 19, 19), INK, 4.4)
        pen.disc(x, 65, 2.5, INK, edge=0)
    pen.line([(24, 65), (38, 37), (66, 37), (48, 65), (24, 65)], colour, 4)
    pen.line([(35, 30), (48, 65)], colour, 4)
    pen.line([(76, 65), (64, 25)], colour, 4)
    pen.line(smooth([(64, 25), (70, 20), (77, 21), (78, 28)], closed=False), INK, 4)
    pen.line([(28, 28), (43, 28)], INK, 6)
    pen.disc(48, 65, 5.5, "#6b6b76")
    pen.line([(48, 65), (52, 77)], INK, 3)
    pen.line([(47, 77), (57, 77)], INK, 4)


@drawing
def bird(pen: Pen, colour: Colour = "#42a5f5") -> None:
    """A blue bird."""
    for x in (44, 56):
        pen.line([(x, 78), (x, 92), (x - 6, 93)], "#ef8a17", 3)
        pen.line([(x, 92), (x + 6, 93)], "#ef8a17", 3)
    pen.shape([(29, 25), (8, 35), (28, 41)], "#ffa726")
    pen.shape([(70, 56), (94, 58), (97, 68), (92, 77), (64, 78)], mix(colour, "#0b2e6b", 0.3))
    pen.blob([(26, 30), (36, 15), (52, 14), (62, 28), (66, 42), (80, 54), (78, 72), (62, 83), (42, 82), (28, 68),
              (24, 48)], colour)
    pen.blob([(30, 58), (40, 54), (50, 66), (58, 80), (44, 80), (32, 70)], "#fff3e0", edge=0)
    pen.blob([(48, 48), (60, 44), (76, 54), (86, 68), (68, 72), (52, 64)], mix(colour, "#0b2e6b", 0.3))
    pen.disc(40, 31, 4.5, INK, edge=0)
    pen.disc(38.5, 29.5, 1.5, "white", edge=0)


@drawing
def boat(pen: Pen, colour: Colour = "#e53935") -> None:
    """A sailboat."""
    pen.line([(48, 6), (48, 72)], "#7a4a21", 3.6)
    pen.shape([(53, 8), (90, 62), (53, 62)], "#f7f7f2")
    pen.shape([(43, 16), (43, 62), (14, 62)], "#ffcf4a")
    pen.shape([(8, 68), (93, 68), (80, 87), (22, 87)], colour)
    pen.line([(13, 73), (89, 73)], mix(colour, "white", 0.75), 3)
    wave = [(4 + i, 88 + 2.5 * math.sin(i / 3.6)) for i in range(93)]
    pen.shape([*wave, (96, 97), (4, 97)], "#3fa2e0", edge=0)


@drawing
def book(pen: Pen, colour: Colour = "#c8322f") -> None:
    """An open book."""
    pen.shape([(4, 24), (96, 24), (96, 84), (54, 84), (50, 88), (46, 84), (4, 84)], colour)
    for side in (-1, 1):
        page = [(50 + side * x, y) for x, y in [(0, 24), (12, 17), (28, 16), (41, 19)]]
        foot = [(50 + side * x, y) for x, y in [(41, 78), (28, 75), (12, 76), (0, 83)]]
        pen.shape([*smooth(page, closed=False), *smooth(foot, closed=False)], "#fffaf0")
        for y in range(30, 70, 8):
            row = [(50 + side * x, y + lift) for x, lift in [(7, 1), (18, -1.5), (34, -0.5)]]
            pen.line(smooth(row, closed=False), "#9b948c", 2.2)


@drawing
def bus(pen: Pen, colour: Colour = "#ffc31f") -> None:
    """A yellow bus."""
    pen.box(4, 20, 96, 76, colour, radius=8)
    pen.box(5.4, 60, 94.6, 66, mix(colour, "#5a3200", 0.55), edge=0)
    for left in (9, 25, 41):
        pen.box(left, 28, left + 13, 48, "#bfe6fa", radius=2)
    pen.box(58, 28, 69, 75, "#bfe6fa", radius=2)
    pen.line([(63.5, 29), (63.5, 74)], mix(colour, "#1d1024", 0.62), 2)
    pen.box(76, 28, 92, 48, "#bfe6fa", radius=3)
    pen.disc(93.5, 71, 2.4, "#fff6c4", edge=1.5)
    for x in (23, 81):
        pen.disc(x, 77, 10.5, "#3a3a44")
        pen.disc(x, 77, 5, "#c9ccd4", edge=0)


@drawing
def cake(pen: Pen, colour: Colour = "#f48fb1") -> None:
    """A birthday cake with candles."""
    pen.disc(50, 88, 46, "#cfd8e3", ry=7)
    pen.box(12, 46, 88, 88, "#c98b52", radius=5)
    pen.box(12, 66, 88, 72, "#fff3d6", edge=0)
    drips = [(12 + i, 58 + 4.5 * math.cos(i * math.tau / 19)) for i in range(77)]
    pen.shape([*arc(17, 46, 5, 5, 180, 270), *arc(83, 46, 5, 5, 270, 360), *reversed(drips)], colour)
    for x, stripe in ((30, "#42a5f5"), (50, "#66bb6a"), (70, "#ab6fd6")):
        pen.box(x - 3, 22, x + 3, 42, stripe, radius=1)
        pen.line([(x - 2, 36), (x + 2, 33)], "white", 1.6)
        pen.line([(x - 2, 29), (x + 2, 26)], "white", 1.6)
        pen.blob([(x, 4), (x + 4, 12), (x + 3, 18), (x, 20), (x - 3, 18), (x - 4, 12)], "#ffb020")
        pen.disc(x, 16, 1.6, "#fff2a8", ry=2.6, edge=0)


@drawing
def car(pen: Pen, colour: Colour = "#e53935") -> None:
    """A red car."""
    pen.shape([*smooth([(18, 50), (27, 30), (35, 25), (62, 25), (70, 30), (82, 50)], closed=False)], colour)
    pen.shape([(26, 49), (33, 32), (47, 32), (47, 49)], "#bfe6fa", edge=2)
    pen.shape([(52, 49), (52, 32), (63, 32), (73, 49)], "#bfe6fa", edge=2)
    pen.blob([(5, 62), (8, 51), (20, 48), (50, 48), (80, 48), (93, 53), (96, 64), (94, 74), (84, 76), (50, 76),
              (16, 76), (6, 73)], colour)
    pen.line([(49.5, 52), (49.5, 73)], mix(colour, "#1d1024", 0.45), 1.8)
    pen.line([(54, 57), (60, 57)], mix(colour, "#1d1024", 0.62), 2.4)
    pen.disc(92, 60, 3.4, "#ffe27a", ry=4.2, edge=1.6)
    pen.disc(7.5, 60, 2.4, "#ff9d6b", ry=4, edge=1.6)
    for x in (26, 75):
        pen.disc(x, 75, 12, "#3a3a44")
        pen.disc(x, 75, 5.5, "#d5d8df", edge=0)


@drawing
def cat(pen: Pen, colour: Colour = "#fbb03b") -> None:
    """A cat."""
    for side in (-1, 1):
        pen.shape([(50 + side * x, y) for x, y in [(38, 8), (10, 28), (39, 58)]], colour, edge=3)
        pen.shape([(50 + side * x, y) for x, y in [(33, 18), (18, 29), (33, 42)]], "#f7a8b0", edge=0)
    pen.disc(50, 59, 41, colour, ry=34)
    for x, length in ((40, 13), (50, 17), (60, 13)):
        pen.line([(x, 27), (50 + (x - 50) * 0.8, 27 + length)], mix(colour, "#6b2d00", 0.5), 3.6)
    for side in (-1, 1):
        pen.disc(50 + side * 17, 53, 5.2, INK, ry=7, edge=0)
        pen.disc(52 + side * 17, 50, 1.8, "white", edge=0)
        pen.line(smooth([(50, 69), (50 + side * 4, 75), (50 + side * 11, 73)], closed=False), INK, 2.4)
        for y, lift in ((62, -4), (68, 0), (74, 4)):
            pen.line([(50 + side * 22, y), (50 + side * 46, y + lift)], INK, 1.6)
    pen.blob([(44, 64), (50, 62.5), (56, 64), (50, 70)], "#ef6f86", edge=1.6)


@drawing
def clock(pen: Pen, colour: Colour = "#e53935") -> None:
    """An alarm clock."""
    for side in (-1, 1):
        pen.line([(50 + side * 22, 82), (50 + side * 30, 93)], mix(colour, "#1d1024", 0.62), 7)
        bell = [(50 + side * x, y) for x, y in arc(0, 0, 17, 13, 180, 360)]
        tilt = math.radians(side * 38)
        turned = [((x - 50) * math.cos(tilt) - y * math.sin(tilt), (x - 50) * math.sin(tilt) + y * math.cos(tilt))
                  for x, y in bell]
        pen.shape([(50 + side * 29 + x, 23 + y) for x, y in turned], colour)
    pen.line([(50, 8), (50, 20)], mix(colour, "#1d1024", 0.62), 4)
    pen.disc(50, 55, 37, colour)
    pen.disc(50, 55, 29, "#fffdf5")
    for hour in range(12):
        a = math.radians(hour * 30)
        inner = 22 if hour % 3 == 0 else 24
        pen.line([(50 + r * math.cos(a), 55 + r * math.sin(a)) for r in (inner, 25.5)], INK, 2.2)
    pen.line([(50, 36), (50, 55), (63, 63)], INK, 3.6)
    pen.disc(50, 55, 3, INK, edge=0)


@drawing
def cup(pen: Pen, colour: Colour = "#f4f1ea") -> None:
    """A cup of coffee."""
    for x in (34, 47, 60):
        pen.line(smooth([(x, 30), (x + 4, 23), (x - 2, 14), (x + 3, 6)], closed=False), "#a9b0bb", 3.2)
    pen.disc(47, 86, 42, mix(colour, "#9aa7b8", 0.25), ry=8)
    pen.line(smooth([(76, 46), (90, 45), (92, 60), (82, 68), (70, 69)], closed=False),
             mix(colour, "#1d1024", 0.62), 9)
    pen.line(smooth([(76, 46), (90, 45), (92, 60), (82, 68), (70, 69)], closed=False), colour, 4.6)
    pen.shape([*arc(47, 40, 33, 9, 180, 0), *smooth([(80, 40), (76, 66), (64, 84), (30, 84), (18, 66), (14, 40)],
                                                   closed=False)], colour)
    pen.disc(47, 40, 33, colour, ry=9)
    pen.disc(47, 41, 28, "#6f3f1d", ry=6.4, edge=0)


@drawing
def dice(pen: Pen, colour: Colour = "#e53935") -> None:
    """A red dice."""
    top, middle, bottom, left, right = (50, 5), (50, 50), (50, 95), 10, 90
    pen.shape([top, (right, 27), middle, (left, 27)], mix(colour, "white", 0.18), edge=3)
    pen.shape([(left, 27), middle, bottom, (left, 72)], colour, edge=3)
    pen.shape([(right, 27), middle, bottom, (right, 72)], mix(colour, "#1d1024", 0.25), edge=3)
    pen.disc(50, 27.5, 8, "white", ry=5, edge=0)
    slant = [(0.25, 0.25), (0.5, 0.5), (0.75, 0.75)]
    for u, v in slant:
        pen.disc(left + 40 * u, 27 + 23 * u + 45 * v, 4.3, "white", ry=5.7, edge=0)
    for u in (0.27, 0.73):
        for v in (0.2, 0.5, 0.8):
            pen.disc(50 + 40 * u, 50 - 23 * u + 45 * v, 4, "white", ry=5.3, edge=0)


@drawing
def dog(pen: Pen, colour: Colour = "#d99a5b") -> None:
    """A dog."""
    pen.blob([(50, 9), (70, 14), (81, 32), (82, 56), (74, 79), (60, 91), (50, 93), (40, 91), (26, 79), (18, 56),
              (19, 32), (30, 14)], colour)
    pen.blob([(50, 48), (62, 54), (72, 68), (68, 84), (50, 92), (32, 84), (28, 68), (38, 54)], "#fff1dc", edge=0)
    pen.blob([(42, 76), (58, 76), (59, 87), (54, 95), (46, 95), (41, 87)], "#f2728c")
    pen.line([(50, 80), (50, 88)], "#c04562", 2)
    for side in (-1, 1):
        ear = [(18, 13), (30, 11), (42, 26), (47, 48), (42, 67), (34, 66), (29, 48), (25, 30)]
        pen.blob([(50 + side * x, y) for x, y in ear], mix(colour, "#4a2208", 0.6))
        pen.disc(50 + side * 14, 44, 5, INK, ry=6.2, edge=0)
        pen.disc(51.5 + side * 14, 41.5, 1.8, "white", edge=0)
        pen.line(smooth([(50, 68), (50 + side * 6, 77), (50 + side * 17, 74)], closed=False), INK, 2.6)
    pen.blob([(39, 57), (50, 53), (61, 57), (57, 65), (50, 68), (43, 65)], INK, edge=0)
    pen.disc(46, 57.5, 2.6, "#7d7683", ry=1.5, edge=0)


@drawing
def fish(pen: Pen, colour: Colour = "#ff9226") -> None:
    """An orange fish."""
    fin = mix(colour, "#c22e00", 0.45)
    pen.blob([(70, 50), (82, 36), (96, 24), (93, 50), (96, 76), (82, 64)], fin)
    pen.blob([(34, 32), (44, 16), (62, 14), (66, 32)], fin)
    pen.blob([(44, 70), (50, 84), (62, 84), (60, 70)], fin)
    pen.blob([(5, 50), (16, 35), (34, 26), (54, 28), (70, 42), (78, 50), (70, 58), (54, 72), (34, 74),
              (16, 65)], colour)
    pen.line(smooth([(33, 34), (39, 50), (33, 66)], closed=False), mix(colour, "#1d1024", 0.5), 2.4)
    for x, y in ((50, 39), (50, 50), (50, 61), (61, 44.5), (61, 55.5)):
        pen.line(arc(x - 4, y, 5, 5.5, -60, 60), mix(colour, "#1d1024", 0.35), 2)
    pen.disc(21, 45, 6, "white")
    pen.disc(20, 45, 3, INK, edge=0)
    pen.line(smooth([(8, 55), (12, 58), (17, 56.5)], closed=False), mix(colour, "#1d1024", 0.62), 2.4)


@drawing
def flower(pen: Pen, colour: Colour = "#f06292") -> None:
    """A pink flower."""
    pen.line(smooth([(50, 50), (51, 72), (49, 96)], closed=False), "#3f9142", 5)
    pen.blob([(50, 88), (58, 72), (78, 66), (76, 80), (64, 88)], "#5cb85c")
    pen.blob([(50, 92), (42, 78), (23, 73), (25, 86), (36, 93)], "#5cb85c")
    for petal in range(6):
        a = math.radians(petal * 60 - 90)
        pen.disc(50 + 19 * math.cos(a), 36 + 19 * math.sin(a), 13, colour)
    pen.disc(50, 36, 11, "#ffd23f")


@drawing
def ghost(pen: Pen, colour: Colour = "#f3f1fb") -> None:
    """A ghost."""
    hem = [(85, 90), (76, 82), (67, 93), (58, 83), (50, 94), (42, 83), (33, 93), (24, 82), (15, 90)]
    pen.shape([*arc(50, 42, 35, 36, 180, 360), (85, 60), *smooth(hem, closed=False), (15, 60)], colour, edge=3)
    for side in (-1, 1):
        pen.disc(50 + side * 13, 38, 6, INK, ry=8.5, edge=0)
        pen.disc(52 + side * 13, 34, 2.2, "white", edge=0)
        pen.disc(50 + side * 23, 51, 5, "#f8b7c6", ry=3.2, edge=0)
    pen.disc(50, 60, 7.5, INK, ry=10, edge=0)
    pen.disc(50, 66, 5, "#f2728c", ry=4, edge=0)


@drawing
def heart(pen: Pen, colour: Colour = "#e8274b") -> None:
    """A red heart."""
    turns = [math.radians(i * 3) for i in range(120)]
    pen.shape([(50 + 2.6 * 16 * math.sin(t) ** 3,
                46 - 2.6 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
               for t in turns], colour, edge=3)
    pen.blob([(18, 38), (20, 28), (30, 21), (35, 23), (28, 30), (24, 41)], mix(colour, "white", 0.6), edge=0)


@drawing
def house(pen: Pen, colour: Colour = "#d6453d") -> None:
    """A house."""
    pen.box(68, 14, 79, 40, "#a4583c")
    pen.box(16, 44, 84, 92, "#ffe7b8")
    pen.shape([(50, 8), (95, 48), (88, 54), (12, 54), (5, 48)], colour, edge=3)
    pen.box(24, 63, 42, 79, "#a8dcf7")
    pen.line([(33, 63), (33, 79)], INK, 2)
    pen.line([(24, 71), (42, 71)], INK, 2)
    pen.box(54, 62, 73, 92, "#8a5a34")
    pen.disc(69, 78, 1.7, "#ffd54f", edge=0)
    pen.disc(50, 36, 6, "#a8dcf7")


@drawing
def key(pen: Pen, colour: Colour = "#fbc02d") -> None:
    """A golden key."""
    pen.turn(45)
    pen.shape([(45, 38), (55, 38), (55, 97), (50, 102), (45, 97)], colour)
    for top, right in ((71.0, 68), (85.0, 71)):
        pen.box(54, top, right, top + 8, colour)
    pen.box(46.2, 40, 53.8, 96, colour, edge=0)
    for top in (72.2, 86.2):
        pen.box(53, top, 60, top + 5.6, colour, edge=0)
    pen.disc(50, 22, 24, colour)
    pen.disc(50, 15, 10, mix(colour, "#1d1024", 0.62), edge=0)
    pen.disc(50, 15, 7.8, HOLE, edge=0)
    pen.line(arc(50, 22, 18.5, 18.5, 130, 200), mix(colour, "white", 0.6), 3)


@drawing
def moon(pen: Pen, colour: Colour = "#ffd23f") -> None:
    """A crescent moon."""
    pen.turn(-25)
    outer = arc(50, 50, 43, 43, 50, 310)
    tip = math.degrees(math.atan2(32.94, 4.64))
    inner = arc(73, 50, 33.27, 33.27, 360 - 180 + tip, 180 - tip)
    pen.shape([*outer, *inner], colour, edge=3)
    for x, y, radius in ((20, 42, 5), (27, 66, 6.5), (30, 27, 3.6)):
        pen.disc(x, y, radius, mix(colour, "#b07400", 0.3), edge=0)


@drawing
def mushroom(pen: Pen, colour: Colour = "#e2332f") -> None:
    """A red mushroom with white spots."""
    pen.blob([(38, 52), (62, 52), (64, 72), (71, 90), (50, 95), (29, 90), (36, 72)], "#fbeed8")
    pen.blob([(50, 6), (74, 13), (91, 33), (95, 52), (82, 60), (50, 62), (18, 60), (5, 52), (9, 33), (26, 13)], colour)
    for x, y, rx, ry in ((50, 28, 11, 9.5), (25, 32, 6.5, 8), (76, 34, 7, 8), (37, 50, 6, 4.6), (64, 50, 7, 5),
                         (88, 50, 3, 4.5), (13, 49, 3.2, 4.5)):
        pen.disc(x, y, rx, "#fffaf2", ry=ry, edge=0)


@drawing
def pizza(pen: Pen, colour: Colour = "#ffcb4d") -> None:
    """A slice of pizza."""
    pen.turn(12)
    pen.shape([(14, 20), (82, 20), (53, 93), (49, 95), (45, 93)], colour, edge=3)
    pen.blob([(10, 16), (30, 9), (48, 7), (66, 9), (85, 16), (87, 25), (83, 30), (66, 24), (48, 22), (30, 24), (12, 30),
              (8, 25)], "#c9803b")
    for x, y, radius in ((35, 38, 8), (61, 41, 8.5), (48, 62, 7.5), (49.5, 82, 3.2)):
        pen.disc(x, y, radius, "#d8402f")
        pen.disc(x - radius * 0.25, y - radius * 0.25, radius * 0.28, "#ee7a5e", edge=0)
    for start, end in (((49, 31), (53, 35)), ((44, 51), (39, 54)), ((62, 57), (58, 61))):
        pen.line([start, end], "#3f8f3f", 3)


@drawing
def rocket(pen: Pen, colour: Colour = "#e53935") -> None:
    """A rocket."""
    pen.turn(45)
    pen.blob([(42, 76), (50, 73), (58, 76), (59, 90), (50, 110), (41, 90)], "#ff9d1e")
    pen.blob([(46, 77), (54, 77), (55, 88), (50, 98), (45, 88)], "#ffe066", edge=0)
    for side in (-1, 1):
        pen.blob([(50 + side * x, y) for x, y in [(16, 46), (29, 60), (32, 84), (18, 73)]], colour)
    hull = [(50, -8), (60, 4), (68, 22), (70, 44), (63, 74)]
    body = smooth([*hull, *[(100 - x, y) for x, y in reversed(hull[1:])]])
    pen.shape(body, "#f1f3f7", edge=3)
    pen.shape([p for p in body if p[1] < 15], colour)
    pen.disc(50, 35, 9.5, mix(colour, "#1d1024", 0.1))
    pen.disc(50, 35, 6.5, "#8fd3f7", edge=0)
    pen.box(38, 70, 62, 77, "#6b6b76", radius=1.5)


@drawing
def snowman(pen: Pen, colour: Colour = "#f4f9ff") -> None:
    """A snowman."""
    for side in (-1, 1):
        pen.line([(50 + side * 22, 60), (50 + side * 42, 44)], "#7a4a21", 3)
        pen.line([(50 + side * 35, 50), (50 + side * 43, 52)], "#7a4a21", 2.4)
    pen.disc(50, 70, 27, colour, ry=25)
    pen.disc(50, 37, 19, colour)
    pen.box(30, 18, 70, 24, INK, radius=2.5)
    pen.box(37, 3, 63, 22, INK, radius=2)
    pen.box(37.5, 14, 62.5, 18.5, "#e53935", edge=0)
    pen.box(56, 52, 65, 73, "#e53935", radius=2)
    pen.blob([(32, 49), (50, 54), (68, 49), (69, 56), (50, 61), (31, 56)], "#e53935")
    for x in (43, 57):
        pen.disc(x, 34, 2.6, INK, edge=0)
    pen.shape([(50, 37), (68, 42), (50, 43)], "#ff8a1f", edge=1.8)
    for y in (68, 77, 86):
        pen.disc(50, y, 2.6, INK, edge=0)


@drawing
def star(pen: Pen, colour: Colour = "#ffcc22") -> None:
    """A yellow star."""
    turns = [(math.radians(36 * i - 90), 45 if i % 2 == 0 else 20) for i in range(10)]
    points = [(50 + r * math.cos(a), 53 + r * math.sin(a)) for a, r in turns]
    pen.shape(points, colour, edge=7)
    pen.shape(points, colour, edge=0)
    pen.line([*points, points[0]], colour, 2)


@drawing
def sun(pen: Pen, colour: Colour = "#ffc928") -> None:
    """The sun."""
    for ray in range(12):
        a = math.radians(ray * 30)
        spread = math.radians(8.5)
        pen.shape([(50 + 31 * math.cos(a - spread), 50 + 31 * math.sin(a - spread)),
                   (50 + 46 * math.cos(a), 50 + 46 * math.sin(a)),
                   (50 + 31 * math.cos(a + spread), 50 + 31 * math.sin(a + spread))], mix(colour, "#ff7a00", 0.5))
    pen.disc(50, 50, 26, colour, edge=3)


@drawing
def tree(pen: Pen, colour: Colour = "#58ad3f") -> None:
    """A green tree."""
    pen.shape([(43, 56), (57, 56), (58, 84), (65, 95), (35, 95), (42, 84)], "#8a5a34")
    pen.cloud([(50, 25, 19), (30, 35, 17), (70, 35, 17), (23, 52, 16), (77, 52, 16), (50, 48, 20), (39, 60, 14),
               (61, 60, 14)], colour)
    for x, y in ((36, 34), (56, 26), (68, 46), (44, 54)):
        pen.line(arc(x, y, 7, 6, 190, 300), mix(colour, "white", 0.4), 2.6)


@drawing
def trophy(pen: Pen, colour: Colour = "#fbc02d") -> None:
    """A golden trophy."""
    rim = mix(colour, "#1d1024", 0.62)
    for side in (-1, 1):
        handle = smooth([(50 + side * x, y) for x, y in [(24, 17), (41, 16), (40, 34), (20, 47)]], closed=False)
        pen.line(handle, rim, 9)
        pen.line(handle, colour, 4.4)
    pen.box(45, 56, 55, 78, colour)
    pen.shape([(24, 8), (76, 8), *smooth([(75, 24), (70, 44), (50, 62), (30, 44), (25, 24)], closed=False)], colour)
    pen.box(21, 5, 79, 12, mix(colour, "white", 0.25), radius=3)
    pen.box(36, 72, 64, 80, colour, radius=2)
    pen.box(26, 79, 74, 95, "#7a4a21", radius=2)
    pen.box(38, 84, 62, 91, "#ffe59a", edge=0)
    turns = [(math.radians(36 * i - 90), 10 if i % 2 == 0 else 4.4) for i in range(10)]
    pen.shape([(50 + r * math.cos(a), 32 + r * math.sin(a)) for a, r in turns], "#fff3b8", edge=1.6)


@drawing
def umbrella(pen: Pen, colour: Colour = "#8e5bd0") -> None:
    """An umbrella."""
    pen.line([(50, 4), (50, 30)], INK, 3.4)
    pen.line([(50, 40), (50, 86), *arc(42, 86, 8, 8, 0, 170)], mix("#8a5a34", "#1d1024", 0.3), 4.6)
    scallops = [p for x in (83, 61, 39, 17) for p in arc(x, 54, 11, 6, 0, -180)]
    pen.shape([*arc(50, 54, 44, 44, 180, 360), *scallops], colour, edge=3)
    for x in (28, 50, 72):
        rib = smooth([(50, 10), (50 + (x - 50) * 0.75, 26), (x, 53)], closed=False)
        pen.line(rib, mix(colour, "#1d1024", 0.62), 2)


class MazePlan(NamedTuple):
    """A perfect maze: one way, and only one, between any two cells.

    Cells are ``(column, row)`` from the top left. ``doors`` holds each open pair of neighbours, both ways round;
    ``path`` leads from the start, top left, to the exit, bottom right.
    """

    columns: int
    rows: int
    doors: frozenset[tuple[Cell, Cell]]
    path: tuple[Cell, ...]

    @property
    def cell_width(self) -> float:
        """Width and height of a cell in the image, in pixels."""
        return min(260 / self.columns, 416 / self.rows)

    def centre(self, cell: Cell) -> Point:
        """Where the middle of a cell lies in the image, in pixels."""
        return (MAZE_SIZE[0] / 2 + (cell[0] + 0.5 - self.columns / 2) * self.cell_width,
                281 + (cell[1] + 0.5 - self.rows / 2) * self.cell_width)


def plan_maze(seed: int, columns: int = 10, rows: int = 16) -> MazePlan:
    """Dig a maze at random, always on from the newest cell, back where it is stuck."""
    rng = random.Random(seed)
    start, goal = (0, 0), (columns - 1, rows - 1)
    trail, seen, doors = [start], {start}, set()
    path: tuple[Cell, ...] = (start,)
    while trail:
        x, y = here = trail[-1]
        if here == goal:
            path = tuple(trail)
        around = [(x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)]
        fresh = [c for c in around if 0 <= c[0] < columns and 0 <= c[1] < rows and c not in seen]
        if fresh:
            step = rng.choice(fresh)
            doors |= {(here, step), (step, here)}
            seen.add(step)
            trail.append(step)
        else:
            trail.pop()
    return MazePlan(columns, rows, frozenset(doors), path)


def maze(seed: int = 1, solved: float = 1.0, *, columns: int = 10, rows: int = 16,
         colour: Colour = "#39ff6a") -> Image.Image:
    """Draw a maze game as on a telephone: 288 by 512 pixels, RGB.

    Args:
        seed: which maze; the same seed is the same maze, however much of it is solved.
        solved: how much of the way to the exit the glowing path has gone, from 0 to 1.
        columns: cells across, 2 or more.
        rows: cells down, 2 or more.
        colour: of the path.

    Raises:
        ValueError: ``solved`` is not between 0 and 1, or there are fewer than two columns or rows.
    """
    if not 0 <= solved <= 1:
        raise ValueError(f"Expected solved to be between 0 and 1; got {shown(solved)}.")
    if min(columns, rows) < 2:
        raise ValueError(f"Expected at least 2 columns and 2 rows; got {columns} and {rows}.")
    plan = plan_maze(seed, columns, rows)
    image = _maze_ground()
    _draw_walls(image, plan)
    _draw_marks(image, plan)
    image = _add_path(image, plan, solved, colour)
    image = image.resize(MAZE_SIZE, Image.Resampling.LANCZOS)
    _draw_title(image, f"LEVEL {seed}", solved, colour)
    return image


def _grow(*values: float) -> tuple[float, ...]:
    return tuple(v * SUPERSAMPLING for v in values)


def _maze_ground() -> Image.Image:
    width, height = MAZE_SIZE
    image = Image.new("RGB", (1, height))
    for y in range(height):
        image.putpixel((0, y), mix("#1a1d2b", "#0b0c12", y / height))
    return image.resize((width * SUPERSAMPLING, height * SUPERSAMPLING), Image.Resampling.BILINEAR)


def _round_line(canvas: ImageDraw.ImageDraw, points: Sequence[Point], colour: Colour, width: float) -> None:
    stroke(canvas, [_grow(*point) for point in points], colour, width * SUPERSAMPLING)


def _draw_walls(image: Image.Image, plan: MazePlan) -> None:
    """Draw the wall to the left of and above each cell, one cell beyond the edge."""
    canvas = ImageDraw.Draw(image)
    half = plan.cell_width / 2
    for row in range(plan.rows + 1):
        for column in range(plan.columns + 1):
            x, y = plan.centre((column, row))
            here, left, above = (column, row), (column - 1, row), (column, row - 1)
            if row < plan.rows and (here, left) not in plan.doors:
                _round_line(canvas, [(x - half, y - half), (x - half, y + half)], "#8d929c", 3)
            if column < plan.columns and (here, above) not in plan.doors:
                _round_line(canvas, [(x - half, y - half), (x + half, y - half)], "#8d929c", 3)


def _draw_marks(image: Image.Image, plan: MazePlan) -> None:
    """Draw the exit: a golden ring in the last cell."""
    canvas = ImageDraw.Draw(image)
    x, y = plan.centre(plan.path[-1])
    for share, fill in ((0.34, "#ffc93c"), (0.24, "#14161f"), (0.12, "#ffc93c")):
        radius = plan.cell_width * share
        canvas.ellipse(_grow(x - radius, y - radius, x + radius, y + radius), fill=fill)


def _trodden(plan: MazePlan, solved: float) -> list[Point]:
    """The first part of the way, in pixels, cut between two cells where need be."""
    points = [plan.centre(cell) for cell in plan.path]
    steps = solved * (len(points) - 1)
    whole = int(steps)
    if whole == len(points) - 1:
        return points
    (x, y), (next_x, next_y) = points[whole], points[whole + 1]
    rest = steps - whole
    return [*points[: whole + 1], (x + (next_x - x) * rest, y + (next_y - y) * rest)]


def _add_path(image: Image.Image, plan: MazePlan, solved: float, colour: Colour) -> Image.Image:
    """Lay the path over the image, its glow first."""
    points = _trodden(plan, solved)
    light = Image.new("RGB", image.size)
    width = plan.cell_width * 0.28
    _round_line(ImageDraw.Draw(light), points, _rgb(colour), width * 1.3)
    for reach in (9, 3):
        glow = light.filter(ImageFilter.GaussianBlur(reach * SUPERSAMPLING))
        image = ImageChops.screen(image, glow)
    canvas = ImageDraw.Draw(image)
    _round_line(canvas, points, _rgb(colour), width)
    _round_line(canvas, points, mix(colour, "white", 0.55), width * 0.3)
    for end, size in ((points[0], 1.9), (points[-1], 2.3)):
        _round_line(canvas, [end, end], _rgb(colour), width * size)
        _round_line(canvas, [end, end], mix(colour, "white", 0.8), width * size * 0.5)
    return image


def _draw_title(image: Image.Image, title: str, solved: float, colour: Colour) -> None:
    """Draw the strip on top: a back arrow, the title, a pause sign and how far the way has been solved."""
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, 0, image.width, 51), fill="#262b3d")
    canvas.rectangle((0, 52, image.width, 55), fill="#151823")
    canvas.rectangle((0, 52, image.width * solved, 55), fill=_rgb(colour))
    font = ImageFont.load_default(size=21)
    canvas.text((image.width / 2, 26), title, fill="#eef1f8", font=font, anchor="mm")
    canvas.line([(28, 17), (19, 26), (28, 35)], fill="#aeb6c9", width=3, joint="curve")
    for x in (259, 267):
        canvas.rectangle((x, 18, x + 3, 34), fill="#aeb6c9")


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """Draw an image with the statistics of a photograph: shapes that cover each other, texture, and noise.

    Leaves that fall on each other give an image the edges and the spectrum of nature (Lee, Mumford and Huang 2001,
    "Occlusion Models for Natural Images"). At 12 megapixels and JPEG quality 90 a file has about 2.5 MB, as many
    photographs have, so a decoder has about as much to do.
    """
    rng = random.Random(seed)
    image = Image.new("RGB", (width, height), tuple(rng.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(LEAVES):
        radius = 0.01 * width / math.sqrt(rng.uniform(0.001, 1))  # many small ones, few large ones
        x, y, stretch = rng.uniform(0, width), rng.uniform(0, height), math.exp(rng.gauss(0, 0.5))
        box = (x - radius * stretch, y - radius / stretch, x + radius * stretch, y + radius / stretch)
        light = rng.uniform(0.2, 1)
        colour = tuple(round(light * rng.triangular(30, 255)) for _ in range(3))
        (pen.rectangle if rng.random() < 0.3 else pen.ellipse)(box, fill=colour)
    image = image.filter(ImageFilter.GaussianBlur(width / 3000))
    numbers = np.random.default_rng(seed)
    texture = np.sum([
        np.asarray(Image.fromarray(numbers.normal(0, 5, (height // part + 1, width // part + 1)).astype(np.float32))
                   .resize((width, height), Image.Resampling.BICUBIC))
        for part in (2, 8, 32, 128)
    ], axis=0)  # fmt: skip
    values = np.asarray(image, dtype=np.float32) + texture[..., None] + numbers.normal(0, 2, (height, width, 1))
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))


def images() -> dict[str, tuple[Image.Image, str, str]]:
    """Every image of the course: its file name, then the image, its name and its caption."""
    found = {f"{name}.png": (draw(name), name, caption(name)) for name in drawing_names()}
    for name, (seed, solved) in SAVED_MAZES.items():
        how_far = "solved to the end" if solved == 1 else "solved half way"
        found[f"{name}.jpeg"] = (maze(seed, solved), name, f"a maze with a green path, {how_far}")
    return dict(sorted(found.items()))


def write(folder: Path) -> list[Path]:
    """Write every image and ``captions.csv`` into ``folder``; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [("file", "name", "caption")]
    for file, (image, name, phrase) in images().items():
        if file.endswith(".png"):
            image.save(folder / file, optimize=True)
        else:
            image.save(folder / file, quality=92, subsampling=0)
        rows.append((file, name, phrase))
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table, lineterminator="\n").writerows(rows)
    return [folder / file for file, *_ in rows[1:]] + [folder / "captions.csv"]


if __name__ == "__main__":
    for path in write(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES):
        print(path)
