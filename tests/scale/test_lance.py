"""Shards in a LanceDB table: searched, filtered, added to, and read while they are written."""

import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from helpers.shards import ShardIndex, encode_manifest
from helpers.shards.lance import LanceIndex
from tests.conftest import IMAGES, ROOT

COUNT = 600


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Drawings and random images, one of them missing: shards of 100 rows."""
    folder = tmp_path_factory.mktemp("images")
    generator, names = np.random.default_rng(0), sorted(path.name for path in IMAGES.glob("*.png"))
    for name in names:
        shutil.copy(IMAGES / name, folder / name)
    for i in range(COUNT - len(names)):
        pixels = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((40, 40)).save(folder / f"{i}.png")
    rows = [*((name, "drawing") for name in names), ("gone.png", "drawing")]
    rows += [(f"{i}.png", "noise" if i % 2 else "other") for i in range(COUNT - len(names))]
    with (folder / "m.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([["id", "path", "kind"], *((i, *row) for i, row in enumerate(rows))])
    encode_manifest(folder / "m.csv", folder / "shards", shard_size=100, workers=1)
    return folder / "shards"


@pytest.fixture
def index(shards, tiny, tmp_path):
    return LanceIndex(tmp_path / "db", *tiny, folder=shards.parent)


def test_without_an_index_it_finds_what_an_exact_search_finds(shards, index, tiny):
    assert index.update(shards) == COUNT
    expected = ShardIndex(shards, *tiny).search("a cat", k=20)
    found = index.search("a cat", k=20)
    assert [match.path for match in found] == [match.path for match in expected]
    assert [match.score for match in found] == pytest.approx([match.score for match in expected], abs=1e-5)
    assert index.search("a cat", k=20, above=expected[2].score + 1e-6) == found[:2]


def test_a_filter_holds_before_the_comparison(shards, index, tiny):
    index.update(shards)
    kinds = {row["path"]: row["kind"] for row in parquet.read_table(shards).to_pylist()}
    exact = [m for m in ShardIndex(shards, *tiny).search("a cat", k=COUNT) if kinds[m.path.name] == "noise"]
    for _ in range(2):
        found = index.search("a cat", k=10, where="kind = 'noise'", lists=100, refine=50)
        assert [match.path for match in found] == [match.path for match in exact[:10]]
        index.build(partitions=4)


def test_with_an_index_it_finds_nearly_the_same(shards, index, tiny):
    index.update(shards)
    index.build(partitions=8)
    expected = {match.path for match in ShardIndex(shards, *tiny).search("a dog", k=10)}
    assert len({match.path for match in index.search("a dog", k=10)} & expected) >= 8
    assert {match.path for match in index.search("a dog", k=10, lists=8, refine=60)} == expected


def test_rows_that_come_later_are_added_and_a_second_update_adds_nothing(shards, index, tmp_path, tiny):
    for file in sorted(shards.glob("*.parquet"))[:3]:
        (tmp_path / "shards").mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / "shards")
    assert index.update(tmp_path / "shards") == 299
    index.build(partitions=4)
    for file in sorted(shards.glob("*.parquet"))[3:]:
        shutil.copy(file, tmp_path / "shards")
    assert index.update(tmp_path / "shards") == COUNT - 299
    assert index.update(tmp_path / "shards") == 0
    assert index.update(shards) == COUNT  # other files with the same ids
    assert index.table.count_rows() == COUNT
    index.optimize()
    assert index.table.index_stats("features_idx").num_unindexed_rows == 0
    expected = [match.path for match in ShardIndex(shards, *tiny).search("a cat", k=10)]
    assert [match.path for match in index.search("a cat", k=10, lists=4, refine=60)] == expected


READ = """
import sys, helpers
from helpers.shards.lance import LanceIndex
index = LanceIndex(sys.argv[1], *helpers.load(), folder="/")
for line in sys.stdin:
    print(len(index.search("a cat", k=1000)), flush=True)
"""


def test_another_process_reads_while_this_one_writes(shards, index, tmp_path):
    files = sorted(shards.glob("*.parquet"))
    (tmp_path / "shards").mkdir()
    shutil.copy(files[0], tmp_path / "shards")
    index.update(tmp_path / "shards")
    reader = subprocess.Popen(
        [sys.executable, "-c", READ, tmp_path / "db"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = []
    for file in [None, *files[1:4]]:
        if file:
            shutil.copy(file, tmp_path / "shards")
            index.update(tmp_path / "shards")
        reader.stdin.write("now\n")
        reader.stdin.flush()
        seen.append(int(reader.stdout.readline()))
    reader.stdin.close()
    assert reader.wait() == 0
    assert seen == [99, 199, 299, 399]


def test_another_model_is_refused(shards, index, random_vit, tiny, tmp_path):
    with pytest.raises(ValueError, match=r"has no images: call update\(\) with a folder of shards"):
        index.search("a cat")
    index.update(shards)
    with pytest.raises(ValueError, match=r"db has features of another model .*\(23dbeb75, float32, reduced\)"):
        LanceIndex(tmp_path / "db", random_vit, tiny[1])
    with pytest.raises(ValueError, match=r"000000.parquet has features of another model"):
        LanceIndex(tmp_path / "db2", random_vit, tiny[1]).update(shards)
