"""Asked to stop: remembered, and told at the next pause."""

import os
import signal
import time

import pytest

from demo.stopping import SIGNALS, Stop
from util.errors import Stopped


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_ends_the_next_pause(number: signal.Signals) -> None:
    """Nothing is interrupted before; the pause raises."""
    stop = Stop()
    stop.listen()
    os.kill(os.getpid(), number)
    with pytest.raises(Stopped):
        stop.pause()


def test_without_a_signal_a_pause_is_short() -> None:
    """It waits a tenth of a second and returns."""
    began = time.monotonic()
    Stop().pause()
    assert 0.1 <= time.monotonic() - began < 5
