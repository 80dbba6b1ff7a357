"""Work is shared out among threads, and its results come in order."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from helpers.threads import batches, in_threads, share_out


def test_results_come_in_order_from_threads_with_one_thread_of_torch_each():
    used = set()

    def work(piece):
        used.add((threading.current_thread().name, torch.get_num_threads()))
        return sum(piece)

    before = torch.get_num_threads()
    assert list(in_threads(work, ([i, i] for i in range(50)))) == [2 * i for i in range(50)]
    assert {threads for _, threads in used} == {1}
    assert threading.current_thread().name not in {name for name, _ in used}
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before


def test_a_lonely_piece_has_all_threads_and_none_is_nothing():
    def work(piece):
        return threading.current_thread(), torch.get_num_threads()

    assert list(in_threads(work, [[1]])) == [(threading.current_thread(), torch.get_num_threads())]
    assert list(in_threads(work, [])) == []


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda piece: 1 / piece[0], [[1], [0], [2]]))


def test_a_batch_is_shared_out_evenly(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for n in (0, 1, 2, 3, 7, 9, 64):
        pieces = share_out(list(range(n)))
        assert [item for piece in pieces for item in piece] == list(range(n))
        assert len(pieces) <= 3
        assert max(map(len, pieces), default=0) == -(-n // 3)


def test_the_last_batch_may_be_shorter():
    assert list(batches("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
