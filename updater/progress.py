"""Progress of a sync: one live line on a terminal, or a line of the log now and then."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, NamedTuple

from updater.guarded import guarded
from util.live_line import LiveLine
from util.logs import get_logger

LIVE_SECONDS: Final = 0.25
"""Time between two drawings of the live line."""

LOG_SECONDS: Final = 5.0
"""Time between two lines of the log about one step."""

_log = get_logger("updater")


class Step(NamedTuple):
    """What a sync does since *began*: *fetched* of *total* rows, or something else."""

    name: str
    began: float
    fetched: int = 0
    total: int = 0

    def describe(self, now: float) -> str:
        """The step, how far it is, its rate and the time left."""
        seconds = now - self.began
        if not self.fetched:
            return f"{self.name}, for {_seconds(seconds)}"
        done = f"{self.name}: {self.fetched / self.total:.0%} of {self.total:,} rows"
        rate = self.fetched / seconds if seconds > 0 else 0
        if not rate:
            return done
        left = _seconds((self.total - self.fetched) / rate)
        return f"{done}, {rate:,.0f} rows/s, about {left} left"


def _seconds(seconds: float) -> str:
    """38 s, or 12:05 min from two minutes on."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min"


class Progress:
    """Tells on a thread of its own how far a sync is.

    With *live* the line is drawn there; otherwise a step that takes long is logged.
    """

    def __init__(
        self,
        live: LiveLine | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._live = live
        self._clock = clock
        self._step: Step | None = None

    def begin(self, name: str) -> None:
        """A step of the sync begins: its *name* for people."""
        self._step = Step(name, self._clock())

    def rows(self, _table: str, fetched: int, total: int) -> None:
        """The step has fetched so many rows.

        Its rate is that of the fetch, without the comparison before it.
        """
        step = self._step
        if step is not None:
            began = step.began if step.fetched else self._clock()
            self._step = Step(step.name, began, fetched, total)

    def describe(self) -> str:
        """The present step; empty between two."""
        step = self._step
        return step.describe(self._clock()) if step else ""

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell the progress of the block."""
        ended = threading.Event()
        tell = self._draw if self._live else self._write
        thread = threading.Thread(target=tell, args=(ended,), daemon=True)
        guarded(self._start, thread)
        try:
            yield
        finally:
            self._step = None
            ended.set()
            if thread.is_alive():
                thread.join(timedelta(seconds=1).total_seconds())

    def _start(self, thread: threading.Thread) -> None:
        """Start *thread*. Raises RuntimeError if the system allows no further one."""
        thread.start()

    def _draw(self, ended: threading.Event) -> None:
        assert self._live is not None
        while not ended.wait(LIVE_SECONDS):
            self._live.show(self.describe())
        self._live.show("")

    def _write(self, ended: threading.Event) -> None:
        while not ended.wait(LOG_SECONDS):
            step = self._step
            if step and self._clock() - step.began >= LOG_SECONDS:
                _log.info(
                    step.describe(self._clock()),
                    action="sync",
                    rows_fetched=step.fetched,
                    rows_to_fetch=step.total,
                )
