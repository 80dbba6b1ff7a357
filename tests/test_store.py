"""A store believes nothing that is damaged, and is whole after a kill."""

import random
import sqlite3

import numpy as np
import pytest

from helpers.index.scan import Entry
from helpers.index.store import Store

MAKER = {"weights": "w", "precision": "float32", "preprocess": "p", "decoding": "full", "image": [1.0], "text": [1.0]}
ROWS = np.random.default_rng(0).normal(size=(40, 96)).astype(np.float32)
CONTENTS = [f"{row:064x}" for row in range(len(ROWS))]
TRUTH = {f"images/{row:03}.png": row for row in range(len(ROWS))}


def opened(home, maker=MAKER):
    return Store(home, "key", maker, ROWS.shape[1])


def fill(home, size=8):
    """Commit what is missing, in batches."""
    store = opened(home)
    with store.writing():
        for start in range(0, len(ROWS), size):
            new = [row for row in range(start, start + size) if CONTENTS[row] not in store.row_of]
            entries = [
                Entry(f"images/{row:03}.png", f"{row} 1 1 1", CONTENTS[row]) for row in range(start, start + size)
            ]
            store.commit(entries, {CONTENTS[row]: ROWS[row] for row in new})
    return store


def is_right(store):
    """Compare all that can be found with the truth; return how many files these are."""
    paths, rows = store.searchable()
    for path, row in zip(paths, rows, strict=True):
        assert np.array_equal(store.features[row], ROWS[TRUTH[path]]), path
    return len(paths)


def file_of(home):
    (file,) = home.glob("*.sqlite")
    return file


@pytest.mark.parametrize("kind", ["flip", "cut", "insert", "zeros", "repeat"])
def test_damage_anywhere_is_refused_or_harmless_and_the_next_update_repairs_it(tmp_path, kind, times=25):
    rng = random.Random(kind)
    fill(tmp_path)
    sound = file_of(tmp_path).read_bytes()
    refused = 0
    for _ in range(times):
        damaged, place = bytearray(sound), rng.randrange(len(sound))
        if kind == "flip":
            damaged[place] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del damaged[place : place + rng.choice((1, 5000, len(sound)))]
        elif kind == "insert":
            damaged[place:place] = rng.randbytes(rng.choice((1, 16384)))
        elif kind == "zeros":
            damaged[place : place + 512] = bytes(len(damaged[place : place + 512]))
        else:
            page = 16384 * rng.randrange(1, len(sound) // 16384)
            damaged[page : page + 16384] = sound[:16384] if rng.random() < 0.2 else sound[-16384:]
        file_of(tmp_path).write_bytes(damaged)
        store = opened(tmp_path)
        found = is_right(store)
        if store.damage:
            refused += 1
            assert str(tmp_path) in store.damage
            assert store.damage.isprintable()
        else:
            assert found in (0, len(ROWS))
        assert is_right(fill(tmp_path)) == len(ROWS)
        again = opened(tmp_path)
        assert (again.damage, is_right(again)) == (None, len(ROWS))
        file_of(tmp_path).write_bytes(sound)
    assert refused > 0


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM files WHERE path = 'images/007.png'",
        "DELETE FROM features WHERE first = 8",
        "UPDATE files SET row = 3 WHERE path = 'images/007.png'",
        "UPDATE files SET path = 'images/777.png' WHERE path = 'images/007.png'",
        "UPDATE files SET path = '../outside.png' WHERE path = 'images/007.png'",
        "UPDATE features SET vectors = zeroblob(length(vectors)) WHERE first = 8",
        "UPDATE features SET contents = 'none'",
        "UPDATE about SET value = '{}' WHERE name = 'state'",
        "DELETE FROM about WHERE name = 'maker'",
        "DROP TABLE files",
        "CREATE TABLE more (row INTEGER)",
    ],
)
def test_rows_that_are_lost_or_changed_are_noticed(tmp_path, sql):
    fill(tmp_path)
    with sqlite3.connect(file_of(tmp_path)) as base:
        base.execute(sql)
    base.close()
    store = opened(tmp_path)
    assert "is damaged" in store.damage
    is_right(store)
    assert is_right(fill(tmp_path)) == len(ROWS)
    assert opened(tmp_path).damage is None


def test_a_damaged_batch_costs_that_batch_alone(tmp_path):
    fill(tmp_path)
    with sqlite3.connect(file_of(tmp_path)) as base:
        base.execute("UPDATE features SET vectors = zeroblob(length(vectors)) WHERE first = 8")
    base.close()
    assert is_right(opened(tmp_path)) == len(ROWS) - 8


def test_readers_see_whole_batches(tmp_path):
    writer, reader = opened(tmp_path), opened(tmp_path)
    with writer.writing():
        for start in (0, 8):
            batch = range(start, start + 8)
            entries = [Entry(f"images/{row:03}.png", "1 1 1 1", CONTENTS[row]) for row in batch]
            writer.commit(entries, {CONTENTS[row]: ROWS[row] for row in batch})
            reader.catch_up()
            assert is_right(reader) == start + 8


