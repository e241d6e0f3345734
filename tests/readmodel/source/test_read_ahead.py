"""One thread computes the next result while the last one is used."""

from collections.abc import Callable, Generator, Iterator
from queue import Empty, Queue
from threading import Event, Timer, current_thread
from typing import Any

import pytest

from readmodel.source.protocol import PassingFault
from readmodel.source.read_ahead import ReadAhead
from util.errors import SourceError, Stopped


def read_ahead[T](results: Iterator[T], *arguments: Callable[..., Any]) -> Generator[T]:
    """Iterate over *results*."""
    return iter(ReadAhead(results, *arguments))


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_all_results_come_in_order(count: int) -> None:
    """None is lost at the end."""
    assert list(read_ahead(iter(range(count)), pytest.fail)) == list(range(count))


def test_the_next_result_is_computed_while_the_last_one_is_used() -> None:
    """By another thread, and no more than one."""
    second, threads = Event(), set()

    def results() -> Iterator[int]:
        for number in range(4):
            threads.add(current_thread().name)
            if number == 1:
                second.set()
            yield number

    found = read_ahead(results(), pytest.fail)
    assert next(found) == 0
    assert second.wait(10)
    assert list(found) == [1, 2, 3]
    assert len(threads) == 1
    assert current_thread().name not in threads


def test_an_error_comes_where_its_result_would() -> None:
    """What was read before it is not lost."""

    def results() -> Iterator[int]:
        yield 1
        raise SourceError("gone")

    found = read_ahead(results(), pytest.fail)
    assert next(found) == 1
    with pytest.raises(SourceError, match="gone"):
        next(found)


def test_closing_it_waits_for_the_result_that_is_computed() -> None:
    """Then nobody uses what the results are computed with, such as a connection."""
    begun, may_end, ended = Event(), Event(), Event()

    def results() -> Iterator[int]:
        yield 1
        begun.set()
        may_end.wait(10)
        ended.set()
        yield 2

    found = read_ahead(results(), pytest.fail)
    assert next(found) == 1
    assert begun.wait(10)
    may_end.set()
    found.close()
    assert ended.is_set()


def test_a_result_that_does_not_come_is_a_passing_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread is interrupted, so that nobody uses the same connection then."""
    monkeypatch.setattr("readmodel.source.read_ahead.LEAVE_SECONDS", 0.05)
    begun, interrupted, ended = Event(), Event(), Event()

    def results() -> Iterator[int]:
        yield 1
        begun.set()
        interrupted.wait(10)
        ended.set()

    found = read_ahead(results(), interrupted.set)
    assert next(found) == 1
    assert begun.wait(10)
    with pytest.raises(PassingFault, match="has not answered"):
        found.close()
    assert ended.wait(10)


def test_an_exception_interrupts_the_thread_and_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever awaited a result may close what it is read from."""
    begun, interrupted, ended = Event(), Event(), Event()

    def results() -> Iterator[int]:
        begun.set()
        interrupted.wait(10)
        ended.set()
        raise SourceError("interrupted")
        yield 1

    def stop(*_: object) -> None:
        begun.wait(10)
        raise Stopped("Stopped by SIGTERM")

    monkeypatch.setattr("multiprocessing.pool.ApplyResult.get", stop)
    with pytest.raises(Stopped):
        next(read_ahead(results(), interrupted.set))
    assert ended.is_set()


@pytest.mark.parametrize(("size", "ahead"), [(1, 3), (40, 2), (50, 1), (1000, 1)])
def test_as_many_small_results_are_computed_ahead_as_fit(
    monkeypatch: pytest.MonkeyPatch, size: int, ahead: int
) -> None:
    """Until they are used, no more are."""
    monkeypatch.setattr("readmodel.source.read_ahead.AHEAD", 3)
    monkeypatch.setattr("readmodel.source.read_ahead.AHEAD_BYTES", 99)
    computed: Queue[int] = Queue()

    def results() -> Iterator[int]:
        for number in range(10):
            computed.put(number)
            yield number

    found = read_ahead(results(), pytest.fail, lambda _: size)
    assert next(found) == 0
    assert [computed.get(timeout=10) for _ in range(1 + ahead)] == [*range(1 + ahead)]
    with pytest.raises(Empty):
        computed.get(timeout=0.05)
    assert list(found) == [*range(1, 10)]


