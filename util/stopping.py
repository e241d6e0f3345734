"""Leaving in time when asked to, whatever is still at work."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from types import FrameType


def leave_within(patience: timedelta, last: Callable[[], None]) -> None:
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
