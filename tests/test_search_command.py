"""`python -m helpers search` prints what `FolderIndex` finds, writes a page of it, and says what to know of it."""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

import helpers
from helpers.course import drawings
from helpers.images import PLUGINS
from helpers.index import command
from helpers.index.page import are_photographs, page
from helpers.index.query import Match
from tests.conftest import IMAGES, ROOT

NASTY = '<b onclick="x">\'&\n\x1b[31m.png'
BOAT = IMAGES / "boat.png"
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
    assert re.search(r"^left out: broken\.jpg: ", result.stderr, re.M)


def test_what_is_printed_is_what_the_index_finds(folder, tiny, capsys):
    arguments = ["a cat", "2*a dog", "--not", "0.5*a bus", "--image", folder / "apple.png"]
    not_image = ["--not-image", f"0.25*{folder / 'car.png'}"]
    status, out, _ = run(capsys, folder, *arguments, *not_image, "-k", "4", "--threshold", "0.05", "--json")
    found = json.loads(out)
    index = helpers.FolderIndex(folder, *tiny)
    texts = ["a cat", ("a dog", 2), ("a bus", -0.5)]
    expected = index.search(texts, [folder / "apple.png", (folder / "car.png", -0.25)], k=4, threshold=0.05)
    assert status == 0
    assert [match["path"] for match in found["matches"]] == [str(match.path) for match in expected]
    assert [match["score"] for match in found["matches"]] == [round(match.score, 4) for match in expected]
    assert found["model"] == "tiny"
    assert found["query"] == f"a cat + 2*a dog - 0.5*a bus + {folder / 'apple.png'} - 0.25*{folder / 'car.png'}"
    assert found["update"] == {"encoded": 6, "known": 0, "errors": 1, "gone": 0, "unchanged": 0}
    assert list(found["errors"]) == ["broken.jpg"]


def test_options_and_texts_may_come_in_any_order(folder, capsys):
    first = run(capsys, folder, "a cat", "--image", folder / "dog.png", "a dog")
    assert run(capsys, "--image", folder / "dog.png", folder, "a cat", "a dog")[1] == first[1]


