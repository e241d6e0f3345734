"""One thread computes the next result while the last one is used."""

from collections.abc import Iterator
from threading import Event, current_thread

import pytest

from readmodel.source.protocol import PassingFault
from readmodel.source.read_ahead import read_ahead
from util.errors import SourceError, Stopped


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
    interrupted, ended = Event(), Event()

    def results() -> Iterator[int]:
        yield 1
        interrupted.wait(10)
        ended.set()

    found = read_ahead(results(), interrupted.set)
    assert next(found) == 1
    with pytest.raises(PassingFault, match="has not answered"):
        found.close()
    assert ended.wait(10)


def test_an_exception_interrupts_the_thread_and_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever awaited a result may close what it is read from."""
    interrupted, ended = Event(), Event()

    def results() -> Iterator[int]:
        interrupted.wait(10)
        ended.set()
        raise SourceError("interrupted")
        yield 1

    def stop(*_: object) -> None:
        raise Stopped("Stopped by SIGTERM")

    monkeypatch.setattr("multiprocessing.pool.ApplyResult.get", stop)
    with pytest.raises(Stopped):
        next(read_ahead(results(), interrupted.set))
    assert ended.is_set()
