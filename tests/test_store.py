"""A store finds what is damaged, believes nothing of it, and is completed to the same bytes after a kill."""

import json
import os
import random
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.index.store import FeatureStore

MADE_BY = {"model": "none"}
BATCHES = [(3, [0, 1, 2, 1]), (0, [1]), (2, [3, 4]), (1, [5])]  # new rows, and which row each file has
ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
FILES = ("features.npy", "files.jsonl", "about.json")


def fill(place, batches=BATCHES):
    """Commit what is missing of four small batches."""
    store = FeatureStore(place, MADE_BY, 4)
    with store.writing():
        first = 0
        for number, (count, rows) in enumerate(batches):
            features = {str(row): ROWS[row] for row in range(first, first + count)}
            records = [
                {"path": f"{number}-{i}.png", "size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": i, "sha256": str(row)}
                for i, row in enumerate(rows)
            ]
            if records[0]["path"] not in store.files:
                store.commit(records, features)
            first += count
    return store


TRUTH = {f"{number}-{i}.png": row for number, (_, rows) in enumerate(BATCHES) for i, row in enumerate(rows)}


def contents(place):
    """Read the files, leaving out what is random: the id."""
    about = json.loads((place / "about.json").read_text())
    assert len(about.pop("id")) == 32
    return (place / "features.npy").read_bytes(), (place / "files.jsonl").read_bytes(), about


@pytest.fixture
def whole(tmp_path):
    """A store, and what is in its files."""
    place = tmp_path / "whole"
    fill(place)
    return SimpleNamespace(
        place=place, contents=contents(place), files={name: (place / name).read_bytes() for name in FILES}
    )


