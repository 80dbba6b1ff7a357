"""Ray makes the same shards, though its processes and the command are killed. It needs Ray, and a minute."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from helpers.shards.on_ray import on_ray
from tests.conftest import ROOT
from tests.scale.test_kills import files_of, noise  # noqa: F401

COMMAND = [sys.executable, "-m", "helpers", "encode"]


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


def start(manifest, out):
    return subprocess.Popen([*COMMAND, manifest, out, "--shard-size", "8", "--workers", "2", "--ray"], cwd=ROOT)


def wait_for_files(out, count, process):
    while len(list(out.glob("*.parquet"))) < count:
        assert process.poll() is None
        time.sleep(0.005)


def test_a_ray_that_does_not_start_is_told(monkeypatch):
    def fail(**_):
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr("ray.init", fail)
    told = "^Expected Ray to start, or its cluster to answer; got: The current node timed out during startup. Look at"
    with pytest.raises(RuntimeError, match=told), on_ray(torch.device("cpu")):
        pass


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_is_gone_is_told_at_once(monkeypatch, scheme):
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("waits for minutes"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"{scheme}127.0.0.1:{port}")
    with (
        pytest.raises(RuntimeError, match=r"got: Connection refused\. Look at RAY_ADDRESS"),
        on_ray(torch.device("cpu")),
    ):
        pass


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_no_shard_is_lost_by_the_death_of_a_task_and_of_the_command(noise, tmp_path):  # noqa: F811
    command = start(noise[0], tmp_path)
    wait_for_files(tmp_path, 2, command)
    while not (tasks := [pid for pid, name in below(command.pid).items() if name.startswith("ray::encode_shard")]):
        assert command.poll() is None
    for pid in tasks:
        os.kill(pid, 9)
    wait_for_files(tmp_path, 4, command)  # Ray starts the tasks again
    children = below(command.pid)
    command.kill()
    command.wait()
    for pid in children:  # Ray's own processes outlive a command that was killed
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
    assert len(list(tmp_path.glob("*.parquet"))) < 12
    assert start(noise[0], tmp_path).wait() == 0
    assert files_of(tmp_path) == noise[1]
    assert not list(tmp_path.glob(".*.part"))
