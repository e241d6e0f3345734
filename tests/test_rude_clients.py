"""A client's fault is not an alarm: broken requests against the real programs' servers."""

import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import httpx
import pytest

from collect_events import create_app as create_collector
from tests.routers.conftest import create_fixed_app, make_settings, served
from tests.support.events import TOKEN as INGEST_TOKEN
from tests.support.events import collector_settings
from tests.support.sample import TOKEN

PATIENCE: Final = 30

HEAD: Final = (
    "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)

BODIES: Final = (
    b'5\r\n[{"a\r\nnot a chunk\r\n',
    b"ffffffffffffffffffff\r\n",
    b'5\r\n[{"a',
    b"\x00\xff",
)


@pytest.fixture(params=["/report", "/events"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, str, str]]:
    """The address of a program, one of its paths that take a body, and its token."""
    path = str(request.param)
    if path == "/report":
        app, token = create_fixed_app(make_settings(data_dir=tmp_path)), TOKEN
    else:
        app, token = create_collector(collector_settings(tmp_path)), INGEST_TOKEN
    with served(app) as url:
        yield url, path, token


def test_a_broken_body_is_no_error_of_ours(
    place: tuple[str, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """400 or a closed connection; no ERROR in the log, and so nothing in Sentry."""
    url, path, token = place
    address = (httpx.URL(url).host, httpx.URL(url).port or 0)
    with caplog.at_level(logging.INFO):
        for body in BODIES:
            head = HEAD.format(path=path, token=token).encode()
            with closing(socket.create_connection(address, PATIENCE)) as connection:
                connection.sendall(head + body)
                connection.shutdown(socket.SHUT_WR)
                status = connection.recv(12)
                assert status[9:12] in (b"", b"400", b"503"), status
        assert httpx.get(f"{url}/health", timeout=PATIENCE).status_code in (200, 503)
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert [(record.name, record.getMessage()) for record in errors] == []


def test_a_redirect_names_no_host(place: tuple[str, str, str]) -> None:
    """The caller names the host, and caches would send others there."""
    url, _, _ = place
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    answer = httpx.get(f"{url}/health/", headers=headers, timeout=PATIENCE)
    assert (answer.status_code, answer.headers["location"]) == (307, "/health")
