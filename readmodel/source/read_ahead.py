"""Reading the next results while the last one is used."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Final

from readmodel.source.protocol import PassingFault

if TYPE_CHECKING:
    from multiprocessing.pool import ApplyResult, ThreadPool

LEAVE_SECONDS: Final = 5.0
"""How long to wait for a result that is no longer wanted."""

AHEAD: Final = 16
"""At most so many results wait to be used."""

AHEAD_BYTES: Final = 16 * 2**20
"""About how large they are together, judged by the last one; one waits in any case."""


def _unknown(_: object) -> int:
    return AHEAD_BYTES


class ReadAhead[T]:
    """Iterates once over *results*, which a thread computes while those before are used.

    *size* is that of a result in bytes; of small results, several are computed ahead.

    Only that thread touches *results*. Closing the iterator waits for the result that is
    being computed, and raises PassingFault if that takes too long. *interrupt* makes the
    thread fail at once; it is called then, and when another exception arrives while a
    result is awaited, such as a request to stop. So no thread uses what it read from
    afterwards: a descriptor that is closed under it may be another file's by the time
    that it reads.
    """

    def __init__(
        self,
        results: Iterator[T],
        interrupt: Callable[[], None],
        size: Callable[[T], int] = _unknown,
    ) -> None:
        self._work = _Work(results)
        self._interrupt = interrupt
        self._size = size
        self._pool: ThreadPool

    def __iter__(self) -> Generator[T]:
        """Yield all results, in order."""
        from multiprocessing.pool import ThreadPool  # most syncs do not need it

        # Its thread is a daemon, which does not keep the process alive.
        self._pool = ThreadPool(1)
        awaited = deque([self._next()])
        try:
            while found := awaited.popleft().get():
                for _ in range(_vacant(self._size(found[0]), len(awaited))):
                    awaited.append(self._next())
                yield from found
        except GeneratorExit:
            if not self._work.leave(LEAVE_SECONDS):
                raise PassingFault("the database has not answered in time") from None
            raise
        finally:
            self.leave()
            self._pool.close()

    def _next(self) -> "ApplyResult[list[T]]":
        return self._pool.apply_async(self._work.next)

    def compute[U](self, job: Callable[[], U]) -> U:
        """Compute *job* between two results, in the thread, while the iterator waits.

        So it may use what they are read from. An exception interrupts it like them.
        """
        self._work.has_job = True
        answer: ApplyResult[U] = self._pool.apply_async(self._work.run, [job])
        try:
            return answer.get()
        finally:
            if answer.ready():
                self._work.has_job = False
            else:
                self.leave()

    def leave(self) -> None:
        """Interrupt the thread if it is computing, and wait for its end."""
        if not self._work.leave(0):
            self._interrupt()
            self._work.leave(LEAVE_SECONDS)


class _Work[T]:
    """What a thread computes: results until they end, and jobs, while they are wanted."""

    def __init__(self, results: Iterator[T]) -> None:
        self._results = results
        self._has_ended = False
        self._is_left = False
        self._computing = Lock()
        self.has_job = False
        """Set by whoever awaits a job."""

    def next(self) -> list[T]:
        """The next result; none at the end: a thread cannot hand over StopIteration."""
        with self._computing:
            return [] if self._is_left or self._has_ended else self._next()

    def _next(self) -> list[T]:
        has_ended = True
        try:
            for result in self._results:
                has_ended = False
                return [result]
            return []
        finally:
            self._has_ended = has_ended

    def run[U](self, job: Callable[[], U]) -> U:
        """Compute *job*. Raises PassingFault if it is no longer wanted."""
        with self._computing:
            if self._is_left:
                raise PassingFault("the connection is no longer used")
            return job()

    def leave(self, seconds: float) -> bool:
        """Compute no more; False if something is still computed after *seconds*."""
        self._is_left = True
        if self.has_job or not self._has_ended:
            if not self._computing.acquire(timeout=seconds):
                return False
            self._has_ended = True
            self.has_job = False
            self._computing.release()
        return True


def _vacant(size: int, awaited: int) -> int:
    """How many more results of this *size* may be computed, beside those *awaited*."""
    fitting = min(AHEAD, max(1, AHEAD_BYTES // max(1, size)))
    return max(0, fitting - awaited)
