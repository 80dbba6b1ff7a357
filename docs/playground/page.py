"""Write the body of the playground's page, with results to look at before the model is loaded, or without JavaScript.

What stands in playground.html as @name@ is computed here, by the model that the page loads.
"""

import math
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

import helpers
from helpers.course import drawings

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parent.parent / "images"
SEARCH = "something to drive"
ROWS = ("a pet", SEARCH, "something to eat", "a red toy", "it flies")
COLUMNS = ("cat", "dog", "car", "pizza", "rocket", "bird")
CANDIDATES = ("a maze", "a banana", "a boat")
TEASED = 6  # drawings on the front page
SHOWN = 6  # captions; js/panels/captions.js has the same
WHY, WHY_TEXT, WHY_OTHER = "bird", "a blue bird", "a red bird"
SCALE = 1  # logit scale that the panel Temperature begins with
FULL, FULL_WORD = 0.1, 0.6  # js/panels/why.js has the same
LOWEST, HIGHEST = -0.1, 0.6  # js/colours.js has the same
DARK = 0.44
ORANGE, BLUE = (230, 120, 0), (0, 114, 178)


def write_page(folder: Path) -> str:
    """Return the HTML of the page's body, and write the map that it shows into the folder of the playground's files."""
    first = FirstState()
    words = {**first.search(), **first.heatmap(), **first.temperature(), **first.captions_of(), **first.why(folder)}
    body = (HERE / "playground.html").read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda found: words[found[1]], body)


def write_teaser() -> str:
    """Return the HTML that shows on the front page what the playground does."""
    first = FirstState()
    scores = first.similarity(SEARCH)[0]
    items = "".join(f"<li>{first.thumbnail(i)} {decimal(scores[i])}</li>" for i in np.argsort(-scores)[:TEASED])
    return (
        f'<div><a class="teaser" href="playground.html"><span class="words">{SEARCH}</span>\n<ol>{items}</ol>\n'
        "<span>Type your own words: the model runs in your browser →</span></a></div>"
    )


class FirstState:
    """What each panel shows at first, computed with `tiny`."""

    def __init__(self) -> None:
        self.model, self.preprocess = helpers.load("tiny", device="cpu")
        self.scale = self.model.logit_scale.exp().item()
        self.names = drawings.drawing_names()
        self.captions = [drawings.caption(name) for name in self.names]
        paths = [IMAGES / f"{name}.png" for name in self.names]
        self.images = helpers.encode_images(self.model, self.preprocess, paths, progress=False)

    def similarity(self, *texts: str) -> np.ndarray:
        """Return the cosines of texts with all drawings, ``(texts, drawings)``."""
        return helpers.cosine_similarity(helpers.encode_texts(self.model, texts, progress=False), self.images)

    def search(self) -> dict[str, str]:
        """Rank the drawings for one text; the guess is about another."""
        scores, guess = self.similarity(SEARCH, "something to eat")
        order, guessed = np.argsort(-scores), np.argsort(-guess)
        items = [f"<li>{self.thumbnail(i)}<b>{decimal(scores[i])}</b></li>" for i in order]
        best = f"Best match for “{SEARCH}”: {self.captions[order[0]]}, cosine {decimal(scores[order[0]])}."
        first, second, third = (f"{self.captions[i]} ({decimal(guess[i])})" for i in guessed[:3])
        return {
            "search_text": SEARCH,
            "search_best": best,
            "search_results": "\n".join(items),
            "guess_search": f"{first}, then {second} and {third}.".capitalize(),
        }

    def heatmap(self) -> dict[str, str]:
        """Write the table of cosines."""
        columns = [self.names.index(name) for name in COLUMNS]
        rows = []
        for i, (text, scores) in enumerate(zip(ROWS, self.similarity(*ROWS)[:, columns], strict=True), start=1):
            field = f'<input type="text" value="{escape(text)}" aria-label="Text {i}" autocomplete="off">'
            cells = "".join(f'<td style="{score_colour(score)}">{decimal(score)}</td>' for score in scores)
            rows.append(f'<tr><th scope="row">{field}</th>{cells}</tr>')
        head = "".join(f'<th scope="col">{self.thumbnail(i)}</th>' for i in columns)
        return {"heatmap_head": head, "heatmap_rows": "\n".join(rows)}

    def temperature(self) -> dict[str, str]:
        """Turn the cosines of wrong texts into probabilities."""
        scores = self.similarity(*CANDIDATES)[:, self.names.index("cat")]
        probabilities, sharp = softmax(scores, SCALE), softmax(scores, self.scale)
        best = int(sharp.argmax())
        guess = (
            f"“{CANDIDATES[best]}” gets {percent(sharp[best])}, with a cosine of {decimal(scores[best])}. Softmax sees "
            "only the differences of the cosines, so it always has a winner. Move the slider to 40."
        )
        return {
            "temperature_name": "cat",
            "temperature_drawing": self.captions[self.names.index("cat")],
            "temperature_texts": ", ".join(CANDIDATES),
            "temperature_log": f"{math.log10(SCALE):.2f}",
            "temperature_scale": f"{SCALE}",
            "temperature_cosines": bars(CANDIDATES, scores, map(decimal, scores)),
            "temperature_probabilities": bars(CANDIDATES, probabilities, map(percent, probabilities)),
            "guess_temperature": guess,
        }

    def captions_of(self) -> dict[str, str]:
        """Write the best captions of the drawings that the panels Draw and Your own image begin with."""
        table, words = self.similarity(*self.captions), {}
        for panel, name in (("draw", "house"), ("own", "cat")):
            scores = table[:, self.names.index(name)]
            probabilities = softmax(scores, self.scale)
            order = np.argsort(-scores)[:SHOWN]
            notes = [f"{percent(probabilities[i])}, cosine {decimal(scores[i])}" for i in order]
            words |= {
                f"{panel}_name": name,
                f"{panel}_caption": self.captions[self.names.index(name)],
                f"{panel}_best": f"{self.captions[order[0]]}, {percent(probabilities[order[0]])}",
                f"{panel}_captions": bars([self.captions[i] for i in order], probabilities[order], notes),
            }
        return words

    def why(self, folder: Path) -> dict[str, str]:
        """Draw the occlusion map of a drawing, and write how much each word matters."""
        path = IMAGES / f"{WHY}.png"
        (drops,) = helpers.occlusion_maps(self.model, self.preprocess, path, [WHY_TEXT], progress=False)
        folder.mkdir(parents=True, exist_ok=True)
        draw_map(helpers.open_image(path), drops).save(folder / "why.png")
        words, falls = helpers.word_drops(self.model, self.preprocess, path, WHY_TEXT)
        score = self.similarity(WHY_TEXT)[0, self.names.index(WHY)]
        notes = [f"{'rises' if fall < 0 else 'falls'} by {decimal(abs(fall))}" for fall in falls]
        other = self.similarity(WHY_OTHER)[0, self.names.index(WHY)]
        return {
            "why_caption": self.captions[self.names.index(WHY)],
            "why_text": WHY_TEXT,
            "why_score": f"“{WHY_TEXT}”: cosine {decimal(score)}.",
            "why_full": decimal(FULL),
            "why_alt": "the regions that support the text are orange",
            "why_words": bars(words, falls / FULL_WORD, notes, signed=True),
            "why_other": WHY_OTHER,
            "guess_why": f"“{WHY_TEXT}” has a cosine of {decimal(score)}, “{WHY_OTHER}” one of {decimal(other)}.",
        }

    def thumbnail(self, i: int) -> str:
        """Show a drawing, small."""
        name, caption = self.names[i], escape(self.captions[i])
        return (
            f'<img src="playground/thumbnails/{name}.webp" alt="{caption}" title="{caption}" data-name="{name}" '
            'width="64" height="64">'
        )


