"""Asked to stop: nothing on the way can swallow it."""

import logging
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from util.errors import Stopped
from util.stopping import StopRequest


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    """Listening, until the test ends."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    request = StopRequest()
    request.listen()
    yield request
    for each, handler in before.items():
        signal.signal(each, handler)


def test_a_signal_within_a_log_line_stops(stop: StopRequest) -> None:
    """Handlers catch every Exception to keep logging from failing its caller."""

    class Signalled(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                signal.raise_signal(signal.SIGTERM)
            except Exception:
                self.handleError(record)

    with pytest.raises(Stopped, match="Stopped by SIGTERM"):
        Signalled().handle(logging.makeLogRecord({}))
    with pytest.raises(Stopped):
        stop.check()


def test_a_signal_within_a_databases_callback_is_kept(stop: StopRequest) -> None:
    """SQLite makes an error of its own of it, which is not believed."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("hit", 0, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT hit()").fetchall()
    with pytest.raises(Stopped, match="Stopped by SIGINT"):
        stop.check()


def test_a_second_signal_does_not_disturb_leaving(stop: StopRequest) -> None:
    """What is cleared on the way out is cleared whole."""
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Stopped, match="Stopped by SIGTERM"):
        stop.check()


def test_without_a_signal_nothing_stops(stop: StopRequest) -> None:
    """Asked as often as one likes."""
    stop.check()
