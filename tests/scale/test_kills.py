"""Whatever is killed, the next run finishes what is missing, and the shards are the same bytes."""

import csv
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.shards import encode_manifest
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Images enough to kill in the middle: the manifest, and the bytes of its shards by one worker."""
    folder = tmp_path_factory.mktemp("many")
    generator = np.random.default_rng(0)
    for i in range(96):
        Image.fromarray(generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    manifest = write(folder / "manifest.csv", [["id", "path"], *([i, f"{i}.png"] for i in range(96))])
    assert encode_manifest(manifest, folder / "whole", shard_size=8, workers=1) == (96, 0, 0)
    return manifest, files_of(folder / "whole")


def write(file, rows):
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows(rows)
    return file


def files_of(out):
    return {file.name: file.read_bytes() for file in sorted(out.glob("*.parquet"))}


def test_two_workers_and_two_parts_write_the_same_bytes(noise, tmp_path):
    for part in ((1, 2), (2, 2)):
        assert encode_manifest(noise[0], tmp_path, shard_size=8, workers=2, part=part) == (48, 0, 0)
    assert files_of(tmp_path) == noise[1]


def test_a_killed_worker_ends_it_and_the_next_run_finishes(noise, tmp_path):
    """Killed at the same shard twice: the second time its rows are named."""

    def kill():
        before = set(tmp_path.glob(".000005-*.part"))
        while set(tmp_path.glob(".000005-*.part")) <= before:
            time.sleep(0.001)
        for worker in multiprocessing.active_children():
            worker.kill()

    for message in ("Run the same command again to resume", "ended at the same rows: 41 to 48"):
        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(RuntimeError, match=message):
            encode_manifest(noise[0], tmp_path, shard_size=8, workers=1)
        thread.join()
        assert not (tmp_path / "000005.parquet").exists()
    assert encode_manifest(noise[0], tmp_path, shard_size=8, workers=1) == (96, 40, 0)
    assert files_of(tmp_path) == noise[1]
    assert not list(tmp_path.glob(".*.part"))


def start(noise, out, **options):
    command = [sys.executable, "-m", "helpers", "encode", noise[0], out, "--shard-size", "8", "--workers", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)
    while len(list(out.glob("*.parquet"))) < 4 and process.poll() is None:
        time.sleep(0.002)
    return process


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_a_killed_command_takes_its_workers_along_and_the_next_one_finishes(noise, tmp_path):
    process = start(noise, tmp_path)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    while any(map(_runs, workers)):
        time.sleep(0.01)
    there = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.parquet")}
    assert 4 <= len(there) < 12
    assert encode_manifest(noise[0], tmp_path, shard_size=8, workers=2) == (96, 8 * len(there), 0)
    assert {file: file.stat().st_mtime_ns for file in there} == there
    assert files_of(tmp_path) == noise[1]
    assert not list(tmp_path.glob(".*.part"))


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform == "win32", reason="sends the signal of Ctrl-C to a group of processes")
def test_ctrl_c_stops_it_in_one_line_and_leaves_nothing_half(noise, tmp_path):
    rows = [[f"{i}-{turn}", noise[0].parent / f"{i}.png"] for turn in range(20) for i in range(96)]  # seconds of work
    manifest = write(tmp_path / "manifest.csv", [["id", "path"], *rows])
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a job of a shell script ignores it
    process = start([manifest], tmp_path / "out", start_new_session=True, preexec_fn=heard)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert said.endswith("Interrupted. Run the same command to resume.\n")
    assert "Traceback" not in said
    assert 4 <= len(list((tmp_path / "out").glob("*.parquet"))) < 240
    assert not list((tmp_path / "out").glob(".*.part"))


def test_what_a_worker_meets_is_told(noise, tmp_path):
    with pytest.raises(ValueError, match="tyni"):
        encode_manifest(noise[0], tmp_path, model="tyni", workers=1)


def test_an_empty_manifest_makes_no_shard(tmp_path):
    assert encode_manifest(write(tmp_path / "m.csv", [["id", "path"]]), tmp_path / "out", workers=1) == (0, 0, 0)
