"""Reading the next results while the last one is used."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from threading import Lock
from typing import Final

from readmodel.source.protocol import PassingFault

LEAVE_SECONDS: Final = 5.0
"""How long to wait for a result that is no longer wanted."""

AHEAD: Final = 16
"""At most so many results wait to be used: as many rows as the server can join while a
part is written."""

AHEAD_BYTES: Final = 12 * 2**20
"""About how large they are together, judged by the last one; one waits in any case."""


def _unknown(_: object) -> int:
    return AHEAD_BYTES


def read_ahead[T](
    results: Iterator[T],
    interrupt: Callable[[], None],
    size: Callable[[T], int] = _unknown,
) -> Generator[T]:
    """Yield all of *results*, which a thread computes while those before are used.

    *size* is that of a result in bytes; of small results, several are computed ahead.

    Only that thread touches *results*. Closing this waits for the result that is being
    computed, and raises PassingFault if that takes too long. *interrupt* makes the
    thread fail at once; it is called then, and when another exception arrives while a
    result is awaited, such as a request to stop. So no thread uses what it read from
    afterwards: a descriptor that is closed under it may be another file's by the time
    that it reads.
    """
    from multiprocessing.pool import ThreadPool  # most syncs do not need it

    work = _Work(results)
    # Its thread is a daemon, which does not keep the process alive.
    pool = ThreadPool(1)
    awaited = deque([pool.apply_async(work.next)])
    try:
        while found := awaited.popleft().get():
            for _ in range(_vacant(size(found[0]), len(awaited))):
                awaited.append(pool.apply_async(work.next))
            yield from found
    except GeneratorExit:
        if not work.leave(LEAVE_SECONDS):
            raise PassingFault("the database has not answered in time") from None
        raise
    finally:
        if not work.leave(0):
            interrupt()
            work.leave(LEAVE_SECONDS)
        pool.close()


class _Work[T]:
    """The results that a thread computes, until they end or nobody wants more."""

    def __init__(self, results: Iterator[T]) -> None:
        self._results = results
        self._has_ended = False
        self._is_left = False
        self._computing = Lock()

    def next(self) -> list[T]:
        """The next result; none at the end: a thread cannot hand over StopIteration."""
        with self._computing:
            return [] if self._is_left else self._next()

    def _next(self) -> list[T]:
        has_ended = True
        try:
            for result in self._results:
                has_ended = False
                return [result]
            return []
        finally:
            self._has_ended = has_ended

    def leave(self, seconds: float) -> bool:
        """Compute no more; False if one is still computed after *seconds*."""
        self._is_left = True
        if not self._has_ended:
            if not self._computing.acquire(timeout=seconds):
                return False
            self._has_ended = True
            self._computing.release()
        return True


def _vacant(size: int, awaited: int) -> int:
    """How many more results of this *size* may be computed, beside those *awaited*."""
    fitting = min(AHEAD, max(1, AHEAD_BYTES // max(1, size)))
    return max(0, fitting - awaited)
