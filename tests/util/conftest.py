"""Fixtures of the tests of `util`."""

import logging
from collections.abc import Iterator

import pytest

from tests.support.servers import StubServer, serving
from util import logs, redaction, sentry_wrapper


@pytest.fixture
def server() -> Iterator[StubServer]:
    """A local HTTP server."""
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def _reset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reset log handlers, registered secrets and Sentry after each test."""
    monkeypatch.setattr(redaction, "_registered", {})
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    sentry_wrapper.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in logs.ADOPTED:
        logging.getLogger(name).setLevel(logging.NOTSET)
