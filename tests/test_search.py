"""A folder is searched as the slow way would; a kill, a broken file or a second process does no harm."""

import io
import json
import multiprocessing
import os
import random
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

import helpers
from conftest import IMAGES
from helpers import search
from helpers.store import FeatureStore

NAMES = ["apple", "bus", "cat", "dog", "star"]
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch, tiny):
    def load(name, device, precision):
        return tiny if name == "tiny" and precision is None else helpers.load(name, device, precision=precision)

    monkeypatch.setattr(search, "load", load)


@pytest.fixture
def folder(tmp_path):
    """Five drawings, one of them in a sub-folder."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in NAMES:
        copy(name, folder / ("sub" if name == "cat" else "") / f"{name}.png")
    return folder


def copy(name, target):
    target.write_bytes((IMAGES / f"{name}.png").read_bytes())


def noise(folder, count, size=24):
    """Write pictures of random pixels."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(count):
        pixels = generator.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04}.png")
    return folder


def files_of(index):
    return {name: (index.store.place / name).read_bytes() for name in ("features.npy", "files.jsonl", "about.json")}


def names(matches):
    return [match.path.stem for match in matches]


@pytest.mark.parametrize(("text", "picture"), [("a cat", None), (None, "dog"), ("a star", "bus")])
def test_search_agrees_with_the_slow_way(folder, tiny, text, picture):
    index = helpers.FolderIndex(folder)
    index.update()
    query = np.zeros(384)
    if text:
        query += helpers.normalize(helpers.encode_texts(tiny[0], text))[0]
    if picture:
        query += helpers.normalize(helpers.encode_images(*tiny, IMAGES / f"{picture}.png"))[0]
    expected = []
    for file in sorted(folder.rglob("*.png")):
        row = helpers.encode_images(*tiny, file)[0].astype(float)
        expected.append((float(row @ query / np.linalg.norm(row) / np.linalg.norm(query)), file))
    expected.sort(reverse=True)
    found = index.search(text, picture and IMAGES / f"{picture}.png", k=3)
    assert [match.path for match in found] == [file for _, file in expected[:3]]
    assert [match.score for match in found] == pytest.approx([score for score, _ in expected[:3]], abs=1e-4)


def test_a_small_folder_gives_fewer_than_asked_for(folder):
    index = helpers.FolderIndex(folder)
    index.update()
    assert len(index.search("a cat", k=100)) == 5


def test_an_unchanged_file_is_not_opened(folder):
    (folder / "broken.png").write_bytes(b"no picture")
    assert helpers.FolderIndex(folder).update() == (5, 0, 1, 0, 0)
    again = helpers.FolderIndex(folder)
    opened.clear()
    assert again.update() == (0, 0, 0, 0, 6)
    assert opened  # the audit hook is alive: the index itself was opened
    assert not [path for path in opened if Path(path).suffix == ".png"]


def test_each_change_of_the_folder_is_seen(folder):
    index = helpers.FolderIndex(folder)
    index.update()
    (folder / "bus.png").rename(folder / "sub" / "moved.png")
    (folder / "dog.png").unlink()
    copy("tree", folder / "new.png")
    copy("boat", folder / "star.png")
    os.utime(folder / "apple.png", ns=(1, 1))
    assert index.update() == (2, 2, 0, 2, 1)
    assert index.store.searchable()[0] == ["apple.png", "new.png", "star.png", "sub/cat.png", "sub/moved.png"]
    assert names(index.search(picture=IMAGES / "boat.png", k=1)) == ["star"]
    assert names(index.search(picture=IMAGES / "bus.png", k=1)) == ["moved"]
    assert index.search(picture=IMAGES / "dog.png", k=1)[0].score < 0.99


def test_a_file_that_comes_back_is_not_encoded_again(folder):
    index = helpers.FolderIndex(folder)
    index.update()
    (folder / "dog.png").unlink()
    index.update()
    copy("dog", folder / "dog.png")
    assert index.update() == (0, 1, 0, 0, 4)
    assert names(index.search(picture=IMAGES / "dog.png", k=1)) == ["dog"]


def test_equal_files_are_encoded_once_and_all_found_in_order(folder):
    copy("dog", folder / "a copy.png")
    copy("dog", folder / "sub" / "another copy.png")
    index = helpers.FolderIndex(folder)
    assert index.update() == (5, 2, 0, 0, 0)
    assert names(index.search(picture=IMAGES / "dog.png", k=3)) == ["a copy", "dog", "another copy"]
    assert names(index.search(picture=IMAGES / "dog.png", k=1)) == ["a copy"]


