"""Fixtures of the tests of `demo`."""

import signal
from collections.abc import Iterator

import pytest

from demo.__main__ import SIGNALS


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Restore the signal handlers after the test."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
