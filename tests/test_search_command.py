"""`python -m helpers search` prints what `FolderIndex` finds, writes a page of it, and says what to know of it."""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

import helpers
from helpers.course import drawings
from helpers.images import PLUGINS
from helpers.index import command
from helpers.index.page import are_photographs, page
from helpers.index.searchable import Match
from tests.conftest import IMAGES, ROOT

NASTY = '<b onclick="x">\'&\n\x1b[31m.png'
HEIF = importlib.util.find_spec("pillow_heif")


@pytest.fixture
def folder(tmp_path):
    """Six drawings and a file that is no image."""
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for name in ("apple", "bus", "car", "cat", "dog"):
        shutil.copy(IMAGES / f"{name}.png", tmp_path / "images")
    shutil.copy(IMAGES / "star.png", tmp_path / "images" / "sub")
    (tmp_path / "images" / "broken.jpg").write_text("<html>")
    return tmp_path / "images"


def run(capsys, *arguments):
    """Give the exit status and what was printed, as two texts."""
    status = command.main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_the_command_line_finds_and_prints(folder):
    """As a person calls it: in a process of its own, with a relative folder."""
    command = [sys.executable, "-m", "helpers", "search", "images", "a red car", "-k", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CLIP_MODEL": "tiny"}
    result = subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    first, second = result.stdout.splitlines()
    assert re.fullmatch(r" 0\.\d{3}  images.car\.png", first)
    assert float(second[:6]) < float(first[:6])
    assert result.stderr.startswith("tiny, 6 images: a red car\n")
    assert re.search(r"^left out: .*broken\.jpg can't be read as an image", result.stderr, re.M)


def test_what_is_printed_is_what_the_index_finds(folder, tiny, capsys):
    arguments = ["a cat", "2*a dog", "--not", "0.5*a bus", "--image", folder / "apple.png"]
    not_image = ["--not-image", f"0.25*{folder / 'car.png'}"]
    status, out, _ = run(capsys, folder, *arguments, *not_image, "-k", "4", "--above", "0.05", "--json")
    found = json.loads(out)
    index = helpers.FolderIndex(folder, *tiny)
    texts = ["a cat", ("a dog", 2), ("a bus", -0.5)]
    expected = index.search(texts, [folder / "apple.png", (folder / "car.png", -0.25)], k=4, above=0.05)
    assert status == 0
    assert [match["path"] for match in found["matches"]] == [str(match.path) for match in expected]
    assert [match["score"] for match in found["matches"]] == [round(match.score, 4) for match in expected]
    assert found["model"] == "tiny"
    assert found["question"] == f"a cat + 2*a dog - 0.5*a bus + {folder / 'apple.png'} - 0.25*{folder / 'car.png'}"
    assert found["changes"] == {"encoded": 6, "known": 0, "broken": 1, "gone": 0, "unchanged": 0}
    assert list(found["broken"]) == ["broken.jpg"]


def test_options_and_texts_may_come_in_any_order(folder, capsys):
    first = run(capsys, folder, "a cat", "--image", folder / "dog.png", "a dog")
    assert run(capsys, "--image", folder / "dog.png", folder, "a cat", "a dog")[1] == first[1]


def test_nothing_found_is_exit_status_1(folder, capsys):
    status, out, _ = run(capsys, folder, "a cat", "--above", "0.99")
    assert (status, out) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a text, an image, or both"),
        (["a cat", "-k", "0"], "k is 0; it must be at least 1"),
        (["a cat", "--above", "nan"], "above is nan; it must be finite"),
        (["a cat", "--model", "tinny"], "did you mean 'tiny'?"),
        (["a cat", "--not", "a cat"], "the parts of the question cancel each other out"),
        (["a cat", "--image", "missing\n.png"], r"no such image: missing\n.png"),
        (["cat " * 99], "text 0 has 101 tokens"),
        (["a cat", "--html", "missing/page.html"], "No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_status_2(folder, capsys, arguments, message):
    status, _, err = run(capsys, folder, *arguments)
    assert status == 2
    assert message in err.splitlines()[-1]


def test_a_wrong_question_costs_no_encoding(folder, capsys):
    run(capsys, folder, "cat " * 99)
    assert not (folder / ".clip-index").exists()


def test_a_missing_folder_is_named(tmp_path, capsys):
    assert run(capsys, tmp_path / "missing", "a cat")[2] == f"no such folder: {tmp_path / 'missing'}\n"


def test_the_index_may_live_elsewhere(folder, tmp_path, capsys):
    assert run(capsys, folder, "a cat", "--index-folder", tmp_path / "index")[0] == 0
    assert not (folder / ".clip-index").exists()
    assert (tmp_path / "index").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="such names can't be had there")
def test_a_name_can_neither_move_a_cursor_nor_add_a_line(folder, capsys):
    (folder / "cat.png").rename(folder / NASTY)
    _, out, err = run(capsys, folder, "a cat", "-k", "1")
    assert out.endswith('<b onclick="x">\'&\\n\\x1b[31m.png\n')
    assert "\x1b" not in out + err
    assert json.loads(run(capsys, folder, "a cat", "--json")[1])["matches"][0]["path"] == str(folder / NASTY)


class Reader(HTMLParser):
    """Keeps the elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.skipif(sys.platform == "win32", reason="such names can't be had there")
def test_the_page_needs_nothing_else_and_escapes_all(folder, tmp_path, capsys):
    (folder / "cat.png").rename(folder / NASTY)
    question = 'a cat <script>alert(1)</script> & "so"'
    status, _, _ = run(capsys, folder, question, "-k", "3", "--html", tmp_path / "page.html")
    assert status == 0
    written = (tmp_path / "page.html").read_text(encoding="utf-8")
    read = Reader(written)
    assert {tag for tag, _ in read.elements} == set("html meta title style h1 p ol li a img br b".split())
    images = [attributes for tag, attributes in read.elements if tag == "img"]
    assert len(images) == 3
    for image in images:
        kind, content = image["src"].split(",")
        assert kind == "data:image/jpeg;base64"
        assert max(Image.open(io.BytesIO(base64.b64decode(content))).size) == 256
        assert image.keys() == {"alt", "src"}
    links = [attributes["href"] for tag, attributes in read.elements if tag == "a"]
    assert (folder / NASTY).as_uri() in links
    assert all(link.startswith("file:///") for link in links)
    assert "http" not in re.sub(r"base64,[^\"]*", "", written).replace("http-equiv", "")
    assert question in read.text
    assert any("left out: " in text for text in read.text)
    assert "prefers-color-scheme: dark" in written


def test_a_image_that_is_gone_keeps_its_place_on_the_page(tmp_path):
    written = page("a cat", "tiny", [Match(tmp_path / "gone.png", 0.5)], [])
    assert "no such image: " in written
    assert "<b>0.500</b>" in written
    assert "No image was found." in page("a cat", "tiny", [], [])


def photographs(folder, count):
    for i in range(count):
        drawings.photograph(640, 480, i).save(folder / f"photograph {i}.jpg", quality=75)
    return folder


@pytest.mark.parametrize("model", ["tiny", "tiny-vit"])
def test_an_embedded_model_says_that_it_knows_no_photographs(folder, model, capsys):
    assert "photographs" not in run(capsys, folder, "a cat", "--model", model)[2]
    photographs(folder, 7)  # beside six drawings
    err = run(capsys, folder, "a cat", "--model", model)[2]
    assert err.endswith(f"most images here look like photographs, and {model} knows none: try --model ViT-B/32\n")


def test_another_model_is_not_said_to_know_no_photographs(tmp_path, tiny, capsys):
    torch = pytest.importorskip("torch")
    torch.save(tiny[0].state_dict(), tmp_path / "own.pt")
    (tmp_path / "images").mkdir()
    run_ = run(capsys, photographs(tmp_path / "images", 2), "a cat", "--model", tmp_path / "own.pt")
    assert (run_[0], run_[2]) == (0, f"{tmp_path / 'own.pt'}, 2 images: a cat\n")


@pytest.mark.parametrize("quality", [None, 40, 75, 90])
def test_no_drawing_of_the_course_looks_like_a_photograph(tmp_path, quality):
    for file in sorted(path for path in IMAGES.iterdir() if path.suffix in (".png", ".jpeg")):
        copy = file
        if quality:
            copy = tmp_path / f"{file.stem}.jpg"
            helpers.open_image(file).save(copy, quality=quality)
        assert not are_photographs([copy]), file


def test_photographs_look_like_some(tmp_path):
    """Those of scikit-learn and matplotlib, where they are installed, and what has the statistics of one."""
    files = sorted(photographs(tmp_path, 3).iterdir())
    for package, folder in (("sklearn", "datasets/images"), ("matplotlib", "mpl-data/sample_data")):
        if found := importlib.util.find_spec(package):
            files += Path(found.origin).parent.joinpath(folder).glob("*.jpg")
    assert len(files) >= 3
    for file in files:
        assert are_photographs([file]), file


def test_what_a_folder_holds_is_told_by_its_majority(tmp_path):
    photos = sorted(photographs(tmp_path, 2).iterdir())
    assert not are_photographs([])
    assert not are_photographs([tmp_path / "missing.png"])
    assert not are_photographs([*photos, IMAGES / "cat.png", IMAGES / "dog.png"])
    assert are_photographs([*photos, IMAGES / "cat.png", tmp_path / "missing.png"])


@pytest.mark.skipif(not HEIF, reason="needs pillow-heif, a plugin of Pillow")
def test_heic_is_read_where_its_plugin_is_installed(folder, tmp_path, capsys):
    helpers.open_image(IMAGES / "boat.png").save(folder / "boat.heic", quality=90)
    _, out, _ = run(capsys, folder, "--image", IMAGES / "boat.png", "-k", "1")
    assert out.endswith("boat.heic\n")


@pytest.mark.parametrize("suffix", PLUGINS)
def test_a_missing_plugin_is_named_and_its_images_are_tried_again(suffix, folder, tiny, monkeypatch):
    """A file that Pillow can't tell stands for one whose plugin is missing; once it is there, the file is read."""
    file = folder / f"phone{suffix}"
    file.write_bytes(b"\0\0\0\x18ftypheic")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    index = helpers.FolderIndex(folder, *tiny)
    assert index.update().broken == 2
    package = PLUGINS[suffix][1]
    assert index.broken[file.name] == f"{file.name} can't be read without a plugin of Pillow: pip install {package}"
    assert index.update().broken == 1
    stamp = file.stat()
    opened = Image.open
    monkeypatch.setattr(Image, "open", lambda source: opened(IMAGES / "boat.png" if source == file else source))
    assert index.update().encoded == 1
    assert file.stat() == stamp
    assert index.search(image=IMAGES / "boat.png", k=1)[0].path == file


def test_a_damaged_file_of_a_known_format_is_no_matter_of_plugins(tmp_path, monkeypatch):
    (tmp_path / "x.heic").write_bytes(b"half of it")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(helpers.ImageError, match="can't be read as an image: cannot identify"):
        helpers.open_image(tmp_path / "x.heic")
