"""Reading the next result while the last one is decoded."""

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait


def read_ahead[T](results: Iterator[T]) -> Generator[T]:
    """Yield all of *results*, each of which a thread computes while the one before is used.

    Only that thread touches *results*. Closing this waits for the result that is being
    computed; an exception that arrives while a result is awaited, such as a request to
    stop, does not.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    following: Future[list[T]] = pool.submit(_next, results)
    try:
        while found := following.result():
            following = pool.submit(_next, results)
            yield from found
    except GeneratorExit:
        wait([following])
        raise
    finally:
        pool.shutdown(wait=False)


def _next[T](results: Iterator[T]) -> list[T]:
    """The next result; none at the end: a future cannot raise StopIteration."""
    for result in results:
        return [result]
    return []
