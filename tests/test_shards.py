"""A manifest becomes shards: the same bytes after any kill; a bad row costs only itself; nothing is silently wrong."""

import csv
import hashlib
import io
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock
from pyarrow import parquet

import helpers
from helpers.__main__ import main
from helpers.shards import EncodeResult, encode_manifest, read_shard
from helpers.shards.manifest import Manifest
from helpers.shards.shard import Settings, about, encode_shard, is_current, shard_files
from tests.conftest import IMAGES, ROOT

NAMES = sorted(path.name for path in IMAGES.glob("*.png"))[:12]


@pytest.fixture
def manifest(tmp_path):
    """Twelve drawings and their kind."""
    for name in NAMES:
        shutil.copy(IMAGES / name, tmp_path / name)
    rows = [["id", "path", "kind"], *([f"n{i}", name, "drawing"] for i, name in enumerate(NAMES))]
    return write(tmp_path / "manifest.csv", rows)


def write(file, rows):
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows(rows)
    return file


def files_of(out):
    return {file.name: file.read_bytes() for file in sorted(out.glob("*.parquet"))}


def features_of(table):
    return np.array(table["features"].to_pylist(), dtype=np.float32)


def settings_of(manifest, **options):
    usual = {"model": "tiny", "device": "cpu", "precision": "float32", "batch_size": 64}
    return Settings(manifest.parent, **{**usual, "fast_decode": True, "float16": False, **options})


def encoded(manifest, **options):
    """Encode a manifest into one shard, in this process."""
    (rows,), settings = Manifest(manifest).tables(10**6), settings_of(manifest, **options)
    encode_shard(rows, manifest.parent / "000000.parquet", about(settings), settings)
    return manifest.parent / "000000.parquet"


def current(manifest, retry=False, **options):
    """Say whether that shard is what encoding would give now."""
    (rows,), maker = Manifest(manifest).tables(10**6), about(settings_of(manifest, **options))
    return is_current(manifest.parent / "000000.parquet", rows, maker, manifest.parent, retry)


# What a shard holds


def test_a_shard_holds_what_encode_images_gives(manifest, tiny):
    table = read_shard(encoded(manifest))
    assert table.column_names == ["id", "path", "kind", "sha256", "stamp", "features", "error"]
    assert table["id"].to_pylist() == [f"n{i}" for i in range(12)]
    assert table["kind"].to_pylist() == ["drawing"] * 12
    assert table["sha256"].to_pylist() == [hashlib.sha256((IMAGES / name).read_bytes()).hexdigest() for name in NAMES]
    expected = helpers.encode_images(*tiny, [IMAGES / name for name in NAMES])
    assert np.abs(features_of(table) - expected).max() < 1e-5
    assert table.schema.field("features").type == pa.list_(pa.field("element", pa.float32(), nullable=False), 384)


def test_features_of_16_bits(manifest, tiny):
    table = read_shard(encoded(manifest, float16=True))
    expected = helpers.encode_images(*tiny, [IMAGES / name for name in NAMES])
    assert table.schema.field("features").type.value_type == pa.float16()
    assert np.allclose(features_of(table), expected, rtol=1e-3, atol=1e-4)


