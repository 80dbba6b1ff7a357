"""A manifest becomes shards: the same bytes by any number of workers, after any kill; a bad row costs itself."""

import csv
import hashlib
import json
import multiprocessing
import random
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
import torch
from filelock import FileLock
from PIL import Image
from pyarrow import parquet

import helpers
from helpers.__main__ import main
from helpers.shards import Encoded, encode_manifest
from helpers.shards.encoder import ABOUT
from helpers.shards.manifest import Manifest, repeated_ids
from tests.conftest import IMAGES

NAMES = sorted(path.name for path in IMAGES.glob("*.png"))[:12]


@pytest.fixture
def manifest(tmp_path):
    """Twelve drawings and their colours."""
    for name in NAMES:
        shutil.copy(IMAGES / name, tmp_path / name)
    return write(
        tmp_path / "manifest.csv",
        [["id", "path", "kind"], *([f"n{i}", name, "drawing"] for i, name in enumerate(NAMES))],
    )


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Images enough to kill in the middle: the manifest, and its shards by one worker."""
    folder = tmp_path_factory.mktemp("many")
    generator = np.random.default_rng(0)
    for i in range(240):
        Image.fromarray(generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    manifest = write(folder / "manifest.csv", [["id", "path"], *([i, f"{i}.png"] for i in range(240))])
    assert encode_manifest(manifest, folder / "whole", shard_size=8, workers=1) == (240, 0, 0, ())
    return manifest, files_of(folder / "whole")


def write(file, rows):
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows(rows)
    return file


def files_of(out):
    return {file.name: file.read_bytes() for file in sorted(out.glob("*.parquet"))}


def table_of(out):
    return pa.concat_tables(parquet.read_table(file, partitioning=None) for file in sorted(out.glob("*.parquet")))


def features_of(table):
    return np.array(table["features"].to_pylist(), dtype=np.float32)


def test_shards_hold_what_encode_images_gives(manifest, tmp_path, tiny):
    out = tmp_path / "out"
    assert encode_manifest(manifest, out, shard_size=5, workers=1) == (12, 0, 0, ())
    assert [len(table_of(file.parent)) for file in [out / "x"]] == [12]
    assert [parquet.read_metadata(file).num_rows for file in sorted(out.glob("*.parquet"))] == [5, 5, 2]
    table = table_of(out)
    assert table.column_names == ["id", "path", "kind", "sha256", "features", "error"]
    assert table["id"].to_pylist() == [f"n{i}" for i in range(12)]
    assert table["kind"].to_pylist() == ["drawing"] * 12
    assert table["sha256"].to_pylist() == [hashlib.sha256((IMAGES / name).read_bytes()).hexdigest() for name in NAMES]
    expected = helpers.encode_images(*tiny, [IMAGES / name for name in NAMES])
    assert np.abs(features_of(table) - expected).max() < 1e-5
    assert table.schema.field("features").type == pa.list_(pa.field("element", pa.float32(), nullable=False), 384)


def test_a_file_tells_what_made_its_features(manifest, tmp_path, tiny):
    encode_manifest(manifest, tmp_path / "out", workers=1)
    about = json.loads(parquet.read_schema(tmp_path / "out" / "000000.parquet").metadata[ABOUT])
    sha256 = helpers.list_models()[0].sha256
    assert about["model_sha256"] == sha256
    assert (about["precision"], about["decoding"], about["format"]) == ("float32", "reduced", 1)


def test_two_workers_write_the_same_bytes(noise, tmp_path):
    encode_manifest(noise[0], tmp_path / "two", shard_size=8, workers=2)
    assert files_of(tmp_path / "two") == noise[1]


def test_two_parts_make_the_whole(noise, tmp_path):
    for part in ((1, 2), (2, 2)):
        assert encode_manifest(noise[0], tmp_path / "out", shard_size=8, workers=1, part=part).rows == 120
    assert files_of(tmp_path / "out") == noise[1]


def test_a_killed_worker_does_no_harm(noise, tmp_path):
    """Four times, each after another shard."""
    killed = []

    def kill():
        for count in (1, 5, 9, 15):
            while len(list(tmp_path.glob("*.parquet"))) < count:
                time.sleep(0.005)
            worker = random.Random(count).choice(multiprocessing.active_children())
            worker.kill()
            killed.append(worker.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    assert encode_manifest(noise[0], tmp_path, shard_size=8, workers=2) == (240, 0, 0, ())
    thread.join()
    assert len(set(killed)) == 4
    assert files_of(tmp_path) == noise[1]


def test_a_killed_command_goes_on_where_it_stopped(noise, tmp_path):
    command = [sys.executable, "-m", "helpers", "encode", noise[0], tmp_path, "--shard-size", "8", "--workers", "2"]
    process = subprocess.Popen(command)
    while len(list(tmp_path.glob("*.parquet"))) < 6 and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    time.sleep(0.1)
    there = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.parquet")}
    assert 6 <= len(there) < 30
    found = encode_manifest(noise[0], tmp_path, shard_size=8, workers=2)
    assert found == (240, 8 * len(there), 0, ())
    assert {file: file.stat().st_mtime_ns for file in there} == there
    assert files_of(tmp_path) == noise[1]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".parquet") == [".lock", "_errors.csv"]


def test_bad_rows_are_listed_and_cost_only_themselves(manifest, tmp_path, tiny):
    (tmp_path / "text.png").write_bytes(b"no image")
    (tmp_path / "folder").mkdir()
    bad = {
        ("a", "gone.png", "x"): "gone.png can't be opened: No such file or directory",
        ("b", "text.png", "x"): "text.png can't be read as an image: cannot identify image file",
        ("n3", "apple.png", "x"): "the id n3 stands in row 4 already",
        ("c", "folder", "x"): "folder is no file",
        ("", "apple.png", "x"): "the row has no id",
        ("d", "", "x"): "the row has no path",
        ("e", "apple.png"): "the row has 2 fields, the manifest 3 columns",
        ("f", "a\0b.png", "x"): "the path holds a zero character",
    }
    with manifest.open("a", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([*bad, ("z", NAMES[5], "x")])
    found = encode_manifest(manifest, tmp_path / "out", shard_size=7, workers=1)
    assert (found.rows, found.errors) == (21, 8)
    table = table_of(tmp_path / "out")
    assert [np.isnan(row).all() for row in table["features"].to_pylist()] == [False] * 12 + [True] * 8 + [False]
    for error, expected in zip(table["error"].to_pylist()[12:20], bad.values(), strict=True):
        assert error.startswith(expected)
    listed = list(csv.DictReader((tmp_path / "out" / "_errors.csv").open(newline="", encoding="utf-8")))
    assert [row["error"] for row in listed] == table["error"].to_pylist()[12:20]
    last = helpers.encode_images(*tiny, IMAGES / NAMES[5])[0]
    assert np.abs(features_of(table)[-1] - last).max() < 1e-5


def test_a_image_that_was_missing_is_encoded_on_demand(manifest, tmp_path):
    (tmp_path / NAMES[7]).rename(tmp_path / "away")
    assert encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1).errors == 1
    (tmp_path / "away").rename(tmp_path / NAMES[7])
    assert encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1) == (12, 12, 1, ())
    assert encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1, retry=True) == (12, 8, 0, ())


def test_a_duplicate_is_not_tried_again(manifest, tmp_path):
    with manifest.open("a", encoding="utf-8") as lines:
        lines.write("n1,apple.png,x\n")
    assert encode_manifest(manifest, tmp_path / "out", workers=1) == (13, 0, 1, ())
    assert encode_manifest(manifest, tmp_path / "out", workers=1, retry=True) == (13, 13, 1, ())


def test_rows_added_to_the_end_are_encoded(manifest, tmp_path):
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(lines[:7]))
    encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1)
    manifest.write_text("".join(lines))
    assert encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1) == (12, 4, 0, ())
    assert table_of(tmp_path / "out")["id"].to_pylist() == [f"n{i}" for i in range(12)]


def test_another_manifest_is_refused_and_nothing_is_changed(manifest, tmp_path):
    encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1)
    before, lines = files_of(tmp_path / "out"), manifest.read_text().splitlines(keepends=True)
    for changed in (
        [lines[0], *lines[:0:-1]],
        [lines[0], *lines[2:], lines[1]],
        [line.replace("kind", "sort") for line in lines],
    ):
        manifest.write_text("".join(changed))
        with pytest.raises(ValueError, match="000000.parquet has other rows than the manifest: give another folder"):
            encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1)
    manifest.write_text("".join(lines[:6]))
    with pytest.raises(ValueError, match="000002.parquet lies beyond the manifest"):
        encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1)
    assert files_of(tmp_path / "out") == before


@pytest.mark.parametrize(
    "options", [{"exact": True}, {"precision": "float16"}, {"float16": True}, {"model": "other.pt"}]
)
def test_features_of_two_models_never_mix(manifest, tmp_path, options, tiny):
    if "model" in options:
        weights = tiny[0].state_dict()
        weights["logit_scale"] = weights["logit_scale"] + 1
        torch.save(weights, tmp_path / "other.pt")
        options = {"model": str(tmp_path / "other.pt")}
    encode_manifest(manifest, tmp_path / "out", workers=1)
    other = r"another model or way of decoding \(23dbeb75, float32, reduced\): take that model, or another folder"
    if "float16" in options:
        other = r"fixed_size_list<element: float not null>\[384\]: give another folder"
    with pytest.raises(ValueError, match=f"000000.parquet has features of {other}$"):
        encode_manifest(manifest, tmp_path / "out", workers=1, **options)


def test_a_damaged_shard_is_encoded_anew(manifest, tmp_path):
    encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1)
    whole, file = files_of(tmp_path / "out"), tmp_path / "out" / "000001.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    assert encode_manifest(manifest, tmp_path / "out", shard_size=4, workers=1) == (12, 8, 0, ())
    assert files_of(tmp_path / "out") == whole


def test_features_of_16_bits(manifest, tmp_path, tiny):
    encode_manifest(manifest, tmp_path / "out", workers=1, float16=True)
    table = table_of(tmp_path / "out")
    expected = helpers.encode_images(*tiny, [IMAGES / name for name in NAMES])
    assert table.schema.field("features").type.value_type == pa.float16()
    assert np.allclose(features_of(table), expected, rtol=1e-3, atol=1e-4)


def test_a_parquet_manifest_keeps_its_types(manifest, tmp_path):
    rows = pa.table({"size": [1.5, 2.5], "path": NAMES[:2], "id": [7, -(2**60)]})
    parquet.write_table(rows, tmp_path / "manifest.parquet")
    encode_manifest(tmp_path / "manifest.parquet", tmp_path / "out", workers=1)
    table = table_of(tmp_path / "out")
    assert table.select(["size", "path", "id"]).to_pylist() == rows.to_pylist()
    assert table.schema.field("id").type == pa.int64()


def test_repeated_ids_are_those_of_a_dictionary(tmp_path):
    ids = [random.Random(i).choice([None, "", i % 50, f"x{i % 70}", i]) for i in range(2000)]
    seen, expected = {}, []
    for row, value in enumerate(ids):
        if value not in (None, "") and seen.setdefault(str(value), row) != row:
            expected.append((row, seen[str(value)]))
    again, first = repeated_ids(enumerate(ids), tmp_path / "ids")
    assert len(expected) > 300
    assert list(zip(again.tolist(), first.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.csv", None, "no such manifest: .*no.csv"),
        ("m.txt", b"a", "m.txt is neither .csv nor .parquet; a manifest is a table with the columns id and path"),
        ("m.csv", b"id,file\n", "m.csv has no column 'path'; its columns are id, file"),
        ("m.csv", b"", "m.csv has no column 'id'"),
        ("m.csv", b"id,path,error\n", "m.csv has a column 'error', which encoding writes"),
        ("m.csv", b"id,path,id\n", "m.csv has two columns of the same name: id, path, id"),
        ("m.parquet", b"id,path", "m.parquet is not a readable Parquet file"),
    ],
)
def test_what_is_no_manifest_is_told(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        encode_manifest(tmp_path / name, tmp_path / "out")


def test_ids_must_be_text_or_whole_numbers(tmp_path):
    parquet.write_table(pa.table({"id": [1.5], "path": ["a"]}), tmp_path / "m.parquet")
    with pytest.raises(ValueError, match="column id of .*m.parquet is double; it must be text or whole numbers"):
        Manifest(tmp_path / "m.parquet")


@pytest.mark.parametrize("options", [{"workers": -1}, {"shard_size": 0}, {"batch_size": 0}])
def test_an_option_out_of_range_is_told(manifest, tmp_path, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"^{name} is {value}; it must be at least 1$"):
        encode_manifest(manifest, tmp_path / "out", **options)
    with pytest.raises(ValueError, match=r"part is \(3, 2\); eight parts are \(1, 8\) to \(8, 8\)"):
        encode_manifest(manifest, tmp_path / "out", part=(3, 2))


def test_what_a_worker_meets_is_told(manifest, tmp_path):
    with pytest.raises(ValueError, match="no model or file is called 'tyni'; did you mean 'tiny'"):
        encode_manifest(manifest, tmp_path / "out", model="tyni")
    with pytest.raises(ValueError, match="this machine has no 'mps' device; use device='cpu'"):
        encode_manifest(manifest, tmp_path / "out", device="mps", precision="float32", workers=1)


def test_an_empty_manifest_makes_no_shard(tmp_path):
    manifest = write(tmp_path / "m.csv", [["id", "path"]])
    assert encode_manifest(manifest, tmp_path / "out") == (0, 0, 0, ())


def test_only_one_process_encodes_into_a_folder(manifest, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(RuntimeError, match="another process encodes into .*out"):
        encode_manifest(manifest, tmp_path / "out")


def test_the_command_says_what_it_met(manifest, tmp_path, monkeypatch, capsys):
    def run(*options):
        return main(["encode", str(manifest), str(tmp_path / "out"), *options]), *capsys.readouterr()

    with manifest.open("a", encoding="utf-8") as lines:
        lines.write("x,gone.png,\n")
    said = f"13 rows in {tmp_path}/out: 12 with features, 1 without\n"
    listed = f"{tmp_path}/out/_errors.csv says which and why\n"
    assert run("--workers", "1", "--shard-size", "10") == (0, said + listed, "")
    assert run("--workers", "1", "--shard-size", "10") == (0, f"{said}13 rows were there already\n{listed}", "")
    code, out, error = run("--model", "no")
    assert (code, out) == (1, "")
    assert error.startswith("no model or file is called 'no'")
    monkeypatch.setattr("helpers.shards.job.encode_manifest", lambda **_: Encoded(9000, 0, 0, (1,)))
    assert run()[:2] == (
        1,
        f"9,000 rows in {tmp_path}/out: 9,000 with features, 0 without\n"
        "shard 1 is missing: three workers died of rows 4,097 to 8,192\n",
    )


@pytest.mark.parametrize("part", ["2", "3/2", "a/b", "0/2"])
def test_a_part_that_is_none_is_told(part, capsys):
    with pytest.raises(SystemExit):
        main(["encode", "m.csv", "out", "--part", part])
    assert f"--part: {part!r} is no part; 2/8 is the second of eight" in capsys.readouterr().err
