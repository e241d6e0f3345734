"""Fixtures for everything that talks to the outside."""

import logging
from collections.abc import Iterator

import pytest

from tests.support.servers import StubServer, serving
from util import logs, redaction, sentry_wrapper


@pytest.fixture
def server() -> Iterator[StubServer]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def _as_at_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave no handler, no known secret and no Sentry client to the next test."""
    monkeypatch.setattr(redaction, "_known", set())
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    sentry_wrapper.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in logs.ADOPTED:
        logging.getLogger(name).setLevel(logging.NOTSET)