def test_bad_rows_are_listed_and_cost_only_themselves(manifest, tmp_path, tiny):
    (tmp_path / "text.png").write_bytes(b"no image")
    (tmp_path / "folder").mkdir()
    bad = {
        ("a", "gone.png", "x"): "Cannot read gone.png: No such file or directory",
        ("b", "text.png", "x"): "Cannot read text.png: ",
        ("n3", "apple.png", "x"): "the id n3 is already in row 4",
        ("c", "folder", "x"): "Cannot read folder: it is a folder or a device, not a file",
        ("", "apple.png", "x"): "the row has no id",
        ("d", "", "x"): "the row has no path",
        ("e", "apple.png"): "the row has 2 fields, the manifest 3 columns",
        ("f", "a\0b.png", "x"): "the path contains a null character",
    }
    with manifest.open("a", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([*bad, ("z", NAMES[5], "x")])
    out = tmp_path / "out"
    assert encode_manifest(manifest, out, shard_size=18, workers=1) == (21, 0, 8)
    assert sorted(path.name for path in out.iterdir()) == [
        ".clip-encode.lock",
        "000000.parquet",
        "000001.parquet",
        "_errors.csv",
    ]
    table = pa.concat_tables(read_shard(file) for file in shard_files(out))
    assert [np.isnan(row).all() for row in table["features"].to_pylist()] == [False] * 12 + [True] * 8 + [False]
    errors = table["error"].to_pylist()[12:20]
    assert all(error.startswith(start) for error, start in zip(errors, bad.values(), strict=True))
    listed = list(csv.DictReader((tmp_path / "out" / "_errors.csv").open(newline="", encoding="utf-8")))
    assert [row["error"] for row in listed] == errors
    last = helpers.encode_images(*tiny, IMAGES / NAMES[5])[0]
    assert np.abs(features_of(table)[-1] - last).max() < 1e-5


@pytest.mark.parametrize("place", ["data", "footer"])
def test_a_flipped_bit_anywhere_is_one_sentence_with_the_name_of_the_file(manifest, place):
    file = encoded(manifest)
    whole, generator = file.read_bytes(), random.Random(0)
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for _ in range(150):
        at = generator.randrange(footer, len(whole)) if place == "footer" else generator.randrange(footer)
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << generator.randrange(8)]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"^Expected a shard; got .*000000\.parquet, which is damaged or"):
            read_shard(file)


@pytest.mark.parametrize("cut", [slice(0), slice(100), slice(None, -1), slice(1, None)])
def test_a_shard_that_is_cut_is_damaged(manifest, cut):
    file = encoded(manifest)
    file.write_bytes(file.read_bytes()[cut])
    with pytest.raises(ValueError, match="which is damaged or"):
        current(manifest)


def test_a_full_disk_is_told_with_the_path_and_leaves_nothing(manifest, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*000000\.parquet"):
        encoded(manifest)
    assert not [path for path in tmp_path.iterdir() if "000000" in path.name]


# What is there already


def test_what_is_as_it_was_is_kept(manifest, tmp_path):
    encoded(manifest)
    for name in NAMES:  # a copy has other times, and the same content
        shutil.copyfile(IMAGES / name, tmp_path / name)
    assert current(manifest)


def test_what_was_edited_is_encoded_again(manifest, tmp_path):
    file, text = encoded(manifest), manifest.read_text()
    manifest.write_text(text.replace("drawing", "photo", 1))
    assert not current(manifest)
    manifest.write_text(text)
    assert current(manifest)
    shutil.copy(IMAGES / NAMES[1], tmp_path / NAMES[0])
    assert not current(manifest)
    before = read_shard(file)["sha256"].to_pylist()
    after = read_shard(encoded(manifest))["sha256"].to_pylist()
    assert after == [before[1], *before[1:]]


def test_an_image_that_keeps_its_size_and_time_is_noticed_when_its_content_changes(manifest, tmp_path):
    encoded(manifest)
    image, status = tmp_path / NAMES[0], (tmp_path / NAMES[0]).stat()
    content = bytearray(image.read_bytes())
    content[-20] ^= 1
    image.write_bytes(content)
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not current(manifest)


def test_images_that_are_gone_keep_their_features(manifest, tmp_path):
    encoded(manifest)
    (tmp_path / NAMES[3]).unlink()
    assert current(manifest)
    manifest.write_text(manifest.read_text().replace("drawing", "photo", 1))
    with pytest.raises(ValueError, match=f"would lose the features of missing images, 1 in all, such as {NAMES[3]}"):
        current(manifest)


def test_an_image_that_was_missing_is_encoded_when_it_comes(manifest, tmp_path):
    (tmp_path / NAMES[7]).rename(tmp_path / "away")
    encoded(manifest)
    assert current(manifest)
    assert not current(manifest, retry=True)
    (tmp_path / "away").rename(tmp_path / NAMES[7])
    assert not current(manifest)


def test_a_repeated_id_is_not_tried_again(manifest):
    with manifest.open("a", encoding="utf-8") as lines:
        lines.write("n1,apple.png,x\n")
    encoded(manifest)
    assert current(manifest, retry=True)


def test_rows_added_to_the_end_are_encoded(manifest):
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(lines[:7]))
    encoded(manifest)
    manifest.write_text("".join(lines))
    assert not current(manifest)