def test_results_that_are_not_wanted_are_not_computed() -> None:
    """Whatever was to be computed ahead; only the one that has begun ends."""
    begun, may_end = Event(), Event()
    computed: list[int] = []

    def results() -> Iterator[int]:
        yield 0
        begun.set()
        may_end.wait(10)
        for number in range(1, 10):
            computed.append(number)
            yield number

    found = read_ahead(results(), pytest.fail, lambda _: 1)
    assert next(found) == 0
    assert begun.wait(10)
    Timer(0.05, may_end.set).start()
    found.close()
    assert computed == [1]


@pytest.mark.parametrize("count", [1, 5])
def test_a_job_is_computed_by_the_same_thread_between_two_results(count: int) -> None:
    """So it may use what they are read from, also after the last one."""
    is_busy, threads = False, set()

    def results() -> Iterator[int]:
        nonlocal is_busy
        for number in range(count):
            assert not is_busy
            is_busy = True
            threads.add(current_thread().name)
            is_busy = False
            yield number

    def job() -> str:
        nonlocal is_busy
        assert not is_busy
        is_busy = True
        threads.add(current_thread().name)
        is_busy = False
        return "done"

    ahead = ReadAhead(results(), pytest.fail, lambda _: 1)
    found = [(number, ahead.compute(job)) for number in ahead]
    assert found == [(number, "done") for number in range(count)]
    assert len(threads) == 1
    assert current_thread().name not in threads


def test_the_error_of_a_job_is_raised_where_it_is_awaited() -> None:
    """The results that follow are not lost."""

    def job() -> None:
        raise SourceError("gone")

    ahead = ReadAhead(iter(range(3)), pytest.fail)
    found = []
    for number in ahead:
        with pytest.raises(SourceError, match="gone"):
            ahead.compute(job)
        found.append(number)
    assert found == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 9])
def test_an_exception_interrupts_a_job_and_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Also if there are no more results."""
    begun, interrupted, ended = Event(), Event(), Event()

    def job() -> None:
        begun.set()
        interrupted.wait(10)
        ended.set()

    def stop(*_: object) -> None:
        begun.wait(10)
        raise Stopped("Stopped by SIGTERM")

    ahead = ReadAhead(iter(range(count)), interrupted.set)
    found = iter(ahead)
    assert next(found) == 0
    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.pool.ApplyResult.get", stop)
        with pytest.raises(Stopped):
            ahead.compute(job)
    assert ended.is_set()
    found.close()


def test_a_job_that_has_not_begun_is_not_computed_after_an_exception(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing may be read then."""
    begun, interrupted = Event(), Event()
    jobs: list[None] = []

    def results() -> Iterator[int]:
        yield 0
        begun.set()
        interrupted.wait(10)

    def stop(*_: object) -> None:
        begun.wait(10)
        raise Stopped("Stopped by SIGTERM")

    ahead = ReadAhead(results(), interrupted.set)
    found = iter(ahead)
    assert next(found) == 0
    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.pool.ApplyResult.get", stop)
        with pytest.raises(Stopped):
            ahead.compute(lambda: jobs.append(None))
    found.close()
    ahead._pool.join()
    assert not jobs


def test_nothing_is_read_after_an_error() -> None:
    """Not even by an iterator that could go on."""
    read: list[int] = []

    def result(number: int) -> int:
        read.append(number)
        if number == 1:
            raise SourceError("gone")
        return number

    ahead = ReadAhead(map(result, range(9)), pytest.fail, lambda _: 1)
    with pytest.raises(SourceError, match="gone"):
        list(ahead)
    ahead._pool.join()
    assert read == [0, 1]
