"""Shards in a LanceDB table: what is found is what the shards hold now."""

import csv
import shutil

import lancedb
import numpy as np
import pyarrow as pa
import pytest

import helpers
from helpers.shards import merge_shards
from helpers.shards.manifest import Manifest
from helpers.shards.shard import Settings, about, encode_shard
from tests.conftest import IMAGES

NAMES = sorted(path.name for path in IMAGES.glob("*.png"))
COUNT = len(NAMES)


@pytest.fixture
def folder(tmp_path):
    """The drawings, one that is missing, and their shards of ten."""
    for name in NAMES:
        shutil.copy(IMAGES / name, tmp_path / name)
    with (tmp_path / "m.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([["id", "path", "kind"], *([i, name, i % 2] for i, name in enumerate(NAMES))])
        lines.write("1000,gone.png,0\n")
    encode(tmp_path)
    return tmp_path


def encode(folder, **options):
    usual = {"model": "tiny", "device": "cpu", "precision": "float32", "batch_size": 64, "fast_decode": True}
    settings = Settings(folder, **{**usual, "float16": False, **options})
    (folder / "shards").mkdir(exist_ok=True)
    for number, rows in enumerate(Manifest(folder / "m.csv").tables(10)):
        encode_shard(rows, folder / "shards" / f"{number:06}.parquet", about(settings), settings)


@pytest.fixture
def database(tmp_path):
    return lancedb.connect(tmp_path / "database")


def test_it_finds_what_a_product_of_matrices_finds(folder, database, tiny):
    table = merge_shards(database, "images", folder / "shards")
    query = helpers.normalize(helpers.encode_texts(tiny[0], "a cat"))[0]
    features = helpers.normalize(helpers.encode_images(*tiny, [IMAGES / name for name in NAMES]))
    for kind in ("0", "1"):
        search = table.search(query, vector_column_name="features").distance_type("dot")
        found = search.where(f"kind = '{kind}'", prefilter=True).limit(COUNT).to_list()
        scores = {NAMES[i]: features[i] @ query for i in range(int(kind), COUNT, 2)}
        assert [row["path"] for row in found[:5]] == sorted(scores, key=scores.get, reverse=True)[:5]
        assert [1 - row["_distance"] for row in found] == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-5)


def test_it_follows_the_shards(folder, database):
    """New rows come, edited ones change, and those that are errors by now or are gone leave."""
    table = merge_shards(database, "images", folder / "shards")
    version = table.version
    assert merge_shards(database, "images", folder / "shards").version == version  # nothing to do
    lines = (folder / "m.csv").read_text().splitlines()
    lines[1] = lines[1][:-1] + "edited"
    (folder / "m.csv").write_text("\n".join([*lines, f"2000,{NAMES[0]},new"]) + "\n")
    (folder / NAMES[2]).unlink()
    encode(folder)
    rows = merge_shards(database, "images", folder / "shards").to_arrow()
    kinds = dict(zip(rows["id"].to_pylist(), rows["kind"].to_pylist(), strict=True))
    assert kinds == {**{str(i): str(i % 2) for i in range(COUNT) if i != 2}, "0": "edited", "2000": "new"}
    sorted((folder / "shards").iterdir())[0].unlink()
    assert set(merge_shards(database, "images", folder / "shards").to_arrow()["id"].to_pylist()) == {
        name for name in kinds if name == "2000" or int(name) >= 10
    }


@pytest.mark.parametrize("column", ["shard", "a.b"])
def test_a_column_that_lancedb_refuses_is_told_in_one_line(folder, database, column):
    lines = (folder / "m.csv").read_text().splitlines()
    (folder / "m.csv").write_text("\n".join([lines[0].replace("kind", column), *lines[1:3]]))
    shutil.rmtree(folder / "shards")
    encode(folder)
    with pytest.raises(ValueError, match=rf"^Expected rows that LanceDB can store; got: .*{column}[^\n]*$"):
        merge_shards(database, "images", folder / "shards")


def test_features_of_two_models_and_damaged_shards_are_refused(folder, database, tmp_path):
    merge_shards(database, "images", folder / "shards")
    encode(folder, model="tiny-vit")
    with pytest.raises(ValueError, match=r"000000\.parquet; got features of"):
        merge_shards(database, "images", folder / "shards")
    (folder / "shards" / "000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"000000\.parquet, which is damaged"):
        merge_shards(database, "images", folder / "shards")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"^Expected shards in .*empty; got none"):
        merge_shards(database, "images", tmp_path / "empty")


def test_features_have_length_1(folder, database):
    features = merge_shards(database, "images", folder / "shards").to_arrow()["features"].combine_chunks()
    lengths = np.linalg.norm(features.flatten().to_numpy().reshape(COUNT, -1), axis=1)
    assert features.type.value_type == pa.float32()
    assert np.abs(lengths - 1).max() < 1e-5
