"""Write matches as a self-contained HTML page, and distinguish photographs from drawings."""

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from helpers._files import replace_file
from helpers._validation import printable, reason
from helpers.images import ImageError, open_image
from helpers.index.query import Match

THUMBNAIL = 256  # pixels of the longer side
LOOKED_AT = 128  # pixels of the longer side, where an image is judged
FLAT = 0.25  # below it lie 19 of 20 photographs, and of 33 drawings none, as PNG or as JPEG
MARK = "<!DOCTYPE html>\n<!-- written by python -m helpers search -->\n"
PAGE = """\
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{query}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #1b1b1f; background: #fff; }}
h1 {{ font-size: 1.4rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.1rem; margin: 1.5rem 0 .5rem; }}
ol {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .75rem; padding: 0; }}
li {{ list-style: none; border: 1px solid #c8c8d0; border-radius: 8px; padding: .5rem; overflow-wrap: anywhere;
  content-visibility: auto; contain-intrinsic-size: auto 13rem; }}
a {{ display: block; color: #0b57d0; font-size: .875rem; line-height: 1.3; }}
img {{ display: block; width: 100%; aspect-ratio: 1; margin-bottom: .25rem; object-fit: contain; }}
b {{ font-variant-numeric: tabular-nums; }}
.below li {{ border-style: dashed; }}
.below img {{ opacity: .55; }}
@media (max-width: 30rem) {{ body {{ margin: 1rem; }} }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #e4e4e8; background: #16161a; }}
  li {{ border-color: #4a4a52; }}
  a {{ color: #a8c7fa; }}
}}
</style>
<h1>{query}</h1>
<p>{found} Model: {model}. A score is a cosine similarity, at most 1.</p>
{notes}
{lists}
</html>
"""


def refuse_foreign(file: Path) -> None:
    """Refuse to overwrite anything but a page that `write_page` wrote.

    Raises:
        ValueError: the file is something else.
        OSError: the file cannot be read.
    """
    if not file.exists() and not file.is_symlink():
        return
    if file.is_file():
        with file.open("rb") as there:
            if there.read(len(MARK)) == MARK.encode():
                return
    raise ValueError(
        f"Expected a new file, or a page that this command wrote; got {printable(file)}, which is neither. "
        "Choose another name."
    )


def write_page(file: Path, text: str) -> None:
    """Write a page completely or not at all.

    Raises:
        ValueError: there is something that this function did not write.
        OSError: it cannot be written.
    """
    refuse_foreign(file)
    try:
        replace_file(file, text.encode())
    except OSError as error:
        raise type(error)(f"Cannot write {printable(file)} ({reason(error)}). Choose another place.") from error


def page(query: str, model: str, matches: list[Match], notes: list[str], threshold: float | None = None) -> str:
    """Return a page of HTML with small copies of the images inside it; each leads to its file.

    Args:
        query: in words.
        model: its name.
        matches: the best first.
        notes: a sentence each.
        threshold: matches with a higher score are set apart from the others.
    """
    lists = [_list(matches, 1)]
    if threshold is not None:
        above = sum(match.score > threshold for match in matches)
        lists = [
            f"<h2>Above the threshold of {threshold:g}: {above:,}</h2>",
            _list(matches[:above], 1),
            f"<h2>Not above it: {len(matches) - above:,}</h2>",
            _list(matches[above:], above + 1, ' class="below"'),
        ]
    found = {0: "No image was found.", 1: "1 image."}.get(len(matches), f"{len(matches):,} images.")
    return MARK + PAGE.format(
        query=_text(query),
        model=_text(model),
        found=found,
        notes="\n".join(f"<p>{_text(note)}</p>" for note in notes),
        lists="\n".join(lists),
    )


def _list(matches: list[Match], first: int, kind: str = "") -> str:
    items = "\n".join(_item(rank, match) for rank, match in enumerate(matches, first))
    return f"<ol{kind}>\n{items}\n</ol>"


def are_photographs(paths: Iterable[Path]) -> bool:
    """Return whether most of some images look like photographs; those that cannot be read do not count.

    In a drawing most pixels have the very colour of their neighbour, in a photograph few, for light and sensor vary
    (Athitsos, Swain, Frankel, "Distinguishing photographs and graphics on the World Wide Web", 1997). Things cut out
    and laid on plain white pass for drawings.
    """
    judged = []
    for path in paths:
        try:
            judged.append(_flatness(open_image(path, LOOKED_AT)) < FLAT)
        except ImageError:
            continue
    return 2 * sum(judged) > len(judged)


def _flatness(image: Image.Image) -> float:
    """Return the fraction of neighbours in a row that have one colour, in [0, 1]."""
    image.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.BOX)
    pixels = np.asarray(image)
    equal = (pixels[:, 1:] == pixels[:, :-1]).all(axis=2)
    return float(equal.mean()) if equal.size else 1.0


def _item(rank: int, match: Match) -> str:
    name, link = _text(match.path.name), escape(match.path.as_uri())
    try:
        shown = f'<img alt="" loading="lazy" decoding="async" src="data:image/jpeg;base64,{_thumbnail(match.path)}">'
    except ImageError as error:  # it was moved or changed meanwhile
        shown = _text(error)
    return f'<li><a href="{link}" title="{_text(match.path)}">{shown}{name}</a>{rank:,} · <b>{match.score:.3f}</b></li>'


def _thumbnail(path: Path) -> str:
    image = open_image(path, THUMBNAIL)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=80)
    return base64.b64encode(content.getvalue()).decode()


def _text(value: object) -> str:
    return escape(printable(value))
