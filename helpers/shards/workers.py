"""Processes that do numbered pieces of work. One may die, and no work with it."""

import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any, Generic, NamedTuple, TypeVar

Result = TypeVar("Result")
Work = Callable[[int], Result]

ATTEMPTS = 3  # so many workers may die of a piece, or before they are ready


class Team(Generic[Result]):
    """Processes of their own, which end when this one does, however it ends.

    A piece whose worker dies goes to another one, after all others.
    """

    def __init__(self, start: Callable[[int], Work[Result]], size: int) -> None:
        """Start nothing yet.

        Args:
            start: called once in each process, with a number from 0 to ``size`` - 1 that no other living one has. It
                gives the function that does a piece. Both are picklable.
            size: how many processes at most.
        """
        self._start, self._size = start, size
        self._workers: list[_Worker] = []
        self._deaths: Counter[int] = Counter()
        self._stillborn = 0

    def work(self, pieces: Iterable[int]) -> Iterator[tuple[int, Result | None]]:
        """Do pieces of work.

        Yields:
            The number of a piece and what the function gave for it, in the order in which they are done; None in its
            stead, if three workers died of it.

        Raises:
            RuntimeError: three workers died before they were ready.
            Exception: what ``start`` or the function raised.
        """
        waiting = deque(pieces)
        try:
            while waiting or any(worker.piece is not None for worker in self._workers):
                self._give_out(waiting)
                for worker in self._wait():
                    piece, answer = worker.piece, worker.answer()
                    if answer is None:
                        self._bury(worker)
                    elif answer.error:
                        raise answer.error
                    if piece is None:
                        continue
                    if answer:
                        yield piece, answer.result
                    elif self._deaths[piece] < ATTEMPTS:
                        waiting.append(piece)
                    else:
                        yield piece, None
        finally:
            for worker in self._workers:
                worker.end()

    def _give_out(self, waiting: deque[int]) -> None:
        taken = {worker.place for worker in self._workers}
        busy = sum(worker.piece is not None for worker in self._workers)
        for place in range(min(self._size, busy + len(waiting))):
            if place not in taken:
                self._workers.append(_Worker(self._start, place))
        for worker in self._workers:
            if worker.ready and worker.piece is None and waiting:
                worker.give(waiting.popleft())

    def _wait(self) -> list["_Worker"]:
        expected = {worker.pipe: worker for worker in self._workers if worker.piece is not None or not worker.ready}
        return [expected[pipe] for pipe in wait(list(expected)) if isinstance(pipe, Connection)]

    def _bury(self, worker: "_Worker") -> None:
        """Take a dead worker out, and count what it died of."""
        worker.end()
        self._workers.remove(worker)
        if worker.piece is not None:
            self._deaths[worker.piece] += 1
        elif not worker.ready:
            self._stillborn += 1
        if self._stillborn == ATTEMPTS:
            raise RuntimeError(
                f"{ATTEMPTS} workers died before they were ready, the last with exit code {worker.process.exitcode}: a "
                "script must start the work below `if __name__ == '__main__':`; and if that many models take more "
                "memory than there is, use fewer workers"
            )


class _Answer(NamedTuple):
    """What a worker says: that it is ready, that a piece is done, or what went wrong."""

    result: Any = None
    error: Exception | None = None


class _Worker:
    """A process, our end of the pipe to it, and the piece that it is at."""

    def __init__(self, start: Callable[[int], Work], place: int) -> None:
        context: Any = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
        context.set_forkserver_preload(["helpers"])
        self.place, self.ready = place, False
        self.piece: int | None = None
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, start, place), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends when the process does

    def give(self, piece: int) -> None:
        self.piece = piece
        with suppress(OSError):  # it has died: the pipe will tell
            self.pipe.send(piece)

    def answer(self) -> "_Answer | None":
        """Take what came through the pipe; None if that is its end."""
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError):
            return None
        self.ready, self.piece = True, None
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, start: Callable[[int], Work], place: int) -> None:
    """Be a worker: say when it is ready, then answer each number with its result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gives the work
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        work = start(place)
        pipe.send(_Answer())
        while True:
            piece = pipe.recv()
            pipe.send(_Answer(work(piece)))
    except Exception as error:
        pipe.send(_Answer(error=error))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent:
        parent.join()
    os._exit(1)