@pytest.mark.parametrize("edit", ["order", "shorter", "column"])
def test_another_manifest_is_refused(manifest, edit):
    encoded(manifest)
    first, *rest = manifest.read_text().splitlines(keepends=True)
    changed = {"order": [first, *rest[::-1]], "shorter": [first, *rest[:-1]], "column": ["id,path,sort\n", *rest]}
    manifest.write_text("".join(changed[edit]))
    with pytest.raises(ValueError, match=r"^Expected the rows of the manifest in .*000000\.parquet; got different"):
        current(manifest)


@pytest.mark.parametrize(
    "options", [{"fast_decode": False}, {"precision": "bfloat16"}, {"float16": True}, {"model": "tiny-vit"}]
)
def test_features_of_two_models_never_mix(manifest, options):
    encoded(manifest)
    with pytest.raises(ValueError, match=r"^Expected features of .* in .*000000\.parquet; got features of "):
        current(manifest, **options)


@pytest.mark.parametrize("name", ["000001 (copy).parquet", "0copy.parquet", "0000000.parquet"])
def test_a_file_with_another_name_than_a_shard_is_refused_by_name(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match="^Expected shards named 000000.parquet and so on in .*; got ") as refused:
        shard_files(tmp_path)
    assert name in str(refused.value)


@pytest.mark.parametrize(("name", "content"), [("000000.parquet", b"mine"), ("_errors.csv", b"my,own,list\n")])
def test_what_another_program_wrote_is_not_overwritten(manifest, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}"):
        encode_manifest(manifest, tmp_path, workers=1)
    assert (tmp_path / name).read_bytes() == content


def test_shards_beyond_the_manifest_are_refused(manifest, tmp_path):
    (tmp_path / "000003.parquet").touch()
    with pytest.raises(ValueError, match=r"Expected 3 shards, as many as the manifest fills; got .*000003\.parquet"):
        encode_manifest(manifest, tmp_path, shard_size=4, workers=1)


def test_a_file_of_the_users_own_is_not_taken_as_a_lock(manifest, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".lock").write_text("mine")
    encode_manifest(manifest, out, workers=1)
    assert (out / ".lock").read_text() == "mine"


def test_only_one_process_encodes_into_a_folder(manifest, tmp_path):
    with (
        FileLock(tmp_path / ".clip-encode.lock"),
        pytest.raises(RuntimeError, match="^Another process is encoding into .*Wait"),
    ):
        encode_manifest(manifest, tmp_path)


# Manifests


def rows_of(file, size=3):
    return pa.concat_tables(Manifest(file).tables(size))


def test_a_parquet_manifest_keeps_its_columns_whatever_their_type(manifest, tmp_path):
    rows = pa.table(
        {
            "size": [1.5, float("nan")],
            "path": NAMES[:2],
            "id": [7, -(2**60)],
            "taken": pa.array([1, 10**18 + 1], pa.timestamp("ns")),
            "tags": [["a"], []],
            "raw": [b"\xff", None],
        }
    )
    parquet.write_table(rows, tmp_path / "manifest.parquet")
    table = read_shard(encoded(tmp_path / "manifest.parquet"))
    exact = ["path", "id", "taken", "tags", "raw"]
    assert table.select(exact).equals(rows.select(exact))
    assert current(tmp_path / "manifest.parquet")  # though NaN is not equal to NaN