def test_hidden_files_and_other_files_are_left_out(folder):
    (folder / ".thumbnails").mkdir()
    copy("tree", folder / ".thumbnails" / "tree.png")
    copy("tree", folder / "._tree.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "folder.png").mkdir()
    assert helpers.FolderIndex(folder).update() == (5, 0, 0, 0, 0)


def write_broken(folder):
    """Twenty files of ten kinds that are no pictures, or no longer."""
    picture = Image.open(IMAGES / "cat.png").convert("RGB")
    contents = {
        "empty.png": b"",
        "text.jpg": b"hello",
        "page.jpg": b"<html></html>",
        "archive.png": b"PK\3\4" + b"\0" * 99,
    }
    for suffix in ("png", "jpeg", "webp", "bmp", "tiff"):
        whole = io.BytesIO()
        picture.save(whole, suffix)
        contents[f"cut.{suffix}"] = whole.getvalue()[: len(whole.getvalue()) // 2]
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "png")
    contents["bomb.png"] = bomb.getvalue()
    assert len(contents) == 10
    for name, content in contents.items():
        for again in ("1", "2"):
            (folder / f"{again}-{name}").write_bytes(content)
    return sorted(f"{again}-{name}" for name in contents for again in ("1", "2"))


def test_broken_files_are_listed_with_their_reason_and_the_rest_is_searchable(folder):
    broken = write_broken(folder)
    index = helpers.FolderIndex(folder, batch_size=4)
    assert index.update() == (5, 0, 20, 0, 0)
    assert list(index.broken) == broken
    for path, reason in index.broken.items():
        assert reason.startswith(f"{path} can't be read as a picture: ")
        assert str(folder) not in reason
    assert "truncated" in index.broken["1-cut.jpeg"]
    assert names(index.search(picture=IMAGES / "cat.png", k=1)) == ["cat"]
    copy("tree", folder / "1-empty.png")
    assert index.update() == (1, 0, 0, 0, 24)
    assert len(index.broken) == 19


def test_only_broken_files_are_no_error(tmp_path):
    write_broken(tmp_path)
    index = helpers.FolderIndex(tmp_path)
    assert index.update().broken == 20
    with pytest.raises(ValueError, match=r"no picture of .* is in the index: call update\(\) first"):
        index.search("a cat")


def test_what_may_be_readable_later_is_tried_again(folder):
    (folder / "link.png").symlink_to(folder / "missing")
    index = helpers.FolderIndex(folder)
    assert index.update() == (5, 0, 1, 0, 0)
    assert index.broken == {"link.png": "link.png can't be opened: No such file or directory"}
    log = index.store.place / "files.jsonl"
    before = log.read_bytes()
    assert index.update() == (0, 0, 1, 0, 5)
    assert log.read_bytes() == before
    copy("tree", folder / "missing")
    assert index.update() == (1, 0, 0, 0, 5)
    assert index.broken == {}


def test_a_folder_that_cannot_be_entered_is_listed(folder, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    index = helpers.FolderIndex(folder)
    assert index.update() == (4, 0, 1, 0, 0)
    assert list(index.broken) == ["sub"]
    monkeypatch.undo()
    assert index.update() == (1, 0, 0, 1, 4)


def test_a_file_that_changes_while_it_is_read_waits_for_the_next_update(folder, monkeypatch):
    def slow_open(path, enough):
        if path.name == "dog.png":
            copy("tree", path)
        return helpers.open_image(path)

    index = helpers.FolderIndex(folder)
    monkeypatch.setattr(search, "open_image", slow_open)
    assert index.update() == (4, 0, 1, 0, 0)
    assert index.broken == {"dog.png": "dog.png was changed while it was read"}
    monkeypatch.undo()
    assert index.update() == (1, 0, 0, 0, 4)
    assert names(index.search(picture=IMAGES / "tree.png", k=1)) == ["dog"]


def test_a_picture_without_finite_features_is_listed(folder, monkeypatch):
    index = helpers.FolderIndex(folder)
    encode, bus = index.model.encode_image, index.preprocess(helpers.open_image(folder / "bus.png"))

    def overflowing(batch):
        rows = encode(batch)
        rows[(batch == bus).flatten(1).all(dim=1)] = torch.inf
        return rows

    monkeypatch.setattr(index.model, "encode_image", overflowing)
    assert index.update() == (4, 0, 1, 0, 0)
    assert index.broken == {"bus.png": "bus.png has no finite features"}
    assert np.isfinite(index.store.features).all()


def test_the_files_are_open_to_numpy_and_json(folder):
    (folder / "broken.png").write_bytes(b"no picture")
    index = helpers.FolderIndex(folder, batch_size=2)
    index.update()
    (place,) = (folder / ".clip-index").iterdir()
    features = np.load(place / "features.npy")
    records = [record for line in (place / "files.jsonl").read_text().splitlines() for record in json.loads(line)]
    assert features.dtype == np.float32
    assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    row_of = {record["path"]: record["row"] for record in records if "row" in record}
    best = index.search("a bus")[0]
    assert row_of == dict(zip(*index.store.searchable(), strict=True))
    assert features.shape == (5, 384)
    query = helpers.normalize(helpers.encode_texts(index.model, "a bus"))[0]
    assert features[row_of[best.path.name]] @ query == pytest.approx(best.score, abs=1e-6)
    assert json.loads((place / "about.json").read_text())["model_sha256"] == helpers.available_models()[0].sha256


def test_two_models_never_mix(folder, tmp_path, random_vit):
    checkpoint = tmp_path / "vit.pt"
    torch.save(random_vit.state_dict(), checkpoint)
    first, second = helpers.FolderIndex(folder), helpers.FolderIndex(folder, checkpoint)
    assert first.update().encoded == second.update().encoded == 5
    assert (first.store.features.shape, second.store.features.shape) == ((5, 384), (5, 64))
    assert len(list((folder / ".clip-index").iterdir())) == 2
    assert helpers.FolderIndex(folder).update().unchanged == 5


def test_two_preprocessings_never_mix(folder, monkeypatch):
    first = helpers.FolderIndex(folder)
    model, preprocess = helpers.load("tiny")
    monkeypatch.setattr(search, "load", lambda name, device, precision: (model, lambda image: preprocess(image) * 0.5))
    assert helpers.FolderIndex(folder).store.place != first.store.place


def test_the_index_can_live_elsewhere_for_several_folders(folder, tmp_path):
    other = tmp_path / "other" / folder.name
    other.mkdir(parents=True)
    copy("tree", other / "apple.png")
    elsewhere = tmp_path / "indexes"
    before = sorted(folder.rglob("*"))
    assert helpers.FolderIndex(folder, index_folder=elsewhere).update().encoded == 5
    assert helpers.FolderIndex(other, index_folder=elsewhere).update() == (1, 0, 0, 0, 0)
    assert helpers.FolderIndex(folder, index_folder=elsewhere).update().unchanged == 5
    assert sorted(folder.rglob("*")) == before


def test_a_place_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PermissionError, match="can't be written to .*file.* name another place with index_folder"):
        helpers.FolderIndex(folder, index_folder=tmp_path / "file").update()


def test_a_second_writer_is_refused_and_a_reader_follows(folder):
    writer, reader = helpers.FolderIndex(folder), helpers.FolderIndex(folder)
    writer.update()
    assert names(reader.search(picture=IMAGES / "cat.png", k=1)) == ["cat"]
    with (
        FileLock(writer.store.place / "lock"),
        pytest.raises(RuntimeError, match="another process is writing to .*: try again when it has finished"),
    ):
        reader.update()
    copy("tree", folder / "tree.png")
    writer.update()
    assert names(reader.search(picture=IMAGES / "tree.png", k=1)) == ["tree"]
    assert reader.update().unchanged == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0, "text": "a cat"}, "k is 0; it must be at least 1"),
        ({}, "give a text, a picture, or both"),
        ({"picture": "missing.png"}, "no such picture: missing.png"),
    ],
)
def test_a_bad_question_is_named(folder, arguments, message):
    index = helpers.FolderIndex(folder)
    index.update()
    with pytest.raises(ValueError, match=message):
        index.search(**arguments)


