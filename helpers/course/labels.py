"""Label images by buttons in a notebook, one click per image; every click is saved at once."""

import csv
import io
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import IPython.display
from PIL import Image, ImageOps

from helpers._files import replace_file
from helpers._validation import path_of, printable, reason, shown, strings
from helpers.images import ImageError, open_image

display: Callable[..., object] = IPython.display.display  # which has no types
LABELS = ("yes", "no", "not sure")
COLUMNS = ["question", "image", "label"]
SIDE = 256  # pixels
PAUSE = 0.25  # seconds; the second click of a double click would answer for an image that nobody has seen


def label_images(
    folder: str | os.PathLike[str], images: Iterable[str], file: str | os.PathLike[str], question: str
) -> dict[str, str]:
    """Ask the same question about each image, by buttons, and save each answer to a CSV file at once.

    What the file already answers is not asked again, so running the cell again resumes. Answers to other questions may
    be in the same file; they stay there. Without ipywidgets the first image is shown, and no button.

    Args:
        folder: folder of the images.
        images: their paths in it, in the order in which they are shown.
        file: CSV file with the columns ``question,image,label``; the first answer creates it.
        question: is answered with "yes", "no", or "not sure".

    Returns:
        The labels of these images so far, by path. Each click changes this very dictionary.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: the file is damaged, or not one of labels.
        OSError: the file cannot be read.
    """
    folder, file, names = path_of("folder", folder), path_of("file", file), strings("image", images)
    saved = _read(file)
    labels = {name: saved[question, name] for name in names if (question, name) in saved}
    try:
        import ipywidgets
    except ImportError:
        if names:
            display(_opened(folder / names[0]))
        print(f"{question} {len(labels)} of {len(names)} labelled. The buttons need ipywidgets.")
        return labels
    display(_Panel(ipywidgets, folder, names, file, question, labels).box)
    return labels


class _Panel:
    """An image, the question, four buttons, and how far one has come."""

    def __init__(
        self, widgets: ModuleType, folder: Path, names: list[str], file: Path, question: str, labels: dict[str, str]
    ) -> None:
        self._folder, self._names, self._file = folder, names, file
        self._question, self._labels = question, labels
        size = {"width": f"{SIDE}px", "height": f"{SIDE}px"}  # else it fills the page, and pushes the buttons off it
        self._image = widgets.Image(format="png", layout=widgets.Layout(**size))
        self._asked, self._told = widgets.Label(question), widgets.Label()
        self._bar = widgets.IntProgress(max=max(1, len(names)))
        self._answers = [widgets.Button(description=label) for label in LABELS]
        for button in self._answers:
            button.on_click(lambda clicked: self._answer(clicked.description))
        self._back = widgets.Button(description="back", icon="arrow-left")
        self._back.on_click(lambda _: self._show(self._at - 1))
        buttons = widgets.HBox([*self._answers, self._back], layout=widgets.Layout(flex_flow="row wrap"))
        self.box = widgets.VBox([self._asked, self._image, buttons, self._bar, self._told])
        self._show(self._next())

    def _next(self) -> int:
        """Return the position of the first image without a label, or that behind the last image."""
        return next((i for i, name in enumerate(self._names) if name not in self._labels), len(self._names))

    def _show(self, at: int) -> None:
        self._at, done = at, at == len(self._names)
        if self._names:
            self._image.value = _png(_opened(self._folder / self._names[min(at, len(self._names) - 1)]))
        for button in self._answers:
            button.disabled = done
        self._back.disabled = at == 0
        self._bar.value = len(self._labels)
        now = "" if done or self._names[at] not in self._labels else f" This one: {self._labels[self._names[at]]}."
        end = " Done: run the next cell." if done else ""
        self._told.value = f"{len(self._labels)} of {len(self._names)} labelled.{now}{end}"
        self._since = time.monotonic()

    def _answer(self, label: str) -> None:
        if time.monotonic() - self._since < PAUSE or self._at == len(self._names):
            return
        name = self._names[self._at]
        try:  # an error that leaves a click is shown nowhere
            _save(self._file, self._question, name, label)
        except (OSError, ValueError) as error:
            self._told.value = f"Not saved: {reason(error)}"
            return
        self._labels[name] = label
        self._show(self._next())


def _opened(path: Path) -> Image.Image:
    """Return an image on a square of `SIDE` pixels; an empty one for what can no longer be read."""
    try:
        image = open_image(path, SIDE)
    except ImageError:
        image = Image.new("RGB", (SIDE, SIDE), "lightgrey")
    return ImageOps.pad(image, (SIDE, SIDE), color="lightgrey")


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _read(file: Path) -> dict[tuple[str, str], str]:
    """Read the labels by question and image; there are none as long as there is no file."""
    if not file.exists():
        return {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as table:  # Excel begins a file with a byte order mark
            rows = list(csv.reader(table))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(file, f"what cannot be read ({reason(error)})") from error
    if not rows or rows[0] != COLUMNS:
        raise _damaged(file, shown(",".join(rows[0])) if rows else "an empty file")
    for number, row in enumerate(rows, 1):
        if number > 1 and (len(row) != len(COLUMNS) or row[2] not in LABELS):
            raise _damaged(file, f"{shown(','.join(row))} in row {number}")
    return {(question, image): label for question, image, label in rows[1:]}


def _damaged(file: Path, got: str) -> ValueError:
    return ValueError(
        f"Expected {printable(file)} to have the columns {', '.join(COLUMNS)}, and labels {', '.join(LABELS)}; "
        f"got {got}. Repair it, or move it away to begin anew."
    )


def _save(file: Path, question: str, image: str, label: str) -> None:
    """Add one label, or change it: the file is replaced completely or not at all."""
    rows = {**_read(file), (question, image): label}
    file.parent.mkdir(parents=True, exist_ok=True)
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*key, value) for key, value in rows.items())
    replace_file(file, table.getvalue().encode())
