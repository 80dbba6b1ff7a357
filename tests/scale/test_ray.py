"""Ray encodes what a kill left over, once. Run by ``make test-scale``: it needs Ray, and a minute."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
import ray
import yaml
from PIL import Image
from pyarrow import parquet

import helpers
from cluster.encode import write_blocks
from helpers.shards import ShardIndex
from tests.conftest import ROOT

COUNT, BLOCK = 240, 4


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for i in range(COUNT):
        Image.fromarray(generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    rows = [[f"n{i}", f"{i}.png"] for i in range(COUNT)]
    write(folder / "manifest.csv", [*rows, ["n7", "7.png"], ["gone", "gone.png"]])
    return folder / "manifest.csv"


def write(file, rows):
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([["id", "path"], *rows])


def start(manifest, out):
    command = [sys.executable, "-m", "cluster.encode", manifest, out, "--block", str(BLOCK), "--actors", "1", "1"]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "RAY_DATA_DISABLE_PROGRESS_BARS": "1"})


def below(pid):
    """All processes that this one started, and theirs: ``{pid: command}``."""
    parents, commands = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return {child: commands[child] for child in found - {pid}}


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_files(out, count, process):
    deadline = time.monotonic() + 120
    while len(list(out.glob("*.parquet"))) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_row_is_lost_or_doubled_by_the_death_of_an_actor_and_of_the_driver(manifest, tmp_path, tiny):
    driver = start(manifest, tmp_path)
    wait_for_files(tmp_path, 3, driver)
    (actor,) = [
        pid
        for pid, command in below(driver.pid).items()
        if command.startswith("ray::") and "MapBatches(Encoder)" in command
    ]
    os.kill(actor, 9)
    wait_for_files(tmp_path, 8, driver)
    children = below(driver.pid)
    driver.kill()
    driver.wait()
    for pid in filter(runs, children):  # Ray's agents outlive a driver that was killed
        os.kill(pid, 9)
    there = len(list(tmp_path.glob("*.parquet")))
    assert there < COUNT // BLOCK
    assert start(manifest, tmp_path).wait(200) == 0
    table = pa.concat_tables(parquet.read_table(file, partitioning=None) for file in tmp_path.glob("*.parquet"))
    table = table.sort_by("row")
    assert table["row"].to_pylist() == list(range(COUNT + 2))
    assert table["error"].to_pylist()[COUNT:] == [
        "the id n7 stands in row 8 already",
        "gone.png can't be opened: No such file or directory",
    ]
    expected = helpers.encode_images(*tiny, [manifest.parent / f"{i}.png" for i in range(COUNT)])
    assert np.abs(np.array(table["features"].to_pylist())[:COUNT] - expected).max() < 1e-5
    found = ShardIndex(tmp_path, *tiny, folder=manifest.parent).search(image=manifest.parent / "5.png", k=1)
    assert found[0].path == manifest.parent / "5.png"
    before = set(tmp_path.glob("*.parquet"))
    assert start(manifest, tmp_path).wait(200) == 0  # nothing is left to do
    assert set(tmp_path.glob("*.parquet")) == before


def test_other_rows_are_refused(manifest, tmp_path):
    rows = [[i, f"{i}.png"] for i in range(10)]
    write(tmp_path / "m.csv", rows)
    assert write_blocks(tmp_path / "m.csv", tmp_path, 4) == 3
    write(tmp_path / "m.csv", [*rows, [10, "10.png"], [11, "11.png"], [12, "12.png"]])
    assert write_blocks(tmp_path / "m.csv", tmp_path, 4) == 4
    for other, message in {"other": [*rows[1:], rows[0]], "more": rows[:8]}.items():
        write(tmp_path / "m.csv", message)
        with pytest.raises(ValueError, match=f"holds {other} rows than .*m.csv: give another folder"):
            write_blocks(tmp_path / "m.csv", tmp_path, 4)


def test_ray_understands_the_example_of_a_cluster():
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(yaml.safe_load((ROOT / "cluster" / "autoscaling.yaml").read_text()), schema)