def test_another_maker_has_a_file_of_its_own(tmp_path):
    fill(tmp_path)
    other = opened(tmp_path, {**MAKER, "image": [-1.0]})
    assert other.files == {}
    with other.writing():
        other.commit([Entry("new.png", error="none")], {})
    assert len(list(tmp_path.glob("*.sqlite"))) == 2
    assert is_right(opened(tmp_path)) == len(ROWS)
    assert list(opened(tmp_path, {**MAKER, "image": [-1.0]}).files) == ["new.png"]
    assert is_right(opened(tmp_path, {**MAKER, "image": [0.9999]})) == len(ROWS)  # another processor's rounding


def test_a_store_that_is_deleted_while_it_is_written_is_named(tmp_path):
    store = opened(tmp_path)
    with (
        pytest.raises(RuntimeError, match=r"was deleted or replaced meanwhile. Call update\(\) again"),
        store.writing(),
    ):
        store.place.rename(tmp_path / "aside")
        store.commit([Entry("new.png", error="none")], {})
    assert not store.place.exists()


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", "in/../../outside.png"])
def test_a_path_that_leads_outside_is_damage_even_with_a_right_checksum(tmp_path, path):
    store = opened(tmp_path)
    with store.writing():
        store.commit([Entry(path, "1 1 1 1", CONTENTS[0])], {CONTENTS[0]: ROWS[0]})
    again = opened(tmp_path)
    assert again.files == {}
    assert "is damaged" in again.damage


def test_an_older_row_in_the_place_of_a_newer_one_is_noticed(tmp_path):
    store = fill(tmp_path)
    with sqlite3.connect(file_of(tmp_path)) as base:
        older = base.execute("SELECT * FROM files WHERE path = 'images/007.png'").fetchone()
        with store.writing():
            store.commit([Entry("images/007.png", "2 2 2 2", CONTENTS[3])], {})
        base.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", older)
    base.close()
    assert "is damaged" in opened(tmp_path).damage


def test_an_index_that_cannot_be_read_now_is_not_taken_for_a_damaged_one(tmp_path):
    fill(tmp_path)
    file, aside = file_of(tmp_path), tmp_path / "aside"
    file.rename(aside)
    file.mkdir()
    with pytest.raises(OSError, match=r"Nothing was changed\. Try again\.$"):
        fill(tmp_path)
    file.rmdir()
    aside.rename(file)
    assert is_right(opened(tmp_path)) == len(ROWS)


def test_an_open_store_follows_a_backup_and_refuses_the_file_of_another_model(tmp_path):
    store = fill(tmp_path)
    backup = file_of(tmp_path).read_bytes()
    with store.writing():
        store.commit([], {}, ["images/007.png"])
    file_of(tmp_path).write_bytes(backup)
    store.catch_up()
    assert is_right(store) == len(ROWS)
    file_of(tmp_path).unlink()
    other = opened(tmp_path, {**MAKER, "image": [-1.0]})
    with other.writing():
        other.commit([Entry("new.png", error="none")], {})
    with pytest.raises(ValueError, match="another model"):
        store.catch_up()


@pytest.mark.parametrize("name", ["key.sqlite", "key.sqlite-wal", "key.sqlite-shm", "key.lock"])
def test_nothing_is_written_through_a_symbolic_link(tmp_path, name):
    home, target = tmp_path / "index", tmp_path / "precious"
    home.mkdir()
    target.write_bytes(b"mine")
    (home / name).symlink_to(target)
    with pytest.raises(PermissionError, match=r"is a symbolic link"):
        fill(home)
    assert target.read_bytes() == b"mine"


def test_the_folder_of_the_index_may_not_be_a_symbolic_link(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "index").symlink_to(tmp_path / "precious")
    with pytest.raises(PermissionError, match=r"is a symbolic link"):
        fill(tmp_path / "index")
    assert not list((tmp_path / "precious").iterdir())


def test_an_index_of_another_format_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.index.store.FORMAT", "4")
    fill(tmp_path)
    monkeypatch.undo()
    before = file_of(tmp_path).read_bytes()
    with pytest.raises(ValueError, match=r"Expected an index of format 3; got .* of format 4\. Delete the file"):
        opened(tmp_path)
    assert file_of(tmp_path).read_bytes() == before


def test_a_path_that_is_not_unicode_is_kept(tmp_path):
    store = opened(tmp_path)
    with store.writing():
        store.commit([Entry("caf\udce9.png", "1 1 1 1", CONTENTS[0])], {CONTENTS[0]: ROWS[0]})
    assert opened(tmp_path).searchable()[0] == ["caf\udce9.png"]
