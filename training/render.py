"""Choose and name the pictograms, and draw them all once into one array.

Run ``python -m training.render`` after ``get_data``. It writes ``images.npy`` (RGBA, 112 pixels),
``images.json`` (name, set and kind of each) and the same for OpenMoji, which is only for the evaluation.
"""

import io
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from PIL import Image

from training import line_art, scenes
from training.get_data import data_folder
from training.names import SKIN_TONE, EmojiNames, WordNet, can_be_drawn, clean_name, icon_name_to_words

PIXELS = line_art.PIXELS
EMOJI_SETS = (
    "twemoji noto noto-v1 fluent-emoji fluent-emoji-flat fluent-emoji-high-contrast emojione emojione-monotone fxemoji "
    "streamline-emojis"
).split()
FLAG_SETS = {"flag": r"([a-z]{2})-4x3", "circle-flags": r"([a-z]{2})", "flagpack": r"([a-z]{2})", "cif": r"([a-z]{2})"}
HELD_OUT_SET = "openmoji"
DOODLES = "quick-draw"
ALLOWED_LICENCES = {"MIT", "Apache-2.0", "CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "ISC", "Unlicense", "BSD-3-Clause"}
UNUSED_CATEGORIES = {"Logos", "Programming", "Emoji", "Flags / Maps"}
MAP_SETS = {"maki", "temaki", "osmic"}
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="{left} {top} {width} {height}" width="{pixels}" height="{pixels}">{body}</svg>'
)


def read_set(iconify: Path, prefix: str) -> dict:
    """Read one set; raise ValueError when its licence does not allow what we do, unless it is held out."""
    data = json.loads((iconify / "json" / f"{prefix}.json").read_text())
    licence = data["info"]["license"].get("spdx")
    if licence not in ALLOWED_LICENCES and prefix != HELD_OUT_SET:
        raise ValueError(f"set {prefix!r} has licence {licence!r}, which is not among {sorted(ALLOWED_LICENCES)}")
    return data


def make_svg(data: dict, icon_name: str, pixels: int = PIXELS) -> str:
    """Return the SVG text of one icon, black where it takes the text's colour, and without animation."""
    icon = data["icons"][icon_name]
    size = {key: icon.get(key, data.get(key, 16)) for key in ("width", "height")}
    body = re.sub(r"<(animate\w*|set)\b[^>]*?(/>|>.*?</\1>)", "", icon["body"].replace("currentColor", "#000"))
    return SVG.format(left=icon.get("left", 0), top=icon.get("top", 0), pixels=pixels, body=body, **size)


def list_emoji(iconify: Path, names: EmojiNames, prefix: str) -> list[tuple]:
    """List ``(svg, name, set, kind)`` of the emoji of one set, without its skin tones."""
    data = read_set(iconify, prefix)
    codes = defaultdict(list)
    for code, icon_name in (data.get("chars") or {}).items():
        codes[icon_name].append(code)
    kind = "colour" if data["info"]["palette"] else "mono"
    found = {}
    for icon_name in data["icons"]:
        spelling = re.sub(r"-1$", "", icon_name) if prefix == "streamline-emojis" else icon_name
        name = names.find(spelling, codes[icon_name])
        if name and name not in found and not (SKIN_TONE.search(icon_name) and "tone" not in name):
            found[name] = (make_svg(data, icon_name), name, prefix, kind)
    return list(found.values())


def list_flags(iconify: Path, names: EmojiNames, prefix: str) -> list[tuple]:
    """List the national flags of a set whose icons are named by country code."""
    data = read_set(iconify, prefix)
    rows = []
    for icon_name in data["icons"]:
        match = re.fullmatch(FLAG_SETS[prefix], icon_name)
        if match and match[1] in names.flags:
            rows.append((make_svg(data, icon_name), names.flags[match[1]], prefix, "colour"))
    return rows


def list_icons(
    iconify: Path, wordnet: WordNet, emoji_labels: set[str], least_sets: int = 3, most: int = 20
) -> list[tuple]:
    """List icons of drawable things whose name occurs in ``least_sets`` sets, at most ``most`` of a name."""
    by_name = defaultdict(list)
    for prefix, info in sorted(json.loads((iconify / "collections.json").read_text()).items()):
        used = info.get("category") not in UNUSED_CATEGORIES or prefix in MAP_SETS
        if not used or info["license"].get("spdx") not in ALLOWED_LICENCES:
            continue
        data, count = read_set(iconify, prefix), defaultdict(int)
        for icon_name in data["icons"]:
            name = icon_name_to_words(icon_name)
            if count[name] < 2 and " off" not in f" {name}":
                count[name] += 1
                by_name[name].append((data, icon_name, prefix))
    rows, rng = [], random.Random(0)
    for name, icons in sorted(by_name.items()):
        if len({prefix for _, _, prefix in icons}) < least_sets:
            continue
        if name in emoji_labels or can_be_drawn(name, wordnet):
            coloured = [icon for icon in icons if icon[0]["info"].get("palette")]
            others = [icon for icon in icons if not icon[0]["info"].get("palette")]
            chosen = coloured + rng.sample(others, max(0, min(len(others), most - len(coloured))))
            for data, icon_name, prefix in chosen:
                kind = "colour" if data["info"].get("palette") else "mono"
                rows.append((make_svg(data, icon_name), name, prefix, kind))
    return rows


