"""The API holds what its own document promises, whatever is sent to it."""

import threading
import time
from collections.abc import Iterator
from socket import create_server
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from requests import Request
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from main import app as documented
from main import create_app
from routers.dependencies import now
from routers.middleware import limits
from tests.routers.conftest import make_settings
from tests.support.frames import NOW
from tests.support.sample import SAMPLE, TAKEN_AT, TOKEN
from tests.support.snapshots import publish

PATIENCE_SECONDS = 120
"""For one answer: ten, which is the default, may pass where a machine is overloaded."""

schema = schemathesis.openapi.from_dict(documented.openapi())


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with the sample, which refuses nobody for asking often."""
    data_dir = tmp_path_factory.mktemp("schema") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    app = create_app(make_settings(data_dir=data_dir, rate_limit_per_minute=0))
    app.dependency_overrides[now] = lambda: NOW
    # Bound here and not by number: another program may take a number in between.
    socket = create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield "http://{}:{}".format(*socket.getsockname())
    server.should_exit = True
    thread.join()


@pytest.fixture
def _guesses_are_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request is also sent with wrong tokens, which would take minutes."""
    monkeypatch.setattr(limits, "FAILURE_DELAY_SECONDS", 0)


@schema.parametrize()
@pytest.mark.usefixtures("_guesses_are_fast")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_answer_breaks_the_document(case: Case[Any], address: str) -> None:
    """No 5xx, and every status, type, header and body as the document states."""
    token = {"Authorization": f"Bearer {TOKEN}"}
    # What a schema cannot say, such as which zones there are or that a range ends after
    # it begins, is refused with 422: not all data that fits the schema is accepted.
    excluded: list[CheckFunction] = [positive_data_acceptance]
    if not _wholly_sent(case, address):
        excluded.append(negative_data_rejection)
    case.call_and_validate(
        base_url=address,
        headers=token,
        excluded_checks=excluded,
        timeout=PATIENCE_SECONDS,
    )


def _wholly_sent(case: Case[Any], address: str) -> bool:
    """Whether all parameters are in the URL: an empty list, for one, leaves no trace.

    Where that is what was wrong, the request is right.
    """
    sent = Request(**case.as_transport_kwargs(base_url=address)).prepare()
    query = parse_qsl(urlsplit(str(sent.url)).query, keep_blank_values=True)
    return {name for name, _ in query} >= set(case.query or {})