def test_nothing_found_is_exit_status_1(folder, capsys):
    status, out, _ = run(capsys, folder, "a cat", "--threshold", "0.99")
    assert (status, out) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Pass a text, an image, or both"),
        (["a cat", "-k", "0"], "k"),
        (["a cat", "--threshold", "nan"], "threshold"),
        (["a cat", "--model", "tinny"], "'tiny'"),
        (["a cat", "--not", "a cat"], "The parts of the query cancel each other out"),
        (["a cat", "--image", "missing\n.png"], r"Cannot read missing\n.png"),
        (["cat " * 99], "at most 77 tokens"),
        (["a cat", "--html", "missing/page.html"], "Cannot write missing"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_status_2(folder, capsys, arguments, message):
    status, _, err = run(capsys, folder, *arguments)
    assert status == 2
    assert message in err.splitlines()[-1]


def test_a_wrong_query_costs_no_encoding(folder, capsys):
    run(capsys, folder, "cat " * 99)
    assert not (folder / ".clip-index").exists()


def test_a_missing_folder_is_named(tmp_path, capsys):
    missing = tmp_path / "missing"
    assert run(capsys, missing, "a cat")[2].startswith(f"Expected a folder of images; got {missing}, which is not one.")


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
    query = 'a cat <script>alert(1)</script> & "so"'
    status, _, _ = run(capsys, folder, query, "-k", "3", "--html", tmp_path / "page.html")
    assert status == 0
    written = (tmp_path / "page.html").read_text(encoding="utf-8")
    read = Reader(written)
    assert {tag for tag, _ in read.elements} == set("html meta title style h1 p ol li a img b".split())
    images = [attributes for tag, attributes in read.elements if tag == "img"]
    assert len(images) == 3
    for image in images:
        kind, content = image["src"].split(",")
        assert kind == "data:image/jpeg;base64"
        assert max(Image.open(io.BytesIO(base64.b64decode(content))).size) == 256
        assert image.keys() == {"alt", "src", "loading", "decoding"}
    links = [attributes["href"] for tag, attributes in read.elements if tag == "a"]
    assert (folder / NASTY).as_uri() in links
    assert all(link.startswith("file:///") for link in links)
    assert "http" not in re.sub(r"base64,[^\"]*", "", written).replace("http-equiv", "")
    assert query in read.text
    assert any("left out: " in text for text in read.text)
    assert "prefers-color-scheme: dark" in written


def test_the_page_sets_apart_what_is_above_the_threshold(folder, tmp_path, capsys):
    query = (folder, "a cat", "-k", "3", "--html", tmp_path / "page.html")
    scores = [float(line.split()[0]) for line in run(capsys, *query)[1].splitlines()]
    _, out, _ = run(capsys, *query, "--threshold", (scores[0] + scores[1]) / 2)
    assert len(out.splitlines()) == 1
    texts = "".join(Reader((tmp_path / "page.html").read_text(encoding="utf-8")).text)
    above, below = (texts.index(words) for words in ("Above the threshold of", "Not above it: 2"))
    ranks = [texts.index(f"{rank} · {score:.3f}") for rank, score in enumerate(scores, 1)]
    assert above < ranks[0] < below < ranks[1] < ranks[2]


def test_the_page_overwrites_only_a_page(folder, tmp_path, capsys):
    mine, page_file = tmp_path / "holiday.png", tmp_path / "page.html"
    mine.write_bytes((IMAGES / "cat.png").read_bytes())
    status, _, err = run(capsys, folder, "a cat", "--html", mine)
    assert status == 2
    assert "Expected a new file, or a page that this command wrote" in err
    assert mine.read_bytes() == (IMAGES / "cat.png").read_bytes()
    assert not (folder / ".clip-index").exists()
    for text in ("a cat", "a dog"):
        assert run(capsys, folder, text, "--html", page_file)[0] == 0
        assert text in page_file.read_text(encoding="utf-8")
    assert sorted(tmp_path.glob("*page*")) == [page_file]


@pytest.mark.skipif(sys.platform == "win32", reason="its terminals take any letter")
def test_a_terminal_of_any_encoding_shows_every_line(folder):
    (folder / "cat.png").rename(folder / "café 🐈\u200d⬛.png")
    command = [sys.executable, "-m", "helpers", "search", folder, "a cat"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 6)
    assert r"caf\xe9" in result.stdout


def test_a_name_with_an_emoji_can_be_pasted(folder, capsys):
    name = "🐈\u200d⬛ ❤\ufe0f.png"
    (folder / "cat.png").rename(folder / name)
    assert run(capsys, folder, "a cat", "-k", "1")[1].endswith(f"{folder / name}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file with holes, and a signal of Unix")
def test_ctrl_c_ends_it_whatever_is_being_read(folder):
    """The larger file begins as an image does, so that it is hashed."""
    for name, start in (("a.png", b""), ("b.png", (IMAGES / "cat.png").read_bytes())):
        (folder / name).write_bytes(start)
        os.truncate(folder / name, 30 * 2**30)
    command = [sys.executable, "-m", "helpers", "search", folder, "a cat"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    while not list(folder.glob(".clip-index/*.lock")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130  # hashing takes longer
    assert process.stderr.read() == "Interrupted. What was encoded is saved; run the same command to resume.\n"


@pytest.mark.parametrize("suffix", ["pnm", "ppm", "pgm", "pbm"])
def test_portable_maps_are_found(tmp_path, suffix, capsys):
    image = helpers.open_image(IMAGES / "cat.png").convert({"pgm": "L", "pbm": "1"}.get(suffix, "RGB"))
    image.save(tmp_path / f"cat.{suffix}", "PPM")
    assert run(capsys, tmp_path, "a cat")[1].endswith(f"cat.{suffix}\n")


def test_an_image_that_is_gone_keeps_its_place_on_the_page(tmp_path):
    written = page("a cat", "tiny", [Match(tmp_path / "gone.png", 0.5)], [])
    assert "Cannot read " in written
    assert "<b>0.500</b>" in written
    assert "No image was found." in page("a cat", "tiny", [], [])


def photographs(folder, count):
    for i in range(count):
        drawings.photograph(640, 480, i).save(folder / f"photograph {i}.jpg", quality=75)
    return folder


@pytest.mark.parametrize("model", ["tiny", "tiny-vit"])
def test_a_bundled_model_says_that_it_knows_no_photographs(folder, model, capsys):
    assert "photographs" not in run(capsys, folder, "a cat", "--model", model)[2]
    photographs(folder, 7)  # beside six drawings
    err = run(capsys, folder, "a cat", "--model", model)[2]
    assert err.endswith(f"photographs, which {model} does not recognize: try --model ViT-B/32\n")


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
    assert index.update().errors == 2
    package = PLUGINS[suffix][1]
    assert index.errors[file.name].endswith(f"pip install {package}")
    assert index.update().errors == 1
    stamp = file.stat()
    opened = Image.open
    monkeypatch.setattr(Image, "open", lambda source, *more, **options: opened(BOAT if source == file else source))
    assert index.update().encoded == 1
    assert file.stat() == stamp
    assert index.search(image=IMAGES / "boat.png", k=1)[0].path == file


def test_an_error_of_the_system_begins_with_its_file(folder, monkeypatch, capsys):
    def fail(*_, **_options):
        raise PermissionError(13, "Permission denied", "closed/cat.png")

    monkeypatch.setattr("helpers.index.command.load", fail)
    assert command.main([str(folder), "a cat"]) == 2
    assert capsys.readouterr().err == "closed/cat.png: Permission denied\n"
