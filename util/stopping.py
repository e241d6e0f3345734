"""Leaving in time when asked to, whatever is still at work."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from types import FrameType

from util.errors import Stopped


class StopRequest:
    """A signal that asked to stop: raised where it struck, and kept.

    What is raised in the midst of a database's callback is turned into that database's
    error; whoever catches errors asks `check` before believing one.
    """

    def __init__(self) -> None:
        self._reason: str | None = None

    def listen(self) -> None:
        """Take SIGTERM and SIGINT; later ones are ignored, so that leaving is undisturbed."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._stop)

    def _stop(self, number: int, _: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        self._reason = f"Stopped by {signal.Signals(number).name}"
        self.check()

    def check(self) -> None:
        """Raises Stopped once a signal has come."""
        if self._reason is not None:
            raise Stopped(self._reason)


def force_exit_after(patience: timedelta, last: Callable[[], None]) -> None:
    """End this process *patience* after SIGTERM, should it still be there; first *last*.

    What handles SIGTERM now does so as before. Only for a process whose work may be
    cut off anywhere. Outside of the main thread, where no signal arrives, it does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.getsignal(signal.SIGTERM)

    def leave() -> None:
        last()
        os._exit(0)

    def stop(number: int, frame: FrameType | None) -> None:
        timer = threading.Timer(patience.total_seconds(), leave)
        timer.daemon = True
        timer.start()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, stop)
