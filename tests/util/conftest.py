"""Fixtures of the tests of `util`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from uvicorn.protocols.http import h11_impl, httptools_impl

from tests.support.servers import StubServer, serving
from util import logs, redaction, sentry_wrapper
from util.connections import ConnectionLimits, apply_limits


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


@contextmanager
def limited(limits: ConnectionLimits) -> Iterator[None]:
    """Apply *limits* to both parsers of HTTP."""
    apply_limits(limits)
    yield
    for replaced in (
        h11_impl.H11Protocol,
        httptools_impl.HttpToolsProtocol,
        httptools_impl.RequestResponseCycle,
    ):
        del replaced.__new__
