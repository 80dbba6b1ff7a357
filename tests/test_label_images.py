"""Images are labelled by clicks, and each click is in the file at once."""

import csv
import io

import pytest
from PIL import Image

from helpers.course import label_images, labels
from helpers.course.labels import COLUMNS

QUESTION = "Does it show a cat?"
NAMES = ["a.png", "sub/b.png", "c.png"]

widgets = pytest.importorskip("ipywidgets")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name, colour in zip(NAMES, ("red", "green", "blue"), strict=True):
        Image.new("RGB", (30, 20), colour).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "new" / "labels.csv"


@pytest.fixture
def panel(folder, file, monkeypatch):
    """Shows the buttons, and returns the labels with the box that was displayed."""
    displayed = []
    monkeypatch.setattr(labels, "display", displayed.append)
    monkeypatch.setattr(labels, "PAUSE", 0)

    def show(names=NAMES, question=QUESTION):
        found = label_images(folder, names, file, question)
        return found, displayed[-1]

    return show


def click(box, *descriptions):
    buttons = {button.description: button for button in box.children[2].children}
    for description in descriptions:
        if not buttons[description].disabled:
            buttons[description].click()


def colour(box):
    return Image.open(io.BytesIO(box.children[1].value)).getpixel((128, 128))


def told(box):
    return box.children[4].value


def saved(file):
    with file.open(newline="", encoding="utf-8") as table:
        header, *rows = csv.reader(table)
    assert header == COLUMNS
    return rows


def test_each_click_is_saved_at_once(panel, file):
    found, box = panel()
    assert (found, colour(box), told(box)) == ({}, (255, 0, 0), "0 of 3 labelled.")
    click(box, "yes")
    assert saved(file) == [[QUESTION, "a.png", "yes"]]
    assert (found, colour(box), told(box)) == ({"a.png": "yes"}, (0, 128, 0), "1 of 3 labelled.")
    click(box, "not sure", "no")
    assert found == {"a.png": "yes", "sub/b.png": "not sure", "c.png": "no"}
    assert [row[2] for row in saved(file)] == ["yes", "not sure", "no"]
    assert told(box).startswith("3 of 3 labelled. Done")
    assert box.children[3].value == box.children[3].max == 3
    click(box, "yes")  # the buttons are off
    assert len(saved(file)) == 3


def test_back_changes_a_label_and_returns_to_where_one_was(panel, file):
    found, box = panel()
    click(box, "yes", "no", "back", "back")
    assert (colour(box), told(box)) == ((255, 0, 0), "2 of 3 labelled. This one: yes.")
    click(box, "back", "no")  # there is nothing before the first
    assert (colour(box), found) == ((0, 0, 255), {"a.png": "no", "sub/b.png": "no"})
    click(box, "yes", "back")
    assert told(box) == "3 of 3 labelled. This one: yes."


def test_a_rerun_resumes_and_another_question_begins_anew(panel, file):
    _, first = panel()
    click(first, "yes")
    found, box = panel()
    assert (found, colour(box)) == ({"a.png": "yes"}, (0, 128, 0))
    click(box, "no")
    click(first, "not sure")  # the buttons of before are still there, and know no better
    assert [row[2] for row in saved(file)] == ["yes", "not sure"]
    other, box = panel(question="Does it show a dog?")
    assert (other, colour(box)) == ({}, (255, 0, 0))
    click(box, "no")
    assert len(saved(file)) == 3
    assert panel(NAMES[1:])[0] == {"sub/b.png": "not sure"}


def test_a_click_before_the_image_can_be_seen_does_not_count(panel, monkeypatch):
    found, box = panel()
    monkeypatch.setattr(labels, "PAUSE", 60)
    click(box, "yes")
    assert found == {}


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "an empty file"),
        (b"image,label\na.png,yes\n", "'image,label'"),
        (b"question,image,label\nq,a.png,yes\nq,b.pn", "'q,b.pn' in row 3"),
        (b"question,image,label\nq,a.png,maybe\n", "'q,a.png,maybe' in row 2"),
        (b"question;image;label\n", "'question;image;label'"),
        (b"\xff\xfe\x00", "what cannot be read"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(panel, file, content, got):
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"^Expected .*labels\.csv to have the columns question, image, label") as told:
        panel()
    assert got in str(told.value)
    assert file.read_bytes() == content


def test_a_label_that_cannot_be_saved_does_not_count(panel, file):
    found, box = panel()
    file.mkdir(parents=True)
    click(box, "yes")
    assert told(box).startswith("Not saved: ")
    assert (found, colour(box)) == ({}, (255, 0, 0))


def test_an_image_that_is_gone_can_still_be_passed_over(panel, folder):
    (folder / "a.png").unlink()
    found, box = panel()
    click(box, "not sure")
    assert found == {"a.png": "not sure"}


def test_what_excel_saves_is_read(panel, file):
    file.parent.mkdir()
    file.write_bytes(f"\ufeffquestion,image,label\r\n{QUESTION},a.png,yes\r\n".encode())
    assert panel()[0] == {"a.png": "yes"}


def test_without_ipywidgets_the_first_image_is_shown(folder, file, monkeypatch, capsys):
    displayed = []
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    monkeypatch.setattr(labels, "display", displayed.append)
    assert label_images(folder, NAMES, file, QUESTION) == {}
    assert displayed[0].getpixel((128, 128)) == (255, 0, 0)
    assert capsys.readouterr().out == f"{QUESTION} 0 of 3 labelled. The buttons need ipywidgets.\n"
