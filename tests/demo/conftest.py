"""What the tests of the demonstration share."""

import signal
from collections.abc import Iterator

import pytest

from demo.stopping import SIGNALS


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Give the signals back to the test runner afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