def list_line_art(root: Path, names: EmojiNames) -> list[tuple]:
    """List ``(draw, name, set, kind)`` of the emoji in the fonts of line drawings; a colour kind is to be filled."""
    fonts = root / "noto-emoji" / "files"
    glyphs = [("noto-emoji", kind, line_art.list_glyphs(sorted(fonts.glob(f"*-{weight}-normal.woff")), names.by_code))
              for weight, kind in ((300, "mono"), (400, "colour"), (700, "mono"))]  # fmt: skip
    symbola = line_art.list_glyphs(sorted((root / "symbola").glob("*.ttf")), names.by_code)
    glyphs += [("symbola", "mono", symbola), ("symbola", "colour", symbola)]
    return [(partial(line_art.draw_glyph, *glyph), name, source, kind)
            for source, kind, found in glyphs for name, glyph in sorted(found.items())]  # fmt: skip


def list_doodles(root: Path, known: set[str], coloured: set[str]) -> list[tuple]:
    """List ``(draw, name, set, kind)`` of the ``known``; every other one of the ``coloured`` is to be filled."""
    rows = []
    for file in sorted((root / "doodles" / "src" / "drawings").glob("*.ndjson.gz")):
        name = clean_name(file.name.split(".")[0])
        if name in known:
            kinds = ("mono", "colour") if name in coloured else ("mono", "mono")
            doodles = enumerate(line_art.read_doodles(file))
            rows += [(partial(line_art.draw_doodle, doodle), name, DOODLES, kinds[i % 2]) for i, doodle in doodles]
    return rows


def draw_line_art(draw: Callable[[], np.ndarray], coloured: np.ndarray | None) -> np.ndarray:
    """Draw lines alone, or filled with the colours of ``coloured``."""
    ink = draw()
    return line_art.as_silhouette(ink) if coloured is None else line_art.fill_lines(ink, coloured)


def draw_svg(svg: str) -> np.ndarray | None:
    """Draw an SVG text as a ``(112, 112, 4)`` array; None when it is broken or empty."""
    import resvg_py

    try:
        image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    except ValueError:
        return None
    canvas = Image.new("RGBA", (PIXELS, PIXELS))
    image.thumbnail((PIXELS, PIXELS))
    canvas.paste(image, ((PIXELS - image.width) // 2, (PIXELS - image.height) // 2))
    pixels = np.asarray(canvas)
    return pixels if pixels[..., 3].mean() > 4 else None


def save_images(stem: Path, rows: list[tuple], drawn: list[np.ndarray]) -> None:
    """Write the images, then their description: the description's presence says that the stage is finished."""
    kept = [(row, pixels) for row, pixels in zip(rows, drawn, strict=True) if pixels is not None]
    shape = (len(kept), PIXELS, PIXELS, 4)
    images = np.lib.format.open_memmap(stem.with_suffix(".npy"), mode="w+", dtype=np.uint8, shape=shape)
    for i, (_, pixels) in enumerate(kept):
        images[i] = pixels
    images.flush()
    stem.with_suffix(".json").write_text(json.dumps([row[1:] for row, _ in kept]))
    print(stem.name, len(kept), "images,", len({row[1] for row, _ in kept}), "names", flush=True)


def main() -> None:
    """Render what is missing."""
    root = data_folder()
    if (root / "images.json").exists() and (root / "held_out.json").exists():
        return
    names, wordnet = EmojiNames(root / "emojibase", root / "iconify"), WordNet(root / "wordnet")
    iconify, labels = root / "iconify", set(names.by_code.values())
    rows = [row for prefix in EMOJI_SETS for row in list_emoji(iconify, names, prefix)]
    rows += [row for prefix in FLAG_SETS for row in list_flags(iconify, names, prefix)]
    rows += list_icons(iconify, wordnet, labels)
    data = read_set(iconify, HELD_OUT_SET)
    held_out = list_emoji(iconify, names, HELD_OUT_SET)
    known = {row[1] for row in held_out}
    extra = {icon_name_to_words(name): name for name in data["icons"] if not SKIN_TONE.search(name)}
    held_out += [
        (make_svg(data, icon), name, HELD_OUT_SET, "colour") for name, icon in extra.items() if name not in known
    ]
    with Pool() as pool:
        drawn = pool.map(draw_svg, [row[0] for row in held_out], chunksize=64)
        save_images(root / "held_out", held_out, drawn)
        drawn = pool.map(draw_svg, [row[0] for row in rows], chunksize=64)
        good = [(row, pixels) for row, pixels in zip(rows, drawn, strict=True) if pixels is not None]
        noto = {row[1]: pixels for row, pixels in good if row[2] == "noto"}
        coloured = {row[1]: pixels for row, pixels in good if row[3] == "colour"} | noto
        line_rows = [row for row in list_line_art(root, names) if row[1] in noto]
        line_rows += list_doodles(root, {row[1] for row, _ in good}, set(coloured))
        fills = [coloured[row[1]] if row[3] == "colour" else None for row in line_rows]
        drawn += pool.starmap(draw_line_art, zip([row[0] for row in line_rows], fills, strict=True), chunksize=64)
        rows += line_rows
        scene_rows = scenes.list_scenes()
        drawn += pool.map(scenes.draw_scene, scene_rows, chunksize=16)
        rows += [(None, name, "drawn", scenes.kind_of(name)) for name, _ in scene_rows]
        save_images(root / "images", rows, drawn)


if __name__ == "__main__":
    main()