@pytest.mark.parametrize("size", [1, 7, 5000, 10**6])
def test_a_manifest_is_cut_into_tables_of_one_size(tmp_path, size):
    manifest = write(tmp_path / "m.csv", [["id", "path"], *([i, f"{i}.png"] for i in range(9000))])
    parquet.write_table(rows_of(manifest).drop_columns("error"), tmp_path / "m.parquet", row_group_size=1300)
    for file in (manifest, tmp_path / "m.parquet"):
        lengths = [len(table) for table in Manifest(file).tables(size)]
        assert sum(lengths) == 9000
        assert set(lengths[:-1]) <= {size}
        assert rows_of(file, size)["id"].to_pylist() == [str(i) for i in range(9000)]


def test_repeated_ids_are_those_of_a_dictionary(tmp_path):
    ids = [random.Random(i).choice(["", i % 50, f"x{i % 70}", i]) for i in range(2000)]
    seen, expected = {}, {}
    for row, value in enumerate(ids):
        if value != "" and seen.setdefault(str(value), row) != row:
            expected[row] = f"the id {value} is already in row {seen[str(value)] + 1}"
    found = rows_of(write(tmp_path / "m.csv", [["id", "path"], *([i, "a.png"] for i in ids)]))["error"].to_pylist()
    assert len(expected) > 300
    assert {row: error for row, error in enumerate(found) if error and error != "the row has no id"} == expected


def test_fields_of_any_length_and_lines_in_fields_are_read(tmp_path):
    rows = [["id", "path", "text"], ["1", "a", "x" * 300_000], ["2", "b", 'two\nlines, "quoted"']]
    assert rows_of(write(tmp_path / "m.csv", rows))["text"].to_pylist() == [row[2] for row in rows[1:]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'id,path,text\n1,a,"a cat\n2,b,dog\n', r"row 1, column 3 \(text\) is not valid CSV: unexpected end of data"),
        (b'id,path,text\n1,a,x\n2,"b"c,dog\n', r"row 2, column 2 \(path\) is not valid CSV: ',' expected after"),
        (b"id,path,text\n1,a,x\n2,b,caf\xe9\n", r"row 2, column 3 \(text\) is not UTF-8"),
        (b"id,path,caf\xe9\n1,a,x\n", r"the header, column 3 is not UTF-8"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_with_its_place(tmp_path, content, message):
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"m\.csv, {message}"):
        Manifest(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.csv", None, "Expected a manifest; got .*no.csv, which is not a file"),
        ("m.txt", b"a", "Expected a manifest named .csv or .parquet; got .*m.txt"),
        ("m.csv", b"id,file\n", "Expected a column 'path' in .*m.csv; got id, file"),
        ("m.csv", b"", "Expected a column 'id' in .*m.csv"),
        ("m.csv", b"id,path,error\n", "m.csv has a column 'error', which encoding adds"),
        ("m.csv", b"id,path,id\n", "Expected different names for the columns of .*m.csv; got id, path, id"),
        ("m.parquet", b"id,path", "Expected a Parquet file; got .*m.parquet"),
    ],
)
def test_what_is_not_a_manifest_is_told(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Manifest(tmp_path / name)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"id": [1.5], "path": ["a"]}, "Expected text or integers in the column id of .*m.parquet; got double"),
        ({"id": [1], "path": [b"a"]}, "Expected text in the column path of .*m.parquet; got binary"),
        (
            {"id": [1], "path": pa.array([b"\xff"]).view(pa.string())},
            "Expected a valid Parquet file; got .*m.parquet, column path: .*Invalid UTF8",
        ),
    ],
)
def test_a_column_of_another_type_is_named(tmp_path, rows, message):
    parquet.write_table(pa.table(rows), tmp_path / "m.parquet")
    with pytest.raises(ValueError, match=message):
        Manifest(tmp_path / "m.parquet")


