"""Progress of a sync: what it says, and where."""

import io
import threading

import pytest

from updater import progress
from updater.progress import Progress
from util.live_line import ERASE, LiveLine


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.mark.parametrize(
    ("fetched", "seconds", "text"),
    [
        (500_000, 10, "votes: 25% of 2,000,000 rows, 50,000 rows/s, about 30 s left"),
        (
            100_000,
            10,
            "votes: 5% of 2,000,000 rows, 10,000 rows/s, about 3:10 min left",
        ),
        (2_000_000, 8, "votes: 100% of 2,000,000 rows, 250,000 rows/s, about 0 s left"),
    ],
)
def test_rows_have_a_rate_and_the_time_left(
    fetched: int, seconds: float, text: str
) -> None:
    """Both are those of the fetch, without the comparison before it."""
    clock = Clock()
    told = Progress(clock=clock)
    assert told.describe() == ""
    told.begin("votes")
    clock.now += 60
    assert told.describe() == "votes, for 60 s"
    told.rows("votes", 1, 2_000_000)
    clock.now += seconds
    told.rows("votes", fetched, 2_000_000)
    assert told.describe() == text
    told.begin("rooms")
    assert told.describe() == "rooms, for 0 s"


def test_a_terminal_has_one_line_that_is_drawn_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is gone at the end, also after an error."""
    monkeypatch.setattr(progress, "LIVE_SECONDS", 0.001)
    drawn = threading.Event()

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            if "Table 2 of 6" in text:
                drawn.set()
            return super().write(text)

    stream = Stream()
    told = Progress(LiveLine(stream))

    def sync() -> None:
        with told.told():
            told.begin("Table 2 of 6, fpp_votes")
            assert drawn.wait(10)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sync()
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().endswith(ERASE)


def test_a_log_gets_a_line_about_long_steps_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A step of some seconds is not mentioned."""
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.01)
    clock, logged = Clock(), threading.Event()
    monkeypatch.setattr(progress, "_log", _Recorder(logged))
    told = Progress(clock=clock)
    with told.told():
        told.begin("Table 1 of 6, fpp_rooms")
        assert not logged.wait(0.05)
        clock.now += 7
        assert logged.wait(10)
    assert not caplog.records


class _Recorder:
    """A logger that notes the first line."""

    def __init__(self, logged: threading.Event) -> None:
        self._logged = logged

    def info(self, line: str, **_fields: object) -> None:
        """Note *line*."""
        assert line == "Table 1 of 6, fpp_rooms, for 7 s"
        self._logged.set()
