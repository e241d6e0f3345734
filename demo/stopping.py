"""Asked to stop (Ctrl-C, SIGTERM, a closed terminal): noticed only where it is safe."""

import signal
import time
from types import FrameType

from util.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEP_SECONDS = 0.1


class Stop:
    """Remembers that a signal came; ``pause`` then raises Stopped.

    No exception is thrown into other code, so that no child process is started
    without being noted down.
    """

    def __init__(self) -> None:
        self._asked = False

    def listen(self) -> None:
        """Take the signals over from now on, also where the shell ignored them."""
        for number in SIGNALS:
            signal.signal(number, self.ask)

    def ask(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Note that a signal came; the next ``pause`` tells."""
        self._asked = True

    def pause(self) -> None:
        """Wait for one short step. Raises Stopped when a signal has come."""
        if not self._asked:
            time.sleep(STEP_SECONDS)
        if self._asked:
            raise Stopped("asked to stop")