def test_a_path_that_the_locale_cannot_write_costs_its_row_only(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsencode", lambda path: path.encode("ascii"))
    rows = rows_of(write(tmp_path / "m.csv", [["id", "path"], ["1", "a"], ["2", "ä"]]))
    assert rows["error"].to_pylist() == [
        None,
        "the path has letters that file names have not in utf-8; use a UTF-8 locale",
    ]


def test_views_are_read_as_plain_columns(tmp_path):
    views = {"id": pa.string_view(), "path": pa.string_view(), "mark": pa.binary_view()}
    kept = {name: ["a", None, "x" * 99] for name in views}
    parquet.write_table(
        pa.table({name: pa.array(kept[name], kind) for name, kind in views.items()}), tmp_path / "m.parquet"
    )
    rows = rows_of(tmp_path / "m.parquet")
    assert [str(kind) for kind in rows.schema.types] == ["string", "string", "binary", "string"]
    assert rows["path"].to_pylist() == kept["path"]


def test_a_manifest_that_is_edited_while_it_is_read_is_told(manifest):
    table = Manifest(manifest)
    manifest.write_text(manifest.read_text() + "x,y.png,z\n")
    with pytest.raises(ValueError, match=r"manifest\.csv was changed while it was being read"):
        list(table.tables(5))


# The command


@pytest.mark.parametrize("options", [{"workers": -1}, {"workers": 0}, {"shard_size": 0}, {"batch_size": 0}])
def test_an_option_out_of_range_is_told(manifest, tmp_path, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        encode_manifest(manifest, tmp_path / "out", **options)
    with pytest.raises(ValueError, match=r"part.*\(3, 2\)"):
        encode_manifest(manifest, tmp_path / "out", part=(3, 2))


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--help"], 0), (["encoed"], 2)])
def test_the_commands_are_listed(arguments, code, capsys):
    assert main(arguments) == code
    assert "  encode   encode the images of a manifest into Parquet files\n" in capsys.readouterr().out


def test_the_command_says_what_it_met(monkeypatch, capsys):
    for found, said in {
        EncodeResult(9000, 0, 0): "9,000 rows in out: 9,000 with features, 0 without\n",
        EncodeResult(9, 8, 2): "9 rows in out: 7 with features, 2 without\n8 rows had been encoded before\n"
        "out/_errors-1-of-2.csv says which and why\n",
    }.items():
        monkeypatch.setattr("helpers.shards.job.encode_manifest", lambda found=found, **_: found)
        assert main(["encode", "m.csv", "out", "--part", "1/2"]) == 0
        assert capsys.readouterr() == (said, "")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("Expected this."), "Expected this.\n"),
        (OSError(28, "No space left on device", "out/000000.parquet"), "out/000000.parquet: No space left on device\n"),
        (KeyboardInterrupt(), "Interrupted. Run the same command to resume.\n"),
    ],
)
def test_the_command_fails_in_one_line(monkeypatch, capsys, error, said):
    def fail(**_):
        raise error

    monkeypatch.setattr("helpers.shards.job.encode_manifest", fail)
    assert main(["encode", "m.csv", "out"]) == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("stream", ["ascii", "closed", "full"])
def test_the_command_prints_to_any_stream(monkeypatch, capsys, stream):
    class Full(io.TextIOWrapper):
        def write(self, _):
            raise OSError(28, "No space left on device")

    streams = {"ascii": io.TextIOWrapper(io.BytesIO(), "ascii"), "closed": None, "full": Full(io.BytesIO())}
    monkeypatch.setattr("sys.stdout", streams[stream])
    monkeypatch.setattr("helpers.shards.job.encode_manifest", lambda **_: EncodeResult(9, 0, 0))
    assert main(["encode", "m.csv", "größe"]) == (2 if stream == "full" else 0)
    assert capsys.readouterr().err == ("Cannot print all (No space left on device).\n" if stream == "full" else "")


@pytest.mark.skipif(os.name != "posix", reason="limits the size of a file")
def test_a_full_disk_is_told_in_one_line(manifest, tmp_path):
    command = f"ulimit -f 1; '{sys.executable}' -m helpers encode '{manifest}' out"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"{tmp_path / 'out' / '000000.parquet'}: File too large\n")


@pytest.mark.parametrize("part", ["2", "3/2", "a/b", "0/2"])
def test_a_part_that_is_none_is_told(part, capsys):
    with pytest.raises(SystemExit):
        main(["encode", "m.csv", "out", "--part", part])
    assert f"--part: expected a part such as 2/8, the second of eight; got {part!r}" in capsys.readouterr().err
