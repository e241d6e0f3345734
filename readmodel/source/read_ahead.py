"""Reading the next result while the last one is decoded."""

from collections.abc import Callable, Generator, Iterator
from typing import Final

from readmodel.source.protocol import PassingFault

LEAVE_SECONDS: Final = 5.0
"""How long to wait for a result that is no longer wanted."""


def read_ahead[T](results: Iterator[T], interrupt: Callable[[], None]) -> Generator[T]:
    """Yield all of *results*, each of which a thread computes while the one before is used.

    Only that thread touches *results*. Closing this waits for the result that is being
    computed, and raises PassingFault if that takes too long. *interrupt* makes the
    thread fail at once; it is called then, and when another exception arrives while a
    result is awaited, such as a request to stop. So no thread uses what it read from
    afterwards: a descriptor that is closed under it may be another file's by the time
    that it reads.
    """
    from multiprocessing.pool import ThreadPool  # most syncs do not need it

    # Its thread is a daemon, which does not keep the process alive.
    pool = ThreadPool(1)
    following = pool.apply_async(_next, (results,))
    try:
        while found := following.get():
            following = pool.apply_async(_next, (results,))
            yield from found
    except GeneratorExit:
        following.wait(LEAVE_SECONDS)
        if not following.ready():
            raise PassingFault("the database has not answered in time") from None
        raise
    finally:
        if not following.ready():
            interrupt()
            following.wait(LEAVE_SECONDS)
        pool.close()


def _next[T](results: Iterator[T]) -> list[T]:
    """The next result; none at the end: a thread cannot hand over StopIteration."""
    for result in results:
        return [result]
    return []
