"""Draw what no pictogram shows well: mazes, board games, maze games and coloured shapes, in many styles."""

import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

COLOURS = {
    "red": (220, 40, 45), "orange": (245, 140, 30), "yellow": (250, 215, 50), "green": (50, 160, 70),
    "blue": (45, 100, 215), "purple": (135, 70, 175), "pink": (245, 145, 185), "brown": (130, 80, 45),
    "black": (20, 20, 22), "white": (250, 250, 250), "gray": (135, 138, 142),
}  # fmt: skip
PIXELS = 112
MAZE_NAMES = ("maze", "maze", "maze", "labyrinth", "maze puzzle", "maze game")
SHAPES = (
    "circle", "square", "triangle", "star", "heart", "hexagon", "pentagon", "octagon", "rectangle", "oval", "diamond",
    "cross", "ring", "crescent", "arrow", "house", "tree", "flower", "sun", "cloud",
)  # fmt: skip
GAMES = ("chess board", "tic tac toe", "sudoku", "dice", "dominoes", "playing card", "connect four", "crossword puzzle",
         "snake game", "game", "checkers", "jigsaw puzzle", "dots and boxes", "grid", "brick wall", "qr code",
         "bar chart", "calendar page", "keyboard keys")  # fmt: skip
COUNTS = {"maze": 2600, "game": 1900, "shape": 1600}


