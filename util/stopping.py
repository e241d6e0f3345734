"""Stopping in time after a signal."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import FrameType
from typing import Final

from util.errors import Stopped

PAUSE_SECONDS: Final = 0.1


class StopRequest:
    """Remembers a stop signal and raises Stopped.

    By default Stopped is also raised where the signal struck. In the callback of a
    database driver such an exception becomes an error of the driver, so call `check`
    before reporting an error. Without *interrupt* only `check` and `pause` raise it.
    `is_interrupt` is true after Ctrl-C (SIGINT).
    """

    def __init__(
        self,
        signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
        *,
        interrupt: bool = True,
    ) -> None:
        self._signals = signals
        self._interrupt = interrupt
        self._reason: str | None = None
        self.is_interrupt = False

    def listen(self) -> None:
        """Handle the signals from now on, even those that the shell ignored."""
        for each in self._signals:
            signal.signal(each, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.request(f"Stopped by {signal.Signals(number).name}")
        self.is_interrupt = number == signal.SIGINT
        if self._interrupt:
            # Further signals must not interrupt the cleaning up; but a second Ctrl-C is
            # a person who does not want to wait for it. The system then ends the
            # process, even in the middle of a call of a library.
            for each in self._signals:
                signal.signal(each, signal.SIG_IGN)
            if self.is_interrupt:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            self.check()

    def request(self, reason: str) -> None:
        """Request a stop, as a signal does; *reason* is the message of Stopped."""
        self._reason = reason

    def check(self) -> None:
        """Raise Stopped if a stop was requested."""
        if self._reason is not None:
            raise Stopped(self._reason)

    def pause(self) -> None:
        """Sleep for PAUSE_SECONDS, unless a stop was requested; then `check`."""
        if self._reason is None:
            time.sleep(PAUSE_SECONDS)
        self.check()


def force_exit_after(grace: timedelta, last: Callable[[], None]) -> None:
    """Exit *grace* after SIGTERM if the process still runs then; call *last* before.

    The present handler of SIGTERM stays in use. Only for a process whose work may be
    cut off at any point. Does nothing outside the main thread, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.getsignal(signal.SIGTERM)

    def leave() -> None:
        last()
        os._exit(0)

    timer = threading.Timer(grace.total_seconds(), leave)
    timer.daemon = True

    def stop(number: int, frame: FrameType | None) -> None:
        # Whoever sends many signals must not start many threads.
        if timer.ident is None:
            timer.start()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, stop)