@pytest.fixture
def no_waiting(monkeypatch):
    """Spare the disk: these tests lose no power."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def check(place, expected):
    """Open a damaged store: one line that names the file, or rows that are right; then completed to the same bytes."""
    try:
        store = FeatureStore(place, MADE_BY, 4)
    except ValueError as error:
        message = str(error)
        assert "\n" not in message
        assert str(place) in message
        if "about.json is damaged: delete this file" in message:
            (place / "about.json").unlink()
        else:
            assert "is an index of format" in message
            shutil.rmtree(place)
    else:
        for path, row in zip(*store.searchable(), strict=True):
            assert np.array_equal(store.features[row], ROWS[TRUTH[path]]), path
        assert store.damage is None or ("\n" not in store.damage and str(place) in store.damage)
    fill(place)
    assert contents(place) == expected


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_noticed_and_completed_to_the_same_bytes(whole, name):
    for length in range(0, len(whole.files[name]), 5):
        (whole.place / name).write_bytes(whole.files[name][:length])
        check(whole.place, whole.contents)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_noticed_and_mended(whole, name, flips=100):
    rng = random.Random(0)
    for _ in range(flips):
        damaged = bytearray(whole.files[name])
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        (whole.place / name).write_bytes(damaged)
        check(whole.place, whole.contents)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("change", [lambda byte: byte ^ 1, lambda byte: byte ^ 32, lambda byte: 0, lambda byte: 10])
def test_a_damaged_byte_of_the_log_costs_its_line_and_what_follows_and_nothing_is_wrong(whole, change):
    log, content = whole.place / "files.jsonl", whole.files["files.jsonl"]
    starts = np.cumsum([0, *map(len, content.splitlines(keepends=True))])
    for place, byte in enumerate(content):
        damaged = bytearray(content)
        damaged[place] = change(byte)
        if damaged == content:
            continue
        log.write_bytes(damaged)
        store = FeatureStore(whole.place, MADE_BY, 4)
        line = int(np.searchsorted(starts, place, side="right")) - 1
        assert list(store.files) == [path for path in TRUTH if int(path[0]) < line]
        for path, row in zip(*store.searchable(), strict=True):
            assert np.array_equal(store.features[row], ROWS[TRUTH[path]])
        unfinished = place == len(content) - 1  # without its last newline, a line is one that a killed writer left
        assert store.damage == (None if unfinished else f"{log} is damaged at byte {starts[line]}")
    fill(whole.place)
    assert contents(whole.place) == whole.contents


@pytest.mark.parametrize("damage", ["lost", "zero", "older", "nan"])
def test_damaged_features_are_named_and_made_anew(whole, damage):
    features = whole.place / "features.npy"
    nan = bytearray(whole.files["features.npy"])
    nan[128 + 16 : 128 + 20] = np.float32(np.nan).tobytes()
    fill(whole.place / "older", BATCHES[:1])
    older = (whole.place / "older" / "features.npy").read_bytes()
    features.write_bytes({"lost": b"", "zero": bytes(224), "older": older, "nan": nan}[damage])
    damaged_row = {"lost": 0, "zero": 0, "older": 3, "nan": 0}[damage]
    assert FeatureStore(whole.place, MADE_BY, 4).damage == f"{features} is damaged at row {damaged_row}"
    check(whole.place, whole.contents)


def test_a_damaged_line_costs_what_follows_it_and_no_more(whole):
    lines = whole.files["files.jsonl"].splitlines(keepends=True)
    log = whole.place / "files.jsonl"
    log.write_bytes(b"".join([lines[0], b"#" * 20 + b"\n", *lines[2:]]))
    store = FeatureStore(whole.place, MADE_BY, 4)
    assert list(store.files) == [f"0-{i}.png" for i in range(4)]
    assert store.damage == f"{log} is damaged at byte {len(lines[0])}"
    check(whole.place, whole.contents)


def test_death_between_any_two_writes_is_completed_to_the_same_bytes(whole, tmp_path, monkeypatch):
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
        fill(place)
        assert contents(place) == whole.contents
        if deaths == last:
            break
    assert deaths == 1 + 2 + 1 + 2 + 2  # about.json; then rows, if there are new ones, and the line of each batch


def test_features_that_cannot_be_read_now_cost_nothing(whole):
    features = whole.place / "features.npy"
    features.rename(whole.place / "aside")
    features.mkdir()
    with pytest.raises(
        IsADirectoryError, match=r"features\.npy can't be read now \(Is a directory\): nothing was changed"
    ):
        fill(whole.place)
    features.rmdir()
    (whole.place / "aside").rename(features)
    assert contents(whole.place) == whole.contents


@pytest.mark.parametrize("name", ["features.npy", "files.jsonl", "about.new", "lock"])
def test_nothing_is_written_through_a_symbolic_link(whole, tmp_path, name):
    target = tmp_path / "precious"
    target.write_bytes(whole.files.get(name, b"mine"))
    before = target.read_bytes()
    (whole.place / name).unlink(missing_ok=True)
    (whole.place / name).symlink_to(target)
    (whole.place / "about.json").unlink()
    with pytest.raises(
        PermissionError, match=rf"{name} is a symbolic link, and nothing is written through one: delete it"
    ):
        fill(whole.place, [*BATCHES, (0, [0])])
    assert target.read_bytes() == before


@pytest.mark.parametrize("name", ["key", "index/key"])
def test_no_folder_of_the_index_may_be_a_symbolic_link(tmp_path, name):
    (tmp_path / "precious").mkdir()
    (tmp_path / name.partition("/")[0]).symlink_to(tmp_path / "precious")
    with pytest.raises(PermissionError, match=r"is a symbolic link, .*: name another place with index_folder"):
        fill(tmp_path / name)
    assert not list((tmp_path / "precious").iterdir())


def test_an_open_store_notices_that_another_one_took_its_place(whole):
    store = FeatureStore(whole.place, MADE_BY, 4)
    assert len(store.files) == 8
    shutil.rmtree(whole.place)
    store.catch_up()
    assert (store.files, len(store.features)) == ({}, 0)
    fill(whole.place, BATCHES[:1])
    store.catch_up()
    assert len(store.files) == 4
    older = {name: (whole.place / name).read_bytes() for name in FILES}
    fill(whole.place)
    store.catch_up()
    assert len(store.files) == 8
    for name, content in older.items():  # a backup, put back: the same id
        (whole.place / name).write_bytes(content)
    store.catch_up()
    assert len(store.files) == 4


def test_a_store_that_is_deleted_while_it_is_written_is_named(whole):
    store = FeatureStore(whole.place, MADE_BY, 4)
    with (
        pytest.raises(RuntimeError, match=r"whole was deleted or replaced while it was written: call update\(\) again"),
        store.writing(),
    ):
        shutil.rmtree(whole.place)
        store.commit([{"path": "new.png", "error": "none"}], {})
    assert not whole.place.exists()


def test_lines_of_another_store_are_not_taken(whole):
    (whole.place / "about.json").unlink()
    other = FeatureStore(whole.place, {"model": "another"}, 4)
    assert (other.files, other.damage) == ({}, f"{whole.place / 'files.jsonl'} is damaged at byte 0")


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", "sub/../../outside.png"])
def test_entries_that_lead_outside_are_refused(tmp_path, path):
    store = FeatureStore(tmp_path, MADE_BY, 4)
    with store.writing():
        store.commit(
            [{"path": path, "size": 1, "mtime_ns": 1, "ctime_ns": 1, "inode": 1, "sha256": "a"}], {"a": ROWS[0]}
        )
    assert store.files == {}
    assert store.damage == f"{tmp_path / 'files.jsonl'} is damaged at byte 0"


def test_an_index_of_the_first_format_is_left_as_it_is(tmp_path):
    about = {"model": "tiny", "model_sha256": "0", "precision": "float32", "preprocess_sha256": "1"}
    (tmp_path / "about.json").write_text(json.dumps(about))
    (tmp_path / "files.jsonl").write_text('[{"path": "cat.png", "size": 1, "mtime_ns": 1, "sha256": "a", "row": 0}]\n')
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(
        ValueError, match=r"is an index of format 1, and this version has format 2; it is left as it is: delete"
    ):
        fill(tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
