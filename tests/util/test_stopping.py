"""Stop requests by signals, which no handler in between can swallow."""

import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from util.errors import Stopped
from util.stopping import StopRequest, force_exit_after


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    """A request that listens until the test ends."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    request = StopRequest()
    request.listen()
    yield request
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each sleep, which returns at once."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_a_signal_during_a_log_call_stops(stop: StopRequest) -> None:
    """Log handlers catch every Exception, and Stopped is none."""

    class Signalled(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                signal.raise_signal(signal.SIGTERM)
            except Exception:  # noqa: BLE001 - as the handlers of logging do
                self.handleError(record)

    with pytest.raises(Stopped, match="Stopped by SIGTERM"):
        Signalled().handle(logging.makeLogRecord({}))
    with pytest.raises(Stopped):
        stop.check()


def test_a_signal_during_a_callback_of_a_database_is_remembered(
    stop: StopRequest,
) -> None:
    """SQLite turns it into an error of its own; `check` then raises Stopped."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("hit", 0, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT hit()").fetchall()
    with pytest.raises(Stopped, match="Stopped by SIGINT"):
        stop.check()


def test_a_second_signal_does_not_interrupt_the_cleaning_up(stop: StopRequest) -> None:
    """Staged files are removed completely."""
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Stopped, match="Stopped by SIGTERM"):
        stop.check()
    assert not stop.is_interrupt


def test_a_second_ctrl_c_is_left_to_the_system(stop: StopRequest) -> None:
    """It ends the process even in a call of a library; SIGTERM waits for the first."""
    with pytest.raises(Stopped, match="Stopped by SIGINT"):
        signal.raise_signal(signal.SIGINT)
    assert stop.is_interrupt
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    signal.raise_signal(signal.SIGTERM)


def test_without_a_signal_check_does_nothing(stop: StopRequest) -> None:
    """It may be called at any time."""
    stop.check()


@pytest.fixture
def polled() -> Iterator[StopRequest]:
    """A request that does not interrupt, listening until the test ends."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {each: signal.getsignal(each) for each in signals}
    request = StopRequest(signals, interrupt=False)
    request.listen()
    yield request
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_without_interrupt_a_signal_ends_the_next_pause(
    polled: StopRequest, number: signal.Signals
) -> None:
    """Nothing before it is interrupted."""
    signal.raise_signal(number)
    with pytest.raises(Stopped, match=f"Stopped by {number.name}"):
        polled.pause()


@pytest.mark.usefixtures("polled")
def test_without_interrupt_later_signals_are_still_handled() -> None:
    """A child started now must not inherit ignored signals."""
    signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def test_without_a_signal_a_pause_is_short(pauses: list[float]) -> None:
    """It sleeps a tenth of a second and returns."""
    StopRequest().pause()
    assert pauses == [0.1]


def test_a_requested_stop_needs_no_pause(pauses: list[float]) -> None:
    """Its reason is the message."""
    request = StopRequest()
    request.request("enough")
    with pytest.raises(Stopped, match="enough"):
        request.pause()
    assert not pauses


def test_a_storm_of_signals_starts_one_thread() -> None:
    """Each of 3,800 signals once started one of its own."""
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    earlier = set(threading.enumerate())
    started: list[threading.Timer] = []
    try:
        force_exit_after(timedelta(hours=1), last=lambda: None)
        for _ in range(50):
            signal.raise_signal(signal.SIGTERM)
        # Threads of other tests may end meanwhile, so these are not counted.
        new = set(threading.enumerate()) - earlier
        started = [each for each in new if isinstance(each, threading.Timer)]
        assert len(started) == len(new) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
        for timer in started:
            timer.cancel()
