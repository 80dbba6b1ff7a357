"""Pieces of work are done though workers die, and workers end with the process that gives the work."""

import multiprocessing
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from helpers.shards.workers import ATTEMPTS, Team


def start(folder, place):
    """Become a worker that notes each piece it begins; it dies of 13 always, of 7 once, and fails at 99."""

    def work(piece):
        begun = folder / f"{piece}-{os.getpid()}"
        times = len(list(folder.glob(f"{piece}-*")))
        begun.touch()
        if piece == 13 or (piece == 7 and not times):
            os._exit(9)
        if piece == 99:
            raise ValueError("piece 99 is wrong")
        return piece * piece, place

    return work


def die(_place):
    os._exit(3)


def sleep(folder, _place):
    (folder / str(os.getpid())).touch()
    return time.sleep


def begun(folder, piece):
    return len(list(folder.glob(f"{piece}-*")))


def test_every_piece_is_done_once_by_workers_with_places(tmp_path):
    found = dict(Team(partial(start, tmp_path), 2).work(range(12)))
    assert {piece: result[0] for piece, result in found.items()} == {i: i * i for i in range(12)}
    assert {result[1] for result in found.values()} <= {0, 1}
    assert begun(tmp_path, 3) == 1


def test_a_piece_whose_worker_dies_goes_to_another_one(tmp_path):
    assert dict(Team(partial(start, tmp_path), 1).work([7, 1]))[7] == (49, 0)
    assert begun(tmp_path, 7) == 2


def test_a_piece_that_kills_three_workers_is_given_up_and_the_others_are_done(tmp_path):
    found = list(Team(partial(start, tmp_path), 2).work([1, 13, 2, 3]))
    assert dict(found)[13] is None
    assert found[-1][0] == 13  # the others come first
    assert {piece for piece, result in found if result} == {1, 2, 3}
    assert begun(tmp_path, 13) == ATTEMPTS


def test_what_a_worker_raises_is_raised(tmp_path):
    with pytest.raises(ValueError, match="^piece 99 is wrong$"):
        list(Team(partial(start, tmp_path), 2).work([1, 99]))
    assert not multiprocessing.active_children()


def test_workers_that_die_before_they_are_ready_end_the_work():
    with pytest.raises(
        RuntimeError, match="^3 workers died before they were ready, the last with exit code 3: a script must"
    ):
        list(Team(die, 1).work(range(5)))


def test_no_work_starts_no_process(monkeypatch):
    monkeypatch.setattr("helpers.shards.workers._Worker", None)
    assert list(Team(die, 2).work([])) == []


GIVE_WORK = """
import sys; from functools import partial; from pathlib import Path
from helpers.shards.workers import Team
from tests.scale.test_workers import sleep
if __name__ == "__main__":
    list(Team(partial(sleep, Path(sys.argv[1])), 2).work([100, 100]))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_workers_end_when_the_process_that_gives_the_work_is_killed(tmp_path):
    (tmp_path / "pids").mkdir()
    giver = subprocess.Popen([sys.executable, "-c", GIVE_WORK, tmp_path / "pids"])
    deadline = time.monotonic() + 60
    while len(pids := [int(file.name) for file in (tmp_path / "pids").iterdir()]) < 2:
        assert giver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    giver.kill()
    giver.wait()
    while any(map(_runs, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
