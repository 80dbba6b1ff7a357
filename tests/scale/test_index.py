"""Shards are searched as the folder of their images is."""

import csv
import shutil

import pytest

import helpers
from helpers.shards import ShardIndex, encode_manifest
from tests.conftest import IMAGES


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """The drawings, one of them missing, in shards of five."""
    folder = tmp_path_factory.mktemp("images")
    names = sorted(path.name for path in IMAGES.glob("*.png"))
    for name in names:
        shutil.copy(IMAGES / name, folder / name)
    with (folder / "manifest.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([["id", "path"], *enumerate([*names[:3], "gone.png", *names[3:]])])
    encode_manifest(folder / "manifest.csv", folder / "shards", shard_size=5, workers=1)
    return folder / "shards"


@pytest.mark.parametrize(
    "question", [{"text": "a cat"}, {"image": IMAGES / "dog.png"}, {"text": "a star", "above": 0.2}]
)
def test_shards_give_what_the_index_of_their_folder_gives(shards, tiny, question, tmp_path):
    index = helpers.FolderIndex(shards.parent, *tiny, index_folder=tmp_path)
    index.update()
    expected = index.search(**question, k=7)
    found = ShardIndex(shards, *tiny).search(**question, k=7)
    assert [match.path for match in found] == [match.path for match in expected]
    assert [match.score for match in found] == pytest.approx([match.score for match in expected], abs=1e-5)


def test_shards_that_come_later_are_found(shards, tiny, tmp_path):
    files = sorted(shards.glob("*.parquet"))
    shutil.copy(files[0], tmp_path)
    index = ShardIndex(tmp_path, *tiny, folder=shards.parent)
    assert len(index.search("a cat", k=100)) == 4
    for file in files[1:]:
        shutil.copy(file, tmp_path)
    assert index.search("a cat", k=100) == ShardIndex(shards, *tiny).search("a cat", k=100)
    (tmp_path / files[1].name).unlink()
    assert len(index.search("a cat", k=100)) == len(ShardIndex(shards, *tiny).search("a cat", k=100)) - 5


def test_a_damaged_shard_is_told(shards, tiny, tmp_path):
    for file in shards.glob("*.parquet"):
        shutil.copy(file, tmp_path)
    content = bytearray((tmp_path / "000001.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "000001.parquet").write_bytes(content)
    with pytest.raises(
        ValueError, match="000001.parquet is damaged: .*: delete the file, and encode the manifest again"
    ):
        ShardIndex(tmp_path, *tiny).search("a cat")


def test_another_model_is_refused(shards, tiny, random_vit, tmp_path):
    with pytest.raises(
        ValueError, match=r"000000.parquet has features of another model .*\(23dbeb75, float32, reduced\)"
    ):
        ShardIndex(shards, random_vit, tiny[1])
    with pytest.raises(ValueError, match="no such folder: .*nowhere"):
        ShardIndex(tmp_path / "nowhere", *tiny)
    with pytest.raises(ValueError, match="no image of .* is in the index: encode a manifest first"):
        ShardIndex(tmp_path, *tiny).search("a cat")
