"""A folder is searched as the slow way would; a kill, a broken file or a second process does no harm."""

import errno
import io
import os
import random
import shutil
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from clip.clip import _transform as clip_preprocess
from filelock import FileLock
from PIL import Image

import helpers
from helpers.index.scan import Entry
from tests.conftest import IMAGES

NAMES = ["apple", "bus", "cat", "dog", "star"]


@pytest.fixture
def folder(tmp_path):
    """Five drawings, one of them in a sub-folder."""
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name in NAMES:
        copy(name, folder / ("sub" if name == "cat" else "") / f"{name}.png")
    return folder


@pytest.fixture
def index(folder, tiny):
    return helpers.FolderIndex(folder, *tiny)


def copy(name, target):
    target.write_bytes((IMAGES / f"{name}.png").read_bytes())


def noise(folder, count, size=24):
    """Write images of random pixels."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(count):
        pixels = generator.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04}.png")
    return folder


def place_of(index):
    """The file of an index inside its folder."""
    (place,) = (index.folder / ".clip-index").glob("*.sqlite")
    return place


def names(matches):
    return [match.path.stem for match in matches]


@pytest.mark.parametrize(
    ("text", "images", "parts"),
    [
        ("a cat", None, [("a cat", 1)]),
        (None, "dog", [("dog.png", 1)]),
        ("a star", "bus", [("a star", 1), ("bus.png", 1)]),
        (["a cat", ("a dog", 2), ("a bus", -0.5)], None, [("a cat", 1), ("a dog", 2), ("a bus", -0.5)]),
        ([("a cat", -1)], ["bus", ("dog", 0.25)], [("a cat", -1), ("bus.png", 1), ("dog.png", 0.25)]),
    ],
)
def test_search_agrees_with_the_slow_way(folder, tiny, index, text, images, parts):
    index.update()
    query = np.zeros(384)
    for part, weight in parts:
        png = part.endswith("png")
        row = helpers.encode_images(*tiny, IMAGES / part) if png else helpers.encode_texts(tiny[0], part)
        query += weight * row[0] / np.linalg.norm(row[0])
    expected = []
    for file in sorted(folder.rglob("*.png")):
        row = helpers.encode_images(*tiny, file)[0].astype(float)
        expected.append((float(row @ query / np.linalg.norm(row) / np.linalg.norm(query)), file))
    expected.sort(reverse=True)
    if isinstance(images, str):
        images = IMAGES / f"{images}.png"
    elif images:
        images = [IMAGES / "bus.png", (Image.open(IMAGES / "dog.png"), 0.25)]
    found = index.search(text, images, k=3)
    assert [match.path for match in found] == [file for _, file in expected[:3]]
    assert [match.score for match in found] == pytest.approx([score for score, _ in expected[:3]], abs=1e-4)


def test_only_what_lies_above_the_threshold_is_found(index):
    index.update()
    all_of_them = index.search("a cat", k=5)
    third = all_of_them[2].score
    assert index.search("a cat", k=5, threshold=third) == all_of_them[:2]
    assert index.search("a cat", k=1, threshold=third) == all_of_them[:1]
    assert index.search("a cat", threshold=-1.0) == all_of_them
    assert index.search("a cat", threshold=0.99) == []


def test_a_small_folder_gives_fewer_than_asked_for(index):
    index.update()
    assert len(index.search("a cat", k=100)) == 5


def test_an_unchanged_file_is_not_opened(folder, tiny, index, monkeypatch):
    (folder / "broken.png").write_bytes(b"no image")
    assert index.update() == (5, 0, 1, 0, 0)
    opened, io_open = [], io.open

    def watching(file, *arguments, **options):
        opened.append(Path(file).suffix)
        return io_open(file, *arguments, **options)

    monkeypatch.setattr("io.open", watching)
    monkeypatch.setattr("builtins.open", watching)
    assert helpers.FolderIndex(folder, *tiny).update() == (0, 0, 0, 0, 6)
    assert ".png" not in opened
    copy("tree", folder / "tree.png")
    assert index.update().encoded == 1
    assert ".png" in opened  # the spy is alive


def test_each_change_of_the_folder_is_seen(folder, index):
    index.update()
    (folder / "bus.png").rename(folder / "sub" / "moved.png")
    (folder / "dog.png").unlink()
    copy("tree", folder / "new.png")
    copy("boat", folder / "star.png")
    os.utime(folder / "apple.png", ns=(1, 1))
    assert index.update() == (2, 2, 0, 2, 1)
    assert index.paths == ["apple.png", "new.png", "star.png", "sub/cat.png", "sub/moved.png"]
    assert names(index.search(image=IMAGES / "boat.png", k=1)) == ["star"]
    assert names(index.search(image=IMAGES / "bus.png", k=1)) == ["moved"]
    assert index.search(image=IMAGES / "dog.png", k=1)[0].score < 0.99


@pytest.mark.skipif(sys.platform == "win32", reason="its files have no inode and no time of change")
@pytest.mark.parametrize("change", ["swap", "edit"])
def test_a_change_that_keeps_size_and_time_is_seen(tmp_path, tiny, change):
    one, other = tmp_path / "one.bmp", tmp_path / "other.bmp"
    for file, name in ((one, "cat"), (other, "bus")):
        helpers.open_image(IMAGES / f"{name}.png").save(file)
        os.utime(file, ns=(10**18, 10**18))
    index = helpers.FolderIndex(tmp_path, *tiny)
    index.update()
    if change == "swap":
        one.rename(tmp_path / "aside")
        other.rename(one)
        (tmp_path / "aside").rename(other)
    else:
        one.write_bytes(other.read_bytes())
        os.utime(one, ns=(10**18, 10**18))
    assert index.update().unchanged < 2
    assert names(index.search(image=IMAGES / "bus.png", k=1)) == ["one"]


def test_a_file_that_comes_back_is_not_encoded_again(folder, index):
    index.update()
    (folder / "dog.png").unlink()
    index.update()
    copy("dog", folder / "dog.png")
    assert index.update() == (0, 1, 0, 0, 4)
    assert names(index.search(image=IMAGES / "dog.png", k=1)) == ["dog"]


@pytest.mark.parametrize("batch_size", [1, 64])
def test_equal_files_are_encoded_once_and_all_found_in_order(folder, tiny, batch_size):
    copy("dog", folder / "a copy.png")
    copy("dog", folder / "sub" / "another copy.png")
    index = helpers.FolderIndex(folder, *tiny, batch_size=batch_size)
    assert index.update() == (5, 2, 0, 0, 0)
    assert names(index.search(image=IMAGES / "dog.png", k=3)) == ["a copy", "dog", "another copy"]
    assert names(index.search(image=IMAGES / "dog.png", k=1)) == ["a copy"]


@pytest.mark.parametrize("suffix", ["jfif", "JPE", "jpg", "JPEG"])
def test_every_usual_name_of_a_jpeg_is_found(tmp_path, tiny, suffix):
    (tmp_path / f"a.{suffix}").write_bytes((IMAGES / "maze1.jpeg").read_bytes())
    assert helpers.FolderIndex(tmp_path, *tiny).update().encoded == 1


def test_hidden_files_and_other_files_are_left_out(folder, index):
    (folder / ".thumbnails").mkdir()
    copy("tree", folder / ".thumbnails" / "tree.png")
    copy("tree", folder / "._tree.png")
    (folder / "notes.txt").write_text("no image")
    (folder / "folder.png").mkdir()
    assert index.update() == (5, 0, 0, 0, 0)


def write_broken(folder):
    """Twenty files of ten kinds that are no images, or no longer."""
    image = Image.open(IMAGES / "cat.png").convert("RGB")
    contents = {
        "empty.png": b"",
        "text.jpg": b"hello",
        "page.jpg": b"<html></html>",
        "archive.png": b"PK\3\4" + b"\0" * 99,
    }
    for suffix in ("png", "jpeg", "webp", "bmp", "tiff"):
        whole = io.BytesIO()
        image.save(whole, suffix)
        contents[f"cut.{suffix}"] = whole.getvalue()[: len(whole.getvalue()) // 2]
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "png")
    contents["bomb.png"] = bomb.getvalue()
    assert len(contents) == 10
    for name, content in contents.items():
        for again in ("1", "2"):
            (folder / f"{again}-{name}").write_bytes(content)
    return sorted(f"{again}-{name}" for name in contents for again in ("1", "2"))


@pytest.mark.parametrize("batch_size", [4, 64])
def test_broken_files_are_listed_with_their_reason_and_the_rest_is_searchable(folder, tiny, batch_size):
    broken = write_broken(folder)
    index = helpers.FolderIndex(folder, *tiny, batch_size=batch_size)
    assert index.update() == (5, 0, 20, 0, 0)
    assert list(index.errors) == broken
    for path, reason in index.errors.items():
        assert reason
        assert path != reason
    assert "truncated" in index.errors["1-cut.jpeg"]
    assert names(index.search(image=IMAGES / "cat.png", k=1)) == ["cat"]
    copy("tree", folder / "1-empty.png")
    assert index.update() == (1, 0, 0, 0, 24)
    assert len(index.errors) == 19


def test_only_broken_files_are_no_error(tmp_path, tiny):
    write_broken(tmp_path)
    index = helpers.FolderIndex(tmp_path, *tiny)
    assert index.update().errors == 20
    with pytest.raises(ValueError, match=r"images of .* in the index; got none\. .*call update\(\) first"):
        index.search("a cat")


def test_what_may_be_readable_later_is_tried_again(folder, index):
    (folder / "link.png").symlink_to(folder / "missing")
    assert index.update() == (5, 0, 1, 0, 0)
    assert index.errors == {"link.png": "it cannot be opened (No such file or directory)"}
    before = place_of(index).read_bytes()
    assert index.update() == (0, 0, 1, 0, 5)
    assert place_of(index).read_bytes() == before
    copy("tree", folder / "missing")
    assert index.update() == (1, 0, 0, 0, 5)
    assert index.errors == {}


def test_a_folder_that_cannot_be_entered_is_listed(index, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert index.update() == (4, 0, 1, 0, 0)
    assert list(index.errors) == ["sub"]
    monkeypatch.undo()
    assert index.update() == (1, 0, 0, 1, 4)


def test_a_file_that_changes_while_it_is_read_waits_for_the_next_update(folder, index, tiny):
    dog = tiny[1](helpers.open_image(folder / "dog.png"))

    def slow(image):
        pixels = tiny[1](image)
        if torch.equal(pixels, dog):
            copy("tree", folder / "dog.png")
        return pixels

    copy("dog", folder / "the same.png")
    index.preprocess = slow
    assert index.update() == (4, 0, 2, 0, 0)
    assert index.errors == dict.fromkeys(["dog.png", "the same.png"], "it was changed while it was being read")
    index.preprocess = tiny[1]
    assert index.update() == (2, 0, 0, 0, 4)
    assert names(index.search(image=IMAGES / "tree.png", k=1)) == ["dog"]
    assert names(index.search(image=IMAGES / "dog.png", k=1)) == ["the same"]


def test_a_image_without_finite_features_is_listed(folder, index, monkeypatch):
    encode, bus = index.model.encode_image, index.preprocess(helpers.open_image(folder / "bus.png"))

    def overflowing(batch):
        rows = encode(batch)
        rows[(batch == bus).flatten(1).all(dim=1)] = torch.inf
        return rows

    monkeypatch.setattr(index.model, "encode_image", overflowing)
    assert index.update() == (4, 0, 1, 0, 0)
    assert index.errors == {"bus.png": "its features are not finite"}
    assert np.isfinite(index.features).all()


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_what_a_drive_failed_to_read_is_tried_again(index, monkeypatch, fault):
    """After the file was hashed: it is sound, though it could not be decoded."""

    def fail(*_, **__):
        raise fault

    with monkeypatch.context() as failing:
        failing.setattr("helpers.images.Image.open", fail)
        assert index.update().errors == len(NAMES)
    assert index.update() == (len(NAMES), 0, 0, 0, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="names it in other words")
def test_an_index_that_cannot_be_looked_at_is_told(index, monkeypatch):
    index.update()
    path, stat = place_of(index), Path.stat

    def fail(self, **options):
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", fail)
    with pytest.raises(OSError, match=r"^Cannot read .*\.sqlite \(Permission denied\)\. Nothing was changed\."):
        index.search("a cat")


def test_paths_and_features_belong_together_and_stand_in_the_file(folder, tiny):
    (folder / "broken.png").write_bytes(b"no image")
    index = helpers.FolderIndex(folder, *tiny, batch_size=2)
    index.update()
    assert index.paths == ["apple.png", "bus.png", "dog.png", "star.png", "sub/cat.png"]
    expected = helpers.normalize(helpers.encode_images(*tiny, [folder / path for path in index.paths]))
    assert index.features.dtype == np.float32
    assert np.allclose(index.features, expected, atol=1e-5)
    with sqlite3.connect(place_of(index)) as base:
        rows = dict(base.execute("SELECT path, row FROM files WHERE error IS NULL"))
        vectors = b"".join(vector for (vector,) in base.execute("SELECT vectors FROM features ORDER BY first"))
    base.close()
    stored = np.frombuffer(vectors, dtype="<f4").reshape(-1, 384)
    assert np.array_equal(stored[[rows[path] for path in index.paths]], index.features)


def test_two_models_never_mix(folder, tiny, random_vit):
    first, second = helpers.FolderIndex(folder, *tiny), helpers.FolderIndex(folder, random_vit, clip_preprocess(32))
    assert first.update().encoded == second.update().encoded == 5
    assert (first.features.shape, second.features.shape) == ((5, 384), (5, 64))
    assert helpers.FolderIndex(folder, *tiny).update().unchanged == 5


def hooked(model):
    model.visual.register_forward_hook(lambda part, given, found: found.flip(1))


def changed_in_place(model):
    with torch.inference_mode():
        model.text_projection.mul_(-1)


def changed_data(model):
    model.visual.attnpool.c_proj.weight.data[0] += 0.01


@pytest.mark.parametrize("change", [hooked, changed_in_place, changed_data])
def test_a_model_that_was_changed_never_gets_old_features(folder, index, change):
    """A model is known by its weights as they are, and by what it does."""
    index.update()
    model, preprocess = helpers.load("tiny", device="cpu")
    again = helpers.FolderIndex(folder, model, preprocess)
    assert again.update().unchanged == 5
    change(model)
    copy("tree", folder / "tree.png")
    with pytest.raises(ValueError, match="has changed since this FolderIndex was made. Make a new one"):
        again.update()
    assert helpers.FolderIndex(folder, model, preprocess).update().encoded == 6
    assert index.update() == (1, 0, 0, 0, 5)


def test_what_makes_other_features_has_another_index(folder, index, tiny):
    model, preprocess = tiny
    index.update()
    assert helpers.FolderIndex(folder, *helpers.load("tiny", device="cpu")).paths == index.paths
    for other in (
        helpers.FolderIndex(folder, model, lambda image: preprocess(image) * 0.5),
        helpers.FolderIndex(folder, model, preprocess, fast_decode=False),
        helpers.FolderIndex(folder, *helpers.load("tiny", device="cpu", precision="float16")),
    ):
        assert other.paths == []


def test_an_index_without_fast_decode_decodes_large_files_whole(tmp_path, tiny):
    Image.linear_gradient("L").convert("RGB").resize((1600, 1200)).save(tmp_path / "large.jpg")
    seen = []

    def watching(image):
        seen.append(image.width)
        return tiny[1](image)

    for fast_decode in (True, False):
        helpers.FolderIndex(tmp_path, tiny[0], watching, fast_decode=fast_decode).update()
    assert [width for width in seen if width != 71] == [400, 1600]  # 71: the sample that tells the preprocessing


def test_the_index_can_live_elsewhere_for_several_folders(folder, tmp_path, tiny):
    other = tmp_path / "other" / folder.name
    other.mkdir(parents=True)
    copy("tree", other / "apple.png")
    elsewhere = tmp_path / "indexes"
    before = sorted(folder.rglob("*"))
    assert helpers.FolderIndex(folder, *tiny, index_folder=elsewhere).update().encoded == 5
    assert helpers.FolderIndex(other, *tiny, index_folder=elsewhere).update() == (1, 0, 0, 0, 0)
    assert helpers.FolderIndex(folder, *tiny, index_folder=elsewhere).update().unchanged == 5
    assert sorted(folder.rglob("*")) == before


def test_a_relative_place_stays_where_it_was(folder, tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = helpers.FolderIndex("images", *tiny, index_folder="indexes")
    index.update()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    copy("tree", folder / "a tree.png")
    assert index.update() == (1, 0, 0, 0, 5)
    assert names(index.search(image=IMAGES / "tree.png", k=1)) == ["a tree"]
    assert not list((tmp_path / "other").iterdir())


def test_a_place_that_cannot_be_written_is_named(folder, tmp_path, tiny):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PermissionError, match=r"Cannot write the index to .*file.* Set index_folder to another folder"):
        helpers.FolderIndex(folder, *tiny, index_folder=tmp_path / "file").update()


def test_a_second_writer_is_refused_and_a_reader_follows(folder, tiny):
    writer, reader = helpers.FolderIndex(folder, *tiny), helpers.FolderIndex(folder, *tiny)
    writer.update()
    assert names(reader.search(image=IMAGES / "cat.png", k=1)) == ["cat"]
    with (
        FileLock(place_of(writer).with_suffix(".lock")),
        pytest.raises(RuntimeError, match=r"^Another process is writing to .*. Try again when it has finished.$"),
    ):
        reader.update()
    copy("tree", folder / "tree.png")
    writer.update()
    assert names(reader.search(image=IMAGES / "tree.png", k=1)) == ["tree"]
    assert reader.update().unchanged == 6


def test_an_index_deleted_while_it_is_open_is_made_anew(folder, index, tiny):
    index.update()
    shutil.rmtree(folder / ".clip-index")
    (folder / "a_maze.jpeg").write_bytes((IMAGES / "maze1.jpeg").read_bytes())
    assert index.update() == (6, 0, 0, 0, 0)
    later = helpers.FolderIndex(folder, *tiny)
    assert later.update() == (0, 0, 0, 0, 6)
    for name in NAMES:
        assert names(later.search(image=IMAGES / f"{name}.png", k=1)) == [name]
    assert names(later.search("a maze", k=1)) == ["a_maze"]


def test_damage_is_named_by_search_and_repaired_by_update(folder, index, tiny):
    index.update()
    whole = place_of(index).read_bytes()
    place_of(index).write_bytes(whole[: len(whole) // 2])
    later = helpers.FolderIndex(folder, *tiny)
    with pytest.raises(ValueError, match=r"sqlite is damaged .*Call update\(\), which encodes the lost images again"):
        later.search("a cat")
    assert later.update().errors == 0
    assert names(later.search(image=IMAGES / "cat.png", k=1)) == ["cat"]
    assert np.array_equal(later.features, index.features)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
@pytest.mark.parametrize("beside", [False, True])
def test_a_folder_that_cannot_be_written_can_be_searched(folder, index, tiny, monkeypatch, beside):
    """Even with what a killed update left beside the file. Root may write anywhere, so SQLite is told to fail."""
    index.update()
    expected = index.search("a cat")
    if beside:
        with index._store.writing():
            index._store.commit([Entry("new.png", error="none")], {})
            kept = {file: file.read_bytes() for file in place_of(index).parent.glob("*.sqlite*")}
        for file, content in kept.items():
            file.write_bytes(content)
    connect = sqlite3.connect

    def refuse(place, **options):
        if "mode=rw" in place and str(folder) in place:
            place = place.replace(folder.name, "missing")  # SQLite cannot open it
        return connect(place, **options)

    monkeypatch.setattr(sqlite3, "connect", refuse)
    later = helpers.FolderIndex(folder, *tiny)
    assert later.search("a cat") == expected
    assert list(later.errors) == ["new.png"] * beside


def test_a_folder_that_is_gone_is_an_error_and_not_an_empty_one(folder, index, tmp_path):
    index.update()
    folder.rename(tmp_path / "unplugged")
    with pytest.raises(ValueError, match=r"Expected a folder of images; got .*images, which is not one\."):
        index.update()
    assert not folder.exists()
    (tmp_path / "unplugged").rename(folder)
    assert index.update().unchanged == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0, "text": "a cat"}, "k"),
        ({}, "Pass a text, an image, or both"),
        ({"image": "missing.png"}, "Cannot read missing.png"),
    ],
)
def test_a_bad_query_is_named(index, arguments, message):
    index.update()
    with pytest.raises(ValueError, match=message):
        index.search(**arguments)


def test_a_bad_folder_or_batch_size_is_named(tmp_path, tiny):
    with pytest.raises(ValueError, match="got .*missing, which is not one"):
        helpers.FolderIndex(tmp_path / "missing", *tiny)
    with pytest.raises(ValueError, match="batch_size"):
        helpers.FolderIndex(tmp_path, *tiny, batch_size=0)


def update(folder, place, batch_size):
    torch.set_num_threads(1)
    model, preprocess = helpers.load("tiny")
    helpers.FolderIndex(folder, model, preprocess, place, batch_size).update(progress=False)


def committed(place):
    """Count the batches of features that are saved by now."""
    with suppress(sqlite3.Error):
        for file in place.rglob("*.sqlite"):
            with closing(sqlite3.connect(file)) as base:
                return base.execute("SELECT count(*) FROM features").fetchone()[0]
    return 0


def test_killed_three_times_and_resumed_the_index_is_the_same_to_the_bit(tmp_path, tiny, processes):
    folder = noise(tmp_path / "images", 100)
    (folder / "0070.png").write_bytes(b"no image")
    (folder / "0099.png").write_bytes((folder / "0003.png").read_bytes())
    generator = random.Random(0)
    killed = []
    for batches in (0, 4, 8):
        process = processes.Process(target=update, args=(folder, tmp_path / "killed", 6))
        process.start()
        while process.is_alive() and (before := committed(tmp_path / "killed") if batches else 0) < batches:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.03))
        process.kill()
        process.join()
        assert committed(tmp_path / "killed") >= before  # what was saved is safe
        killed.append(process.exitcode < 0)
    assert sum(killed) >= 2
    for place in ("killed", "whole"):
        process = processes.Process(target=update, args=(folder, tmp_path / place, 6))
        process.start()
        process.join()
        assert process.exitcode == 0
    resumed, whole = (helpers.FolderIndex(folder, *tiny, tmp_path / place) for place in ("killed", "whole"))
    assert resumed.paths == whole.paths
    assert resumed.errors == whole.errors
    assert whole.features.shape == (99, 384)
    assert np.array_equal(resumed.features, whole.features)


def peak(folder, place, answer):
    import resource  # Unix only

    update(folder, place, 32)
    answer.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such measure of memory")
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