def bars(labels: Iterable[str], values: Iterable[float], notes: Iterable[str], signed: bool = False) -> str:
    """Write the items of a list of bars, as `showBars` of js/dom.js makes them."""
    return "\n".join(
        f'<li><span class="label">{escape(label)}</span><span class="bar{" negative" if value < 0 else ""}" '
        f'style="--value: {min(1, abs(value) if signed else max(0, value)):.3f}">'
        f"</span><b>{note}</b></li>"
        for label, value, note in zip(labels, values, notes, strict=True)
    )


def draw_map(image: Image.Image, drops: np.ndarray) -> Image.Image:
    """Lay the map over a light grey copy of the image, as js/panels/why.js does."""
    grey = 128 + np.asarray(image.convert("L"), dtype=np.float32)[:, :, None] / 2
    part = np.minimum(1, np.abs(drops) / FULL)[:, :, None] * 230 / 255
    colour = np.where(drops[:, :, None] < 0, BLUE, ORANGE)
    return Image.fromarray(np.rint(part * colour + (1 - part) * grey).astype(np.uint8))


def score_colour(cosine: float) -> str:
    """Return the style of a cell of the heatmap, as `scoreColour` of js/colours.js does."""
    place = min(1, max(0, (cosine - LOWEST) / (HIGHEST - LOWEST)))
    colour = matplotlib.colors.to_hex(matplotlib.colormaps["viridis"](place))
    return f"background: {colour}; color: {'#000' if place > DARK else '#fff'}"


def softmax(scores: np.ndarray, scale: float) -> np.ndarray:
    """Return the probabilities that belong to cosines."""
    return helpers.probabilities(scores[:, None], scale)[:, 0]


def percent(probability: float) -> str:
    """Write a probability; none is called 0 or 100 %."""
    rounded = round(100 * float(probability))
    return "< 1 %" if rounded < 1 else "> 99 %" if rounded > 99 else f"{rounded} %"


def decimal(value: float) -> str:
    """Write a cosine with a true minus sign, and without "−0.00"."""
    text = f"{value:.2f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")
