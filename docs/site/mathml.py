"""Formulas as MathML, which a browser shows without any script, and the font that makes them look alike everywhere."""

import logging
import re
from html import unescape
from importlib.metadata import distribution
from pathlib import Path

from docutils import nodes
from fontTools import subset
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

STIX = distribution("ziamath").locate_file("ziamath/fonts/STIXTwoMath-Regular.ttf")  # under the SIL Open Font License
# What a browser shows though no formula says it: variables in italics, and the root.
IMPLIED = [*range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C), 0x210E, 0x221A]


REPAIRS = (
    (r">\\([{}])<", r">\1<"),  # large braces keep their backslash
    (r"<mo>(?=(?:&#x02016;|&#x02223;|&#x0007C;|\|)</mo>)", '<mo stretchy="false">'),  # bars grow with the whole line
    (r"<mi>:</mi>", "<mo>:</mo>"),  # no space around a colon
    (r"(<mi>[a-z]{2,}</mi>)(?=<m(?!o))", r'\1<mspace width="0.167em"/>'),  # nor around a function, as in 2 ln N
    (r"(?<=</m[in]>)(<mi>[a-z]{2,}</mi>)", r'<mspace width="0.167em"/>\1'),
    (r"&#x0005E;", "&#x002C6;"),  # a caret for a hat, which hovers
)


def formula(latex: str, display: str) -> str:
    """Convert a formula, and repair what latex2mathml writes otherwise than TeX would set it."""
    converted = convert(latex, display=display)
    for pattern, repaired in REPAIRS:
        converted = re.sub(pattern, repaired, converted)
    return converted


def inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(formula(node.astext(), "inline"))
    raise nodes.SkipNode


def block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on its own; it scrolls where the screen is too narrow."""
    translator.body.append(f'<div class="math">{formula(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def write_font(site: Path) -> None:
    """Write those glyphs of the font that the formulas of the site need, which is a tenth of it."""
    pages = "".join(page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    formulas = unescape(re.sub("<[^>]*>", "", "".join(re.findall(r"<math.*?</math>", pages, re.S))))
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it tells each step
    options = subset.Options(flavor="woff", layout_features=["ssty", "dtls"], hinting=False)
    font = subset.load_font(STIX, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[*IMPLIED, *map(ord, set(formulas))])
    subsetter.subset(font)
    subset.save_font(font, site / "_static" / "math.woff", options)


def setup(app: Sphinx) -> None:
    """Tell Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