def test_a_bad_folder_or_batch_size_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such folder: .*missing"):
        helpers.FolderIndex(tmp_path / "missing")
    with pytest.raises(ValueError, match="batch_size is 0; it must be at least 1"):
        helpers.FolderIndex(tmp_path, batch_size=0)


BATCHES = [(3, [0, 1, 2, 1]), (0, [1]), (2, [3, 4]), (1, [5])]


def fill(place, batches=BATCHES):
    """Commit what is missing of four small batches."""
    store = FeatureStore(place, {"model": "none"}, 4)
    generator = np.random.default_rng(0)
    with store.lock():
        store.prepare()
        for number, (count, rows) in enumerate(batches):
            features = generator.normal(size=(count, 4)).astype(np.float32)
            records = [
                {"path": f"{number}-{i}.png", "size": 1, "mtime_ns": 1, "sha256": str(row), "row": row}
                for i, row in enumerate(rows)
            ]
            if records[0]["path"] not in store.files:
                store.commit(features, records)
    return store


def contents(store):
    return {path.name: path.read_bytes() for path in store.place.iterdir() if path.is_file() and path.name != "lock"}


def test_a_log_cut_anywhere_is_completed_to_the_same_bytes(tmp_path):
    whole = contents(fill(tmp_path / "whole"))
    log = tmp_path / "cut" / "files.jsonl"
    fill(tmp_path / "cut")
    ends = [i for i, byte in enumerate(whole["files.jsonl"], 1) if byte == ord("\n")]
    for length in sorted({*range(0, ends[-1], 7), *ends, *(end - 1 for end in ends)}):
        log.write_bytes(whole["files.jsonl"][:length])
        assert contents(fill(tmp_path / "cut")) == whole