def carve_maze(columns: int, rows: int, rng: random.Random) -> tuple[set, dict]:
    """Carve a perfect maze by a random walk: the open walls and each cell's parent on the way to (0, 0)."""
    seen, trail, open_walls, parent = {(0, 0)}, [(0, 0)], set(), {}
    while trail:
        x, y = trail[-1]
        around = [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
        free = [(a, b) for a, b in around if 0 <= a < columns and 0 <= b < rows and (a, b) not in seen]
        if not free:
            trail.pop()
            continue
        step = rng.choice(free)
        open_walls.add(frozenset(((x, y), step)))
        parent[step] = (x, y)
        seen.add(step)
        trail.append(step)
    return open_walls, parent


def maze_colours(rng: random.Random) -> tuple[tuple, tuple]:
    """Choose the ground's and the walls' colour: dark with light walls, or light with dark ones, or tinted."""
    style = rng.random()
    if style < 0.45:
        ground = tuple(rng.randint(0, 55) for _ in range(3))
        wall = (rng.randint(85, 235),) * 3 if rng.random() < 0.6 else tuple(rng.randint(90, 255) for _ in range(3))
    elif style < 0.85:
        ground = tuple(rng.randint(205, 255) for _ in range(3))
        wall = tuple(rng.randint(0, 120) for _ in range(3))
    else:
        ground, wall = (rng.choice(list(COLOURS.values())) for _ in range(2))
        if sum(abs(a - b) for a, b in zip(ground, wall, strict=True)) < 150:
            wall = (255, 255, 255) if sum(ground) < 380 else (10, 10, 10)
    return ground, wall


def centre_square(image: Image.Image) -> Image.Image:
    """Cut the centre square out, as CLIP's preprocessing does, and shrink it."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)


def draw_maze(rng: random.Random) -> Image.Image:
    """Draw a rectangular maze, often with a path, often on a tall screen with a title strip."""
    tall = rng.random() < 0.45
    width, height = (216, 384) if tall else (224, 224)
    columns = rng.randint(5, 18)
    rows = max(4, round(columns * (rng.choice([1.0, 1.3, 1.5, 1.65]) if tall else rng.choice([1.0, 1.0, 0.8, 1.2]))))
    ground, wall = maze_colours(rng)
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    margin = rng.randint(-8, 24)
    top = rng.randint(30, 60) if tall and rng.random() < 0.7 else margin
    cell = min((width - 2 * margin) / columns, (height - top - margin) / rows)
    left = (width - cell * columns) / 2
    line = max(1, round(cell * rng.uniform(0.08, 0.38)))
    open_walls, parent = carve_maze(columns, rows, rng)

    def corner(x: float, y: float) -> tuple[float, float]:
        return left + x * cell, top + y * cell

    for x in range(columns):
        for y in range(rows):
            if x + 1 < columns and frozenset(((x, y), (x + 1, y))) not in open_walls:
                draw.line([corner(x + 1, y), corner(x + 1, y + 1)], fill=wall, width=line)
            if y + 1 < rows and frozenset(((x, y), (x, y + 1))) not in open_walls:
                draw.line([corner(x, y + 1), corner(x + 1, y + 1)], fill=wall, width=line)
    draw.rectangle([corner(0, 0), corner(columns, rows)], outline=wall, width=line)
    if rng.random() < 0.65:
        image = draw_path(image, parent, columns, rows, corner, cell, rng)
    if tall and top > margin:
        draw_title(image, rng, top)
    return centre_square(image)


def draw_path(image: Image.Image, parent: dict, columns: int, rows: int, corner, cell: float, rng: random.Random):
    """Draw the way from a far cell to the start, or a part of it, sometimes glowing."""
    at, path = (rng.randrange(columns), rows - 1), []
    while at in parent:
        path.append(at)
        at = parent[at]
    path.append(at)
    if rng.random() < 0.5:
        path = path[: max(2, int(len(path) * rng.random()))]
    colour = rng.choice([(0, 240, 70), (0, 240, 70), (60, 255, 120), (255, 220, 0), (230, 40, 40), (40, 120, 255)])
    points = [corner(x + 0.5, y + 0.5) for x, y in path]
    if rng.random() < 0.55:
        glow = Image.new("L", image.size)
        ImageDraw.Draw(glow).line(points, fill=255, width=max(3, round(cell * 0.6)), joint="curve")
        image.paste(colour, mask=glow.filter(ImageFilter.GaussianBlur(cell * 0.3)).point(lambda v: int(v * 0.7)))
    draw = ImageDraw.Draw(image)
    draw.line(points, fill=colour, width=max(2, round(cell * rng.uniform(0.15, 0.4))), joint="curve")
    for x, y in (points[0], points[-1]):
        if rng.random() < 0.4:
            radius = cell * 0.3
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=rng.choice(list(COLOURS.values())))
    return image


def draw_title(image: Image.Image, rng: random.Random, height: float) -> None:
    """Draw a strip with a few words on the top of a screen."""
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        shade = rng.randint(10, 90)
        draw.rectangle([0, 0, image.width, height - 6], fill=(shade, shade, shade))
    text = rng.choice(["LEVEL 12", "Maze", "SCORE 250", "LEVEL 3", "Find the way", "00:42"])
    draw.text((rng.randint(8, 90), height / 3), text, fill=(230, 230, 230), font_size=rng.randint(12, 22))


def draw_round_maze(rng: random.Random) -> Image.Image:
    """Draw rings with gaps and spokes: the round kind of labyrinth."""
    ground, wall = maze_colours(rng)
    image = Image.new("RGB", (224, 224), ground)
    draw = ImageDraw.Draw(image)
    rings, line = rng.randint(4, 9), rng.randint(2, 6)
    step = 108 / (rings + 0.5)
    for ring in range(1, rings + 1):
        radius, start, gap = ring * step, rng.randint(0, 359), max(12, 70 / ring)
        draw.arc(
            [112 - radius, 112 - radius, 112 + radius, 112 + radius], start, start + 360 - gap, fill=wall, width=line
        )
        for _ in range(rng.randint(0, 3) if ring < rings else 0):
            angle = rng.uniform(0, 2 * math.pi)
            ends = [(112 + r * math.cos(angle), 112 + r * math.sin(angle)) for r in (radius, radius + step)]
            draw.line(ends, fill=wall, width=line)
    return centre_square(image)


def two_colours(rng: random.Random) -> tuple[tuple, tuple]:
    """Choose two colours that differ clearly."""
    while True:
        first, second = (rng.choice(list(COLOURS.values())) for _ in range(2))
        if sum(abs(a - b) for a, b in zip(first, second, strict=True)) > 200:
            return first, second


def draw_board(draw: ImageDraw.ImageDraw, name: str, rng: random.Random) -> None:
    """Draw a game on squares: chess board, checkers, connect four, crossword, sudoku, tic-tac-toe, ..."""
    dark, light = two_colours(rng)
    n = {"tic tac toe": 3, "sudoku": 9, "connect four": 7, "crossword puzzle": 11, "grid": rng.randint(4, 12),
         "qr code": 21, "snake game": 14, "dots and boxes": 6, "calendar page": 7}.get(name, 8)  # fmt: skip
    margin = rng.randint(4, 22)
    cell = (224 - 2 * margin) / n

    def box(x: int, y: int, inset: float = 0) -> list[float]:
        low = margin + inset * cell
        return [low + x * cell, low + y * cell, margin + (x + 1 - inset) * cell, margin + (y + 1 - inset) * cell]

    for x in range(n):
        for y in range(n):
            chequered = (x + y) % 2 == 0
            if name in ("chess board", "checkers"):
                draw.rectangle(box(x, y), fill=dark if chequered else light)
                if name == "checkers" and chequered and y not in (3, 4):
                    draw.ellipse(box(x, y, 0.15), fill=(210, 30, 30) if y < 3 else (240, 240, 240))
            elif name == "connect four":
                draw.ellipse(box(x, y, 0.1), fill=rng.choice([(220, 40, 40), (250, 210, 40), (255, 255, 255)]))
            elif name in ("crossword puzzle", "qr code"):
                draw.rectangle(box(x, y), fill="black" if rng.random() < 0.4 else "white", outline="black")
            elif name == "dots and boxes":
                draw.ellipse(box(x, y, 0.4), fill=dark)
            elif name in ("sudoku", "grid", "calendar page"):
                draw.rectangle(box(x, y), outline=dark, width=2)
                if name != "grid" and rng.random() < (0.4 if name == "sudoku" else 0.95):
                    draw.text(
                        (box(x, y)[0] + cell * 0.3, box(x, y)[1] + cell * 0.1),
                        str(rng.randint(1, 9)),
                        fill=dark,
                        font_size=cell * 0.7,
                    )
            elif name == "tic tac toe":
                mark = rng.choice("XO ")
                if mark == "O":
                    draw.ellipse(box(x, y, 0.2), outline=dark, width=7)
                elif mark == "X":
                    a, b, c, d = box(x, y, 0.2)
                    draw.line([a, b, c, d], fill=dark, width=7)
                    draw.line([a, d, c, b], fill=dark, width=7)
    if name == "sudoku":
        for i in range(0, 10, 3):
            draw.line([margin + i * cell, margin, margin + i * cell, 224 - margin], fill=dark, width=5)
            draw.line([margin, margin + i * cell, 224 - margin, margin + i * cell], fill=dark, width=5)
    if name == "tic tac toe":
        for i in (1, 2):
            draw.line([margin + i * cell, margin, margin + i * cell, 224 - margin], fill=dark, width=6)
            draw.line([margin, margin + i * cell, 224 - margin, margin + i * cell], fill=dark, width=6)
    if name == "snake game":
        x, y = rng.randrange(n), rng.randrange(n)
        for _ in range(rng.randint(8, 30)):
            draw.rectangle(box(x, y, 0.05), fill=dark)
            dx, dy = rng.choice([(1, 0), (-1, 0), (0, 1), (0, -1)])
            x, y = min(max(x + dx, 0), n - 1), min(max(y + dy, 0), n - 1)
        draw.ellipse(box(rng.randrange(n), rng.randrange(n), 0.1), fill=(220, 40, 40))


def draw_pieces(draw: ImageDraw.ImageDraw, name: str, rng: random.Random) -> None:
    """Draw the games and images that are no board: dice, dominoes, cards, bricks, an arcade game, ..."""
    dark, light = two_colours(rng)
    if name in ("dice", "dominoes"):
        size = rng.randint(80, 130)
        x, y = rng.randint(10, 90), rng.randint(10, 90)
        draw.rounded_rectangle(
            [x, y, x + size, y + size * (1 if name == "dice" else 0.55)], 14, fill="white", outline="black", width=4
        )
        for column in range(2 if name == "dice" else 4):
            for row in range(3 if name == "dice" else 2):
                if rng.random() < 0.75:
                    cx = x + size * (0.28 + 0.44 * column if name == "dice" else 0.15 + 0.23 * column)
                    cy = y + size * (0.22 + 0.28 * row if name == "dice" else 0.14 + 0.26 * row)
                    draw.ellipse([cx - 8, cy - 8, cx + 8, cy + 8], fill="black")
        if name == "dominoes":
            draw.line([x + size / 2, y, x + size / 2, y + size * 0.55], fill="black", width=4)
    elif name == "playing card":
        x = rng.randint(30, 90)
        draw.rounded_rectangle([x, 20, x + 110, 200], 12, fill="white", outline="black", width=3)
        colour = rng.choice([(210, 30, 40), (20, 20, 20)])
        draw.text((x + 8, 24), rng.choice("A23456789JQK"), fill=colour, font_size=34)
        for _ in range(rng.randint(1, 5)):
            cx, cy = x + rng.randint(30, 80), rng.randint(70, 165)
            draw.polygon(shape_points(rng.choice(["diamond", "heart"]), cx, cy, 14), fill=colour)
    elif name == "brick wall":
        for row in range(8):
            for column in range(-1, 6):
                x = column * 46 + (row % 2) * 23
                draw.rectangle([x, row * 28, x + 42, row * 28 + 24], fill=dark)
    elif name == "bar chart":
        for column in range(6):
            draw.rectangle(
                [20 + column * 32, rng.randint(20, 180), 44 + column * 32, 205], fill=rng.choice(list(COLOURS.values()))
            )
    elif name == "keyboard keys":
        for row in range(4):
            for column in range(8):
                draw.rounded_rectangle([8 + column * 26, 50 + row * 30, 30 + column * 26, 76 + row * 30], 4, fill=dark)
    elif name == "jigsaw puzzle":
        for x in range(3):
            for y in range(3):
                colour = rng.choice(list(COLOURS.values()))
                draw.rectangle([20 + x * 62, 20 + y * 62, 78 + x * 62, 78 + y * 62], fill=colour)
                draw.ellipse([68 + x * 62, 40 + y * 62, 90 + x * 62, 60 + y * 62], fill=colour)
    else:  # "game": a screen with a player, enemies, platforms and a score
        for _ in range(rng.randint(4, 9)):
            x, y = rng.randint(0, 180), rng.randint(50, 200)
            if rng.random() < 0.5:
                draw.rectangle([x, y, x + rng.randint(20, 80), y + 10], fill=dark)
            else:
                draw.ellipse([x, y, x + 22, y + 22], fill=rng.choice(list(COLOURS.values())))
        draw.text(
            (10, 8), rng.choice(["SCORE 120", "LIVES 3", "GAME OVER", "PLAYER 1", "HI 9000"]), fill=dark, font_size=22
        )


def draw_game(name: str, rng: random.Random) -> Image.Image:
    """Draw one of ``GAMES`` on a plain ground."""
    image = Image.new("RGB", (224, 224), rng.choice([(255, 255, 255), (240, 240, 235), two_colours(rng)[1]]))
    draw = ImageDraw.Draw(image)
    boards = {"chess board", "checkers", "connect four", "crossword puzzle", "qr code", "dots and boxes", "sudoku",
              "grid", "calendar page", "tic tac toe", "snake game"}  # fmt: skip
    (draw_board if name in boards else draw_pieces)(draw, name, rng)
    return centre_square(image)


def shape_points(shape: str, x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """Return the outline of a shape that has corners, or a heart, around (x, y)."""
    sides = {"triangle": 3, "square": 4, "diamond": 4, "pentagon": 5, "hexagon": 6, "octagon": 8}
    if shape == "heart":
        turn = [2 * math.pi * i / 40 for i in range(40)]
        return [
            (x + radius * math.sin(t) ** 3,
             y - radius * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16)
            for t in turn
        ]  # fmt: skip
    if shape == "star":
        corners = [(radius if i % 2 == 0 else radius * 0.42, math.pi * i / 5) for i in range(10)]
    else:
        n = sides[shape]
        corners = [(radius, 2 * math.pi * i / n + {4: math.pi / 4, 8: math.pi / 8}.get(n, 0)) for i in range(n)]
        if shape == "diamond":
            corners = [(radius, math.pi * i / 2) for i in range(4)]
    return [(x + r * math.sin(a), y - r * math.cos(a)) for r, a in corners]


def draw_shape(shape: str, rng: random.Random) -> Image.Image:
    """Draw a black shape on nothing: training gives it a colour."""
    image = Image.new("RGBA", (224, 224))
    draw, x, y, r = ImageDraw.Draw(image), 112, 112, rng.randint(70, 105)
    ink = (0, 0, 0, 255)
    if shape in ("triangle", "square", "diamond", "pentagon", "hexagon", "octagon", "star", "heart"):
        draw.polygon(shape_points(shape, x, y, r), fill=ink)
    elif shape in ("circle", "ring", "crescent"):
        draw.ellipse([x - r, y - r, x + r, y + r], fill=ink)
        hole, shift = {"ring": (rng.uniform(0.4, 0.75), 0), "crescent": (0.8, 0.45)}.get(shape, (0, 0))
        draw.ellipse([x + (shift - hole) * r, y - hole * r, x + (shift + hole) * r, y + hole * r], fill=(0, 0, 0, 0))
    elif shape in ("rectangle", "oval"):
        high = r * rng.uniform(0.35, 0.65)
        (draw.rectangle if shape == "rectangle" else draw.ellipse)([x - r, y - high, x + r, y + high], fill=ink)
    elif shape == "cross":
        w = r * rng.uniform(0.2, 0.4)
        draw.rectangle([x - w, y - r, x + w, y + r], fill=ink)
        draw.rectangle([x - r, y - w, x + r, y + w], fill=ink)
    elif shape == "arrow":
        draw.rectangle([x - r, y - r / 5, x + r / 4, y + r / 5], fill=ink)
        draw.polygon([(x + r, y), (x + r / 5, y - r * 0.6), (x + r / 5, y + r * 0.6)], fill=ink)
    elif shape == "house":
        draw.rectangle([x - r * 0.7, y, x + r * 0.7, y + r], fill=ink)
        draw.polygon([(x, y - r), (x - r, y), (x + r, y)], fill=ink)
    elif shape == "tree":
        draw.rectangle([x - r * 0.15, y, x + r * 0.15, y + r], fill=ink)
        draw.ellipse([x - r * 0.7, y - r, x + r * 0.7, y + r * 0.4], fill=ink)
    elif shape == "cloud":
        for dx, dy, size in ((-0.55, 0.15, 0.42), (0, -0.1, 0.55), (0.5, 0.15, 0.45)):
            cx, cy, s = x + dx * r, y + dy * r, size * r
            draw.ellipse([cx - s, cy - s, cx + s, cy + s], fill=ink)
        draw.rectangle([x - r * 0.6, y + r * 0.2, x + r * 0.6, y + r * 0.57], fill=ink)
    else:  # sun and flower: a disc with rays or petals
        for i in range(8):
            angle = math.pi * i / 4
            cx, cy = x + 0.7 * r * math.cos(angle), y + 0.7 * r * math.sin(angle)
            if shape == "flower":
                draw.ellipse([cx - r * 0.3, cy - r * 0.3, cx + r * 0.3, cy + r * 0.3], fill=ink)
            else:
                draw.line([x, y, x + r * math.cos(angle), y + r * math.sin(angle)], fill=ink, width=10)
        draw.ellipse([x - r * 0.5, y - r * 0.5, x + r * 0.5, y + r * 0.5], fill=ink)
    return image.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)


def list_scenes(seed: int = 0) -> list[tuple[str, int]]:
    """List the name and the seed of every scene to draw."""
    rng = random.Random(seed)
    names = [rng.choice(MAZE_NAMES) for _ in range(COUNTS["maze"])]
    names += [GAMES[i % len(GAMES)] for i in range(COUNTS["game"])]
    names += [SHAPES[i % len(SHAPES)] for i in range(COUNTS["shape"])]
    return [(name, seed * 1_000_000 + i) for i, name in enumerate(names)]


def kind_of(name: str) -> str:
    """Say what kind of image a scene is: ``"maze"``, ``"game"``, or ``"mono"``, a shape that can take any colour."""
    return "maze" if name in MAZE_NAMES else "game" if name in GAMES else "mono"


def draw_scene(scene: tuple[str, int]) -> np.ndarray:
    """Draw one scene of ``list_scenes`` as a ``(112, 112, 4)`` array."""
    name, seed = scene
    rng = random.Random(seed)
    if name in MAZE_NAMES:
        image = (draw_round_maze if rng.random() < 0.12 else draw_maze)(rng)
    elif name in GAMES:
        image = draw_game(name, rng)
    else:
        image = draw_shape(name, rng)
    return np.asarray(image.convert("RGBA"))
