"""Divide work among threads, in pieces."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

import torch

from helpers._validation import whole

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_threads(function: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """Call ``function`` on every piece of work, in as many threads as torch uses, and yield the results in order.

    Each thread has a single thread of torch, because threads that share one forward pass wait for each other at every
    layer, whereas threads with a piece each do not. A piece that is alone gets all threads of torch.

    While it runs, any other thread that starts gets a single thread of torch as well. So call it from one thread at a
    time.

    Args:
        function: safe to call in several threads.
        pieces: any iterable, read in the caller's thread, at most two pieces further than there are threads.

    Yields:
        What ``function`` returns for each piece; what it raises is raised in its place.
    """
    pieces = iter(pieces)
    first = list(islice(pieces, 2))
    if len(first) < 2:
        yield from map(function, first)
        return
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for piece in chain(first, pieces):
                waiting.append(pool.submit(function, piece))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            torch.set_num_threads(threads)  # what threads that start later will have


def batches(items: Iterable[Piece], size: int) -> Iterator[list[Piece]]:
    """Cut items into batches of ``size``; the last one may be shorter.

    Raises:
        TypeError: ``size`` is not an integer.
        ValueError: ``size`` is less than 1.
    """
    size, items = whole("batch_size", size), iter(items)
    while batch := list(islice(items, size)):
        yield batch


def in_shares(function: Callable[[list[Piece]], list[Result]], groups: Iterable[list[Piece]]) -> Iterator[list[Result]]:
    """Share each batch out among the threads, and yield its results in order while the threads continue with the next.

    Args:
        function: takes a share of a batch and returns one result for each of its items.
        groups: batches, read a batch or two ahead.

    Yields:
        For each batch, the results of its items.
    """

    def work(piece: tuple[list[Piece], bool]) -> tuple[list[Result], bool]:
        return function(piece[0]), piece[1]

    shares = map(share_out, groups)
    pieces = ((piece, piece is batch[-1]) for batch in shares for piece in batch)
    done: list[Result] = []
    for results, is_last in in_threads(work, pieces):
        done += results
        if is_last:
            yield done
            done = []


def share_out(batch: list[Piece]) -> list[list[Piece]]:
    """Cut a batch into even pieces, one for each thread of torch; an empty batch is one empty piece."""
    size = max(1, -(-len(batch) // torch.get_num_threads()))
    return [batch[start : start + size] for start in range(0, len(batch), size)] or [batch]