def test_death_between_any_two_writes_is_completed_to_the_same_bytes(tmp_path, monkeypatch):
    whole = contents(fill(tmp_path / "whole"))
    deaths, fsync = 0, os.fsync
    for last in range(100):
        left = iter(range(last))

        def die(file, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            fsync(file)

        monkeypatch.setattr(os, "fsync", die)
        place = tmp_path / str(last)
        try:
            fill(place)
        except KeyboardInterrupt:
            deaths += 1
        monkeypatch.undo()
        assert contents(fill(place)) == whole
    assert deaths == 3 + 1 + 3 + 3


@pytest.mark.parametrize("damage", ["lost", "cut", "zero", "older"])
def test_lost_features_are_made_anew(tmp_path, damage):
    whole = contents(fill(tmp_path))
    features = tmp_path / "features.npy"
    older = contents(fill(tmp_path / "older", BATCHES[:1]))["features.npy"]
    content = {"lost": None, "cut": whole["features.npy"][:140], "zero": bytes(200), "older": older}[damage]
    features.unlink() if content is None else features.write_bytes(content)
    assert contents(fill(tmp_path)) == whole


def test_a_damaged_line_costs_what_follows_it_and_no_more(tmp_path):
    whole = contents(fill(tmp_path))
    lines = whole["files.jsonl"].splitlines(keepends=True)
    (tmp_path / "files.jsonl").write_bytes(b"".join([lines[0], b"#" * 20 + b"\n", *lines[2:]]))
    assert list(FeatureStore(tmp_path, {}, 4).files) == [f"0-{i}.png" for i in range(4)]
    assert contents(fill(tmp_path)) == whole


@pytest.fixture(scope="module")
def processes():
    """Starts processes that have imported `helpers` already, and nothing else that takes memory."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers"])
    return context


def update(folder, place, batch_size):
    torch.set_num_threads(1)
    helpers.FolderIndex(folder, index_folder=place, batch_size=batch_size).update(progress=False)


def committed_batches(place):
    return sum(log.read_bytes().count(b"\n") for log in place.rglob("files.jsonl"))


def test_killed_five_times_and_resumed_the_index_is_the_same_to_the_bit(tmp_path, processes):
    folder = noise(tmp_path / "pictures", 150)
    (folder / "0070.png").write_bytes(b"no picture")
    (folder / "0099.png").write_bytes((folder / "0003.png").read_bytes())
    generator = random.Random(0)
    killed = 0
    for batches in (0, 4, 8, 12, 16):
        process = processes.Process(target=update, args=(folder, tmp_path / "killed", 6))
        process.start()
        while process.is_alive() and committed_batches(tmp_path / "killed") < batches:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.03))
        process.kill()
        process.join()
        killed += process.exitcode < 0
    assert killed >= 3
    assert committed_batches(tmp_path / "killed") > 12
    for place in ("killed", "whole"):
        process = processes.Process(target=update, args=(folder, tmp_path / place, 6))
        process.start()
        process.join()
        assert process.exitcode == 0
    resumed, whole = (helpers.FolderIndex(folder, index_folder=tmp_path / place) for place in ("killed", "whole"))
    assert resumed.store.features.shape == (148, 384)
    assert files_of(resumed) == files_of(whole)


def peak(folder, place, answer):
    update(folder, place, 32)
    answer.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def test_memory_does_not_grow_with_the_folder(tmp_path, processes):
    peaks = []
    for count in (64, 1000):
        receiver, sender = processes.Pipe(duplex=False)
        arguments = (noise(tmp_path / str(count), count), tmp_path / "indexes", sender)
        process = processes.Process(target=peak, args=arguments)
        process.start()
        sender.close()
        peaks.append(receiver.recv())
        process.join()
    assert peaks[1] < 1.1 * peaks[0]
