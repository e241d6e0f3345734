"""What httptools takes from a client, against a real server."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, Final
from unittest.mock import create_autospec

import httpx
import pytest
from fastapi import FastAPI, Request
from uvicorn import Config
from uvicorn.server import ServerState

from tests.routers.conftest import served
from tests.util.conftest import limited
from util.bounded_requests import MOST_HEAD_BYTES, MOST_PIPELINED, BoundedHttpTools
from util.connections import ConnectionLimits

PATIENCE: Final = 30
HELD: Final = threading.Event()
"""Set once a request for /held is being answered."""
RELEASE: Final = threading.Event()

POST: Final = b"POST / HTTP/1.1\r\nHost: a\r\n"
GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def create_app() -> FastAPI:
    """Answers the length of the body and the names of the headers."""
    app = FastAPI()

    @app.get("/")
    @app.post("/")
    async def echo(request: Request) -> list[str]:
        length = len(await request.body())
        return [str(length), *request.headers]

    @app.get("/held")
    async def held() -> str:
        HELD.set()
        await asyncio.to_thread(RELEASE.wait, PATIENCE)
        return "released"

    return app


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, int]]:
    """The address of a server."""
    limits = ConnectionLimits(1_000, PATIENCE, PATIENCE, PATIENCE)
    with limited(limits), served(create_app(), http="httptools") as url:
        parsed = httpx.URL(url)
        yield parsed.host, parsed.port or 0


@pytest.fixture
def connection(server: tuple[str, int]) -> Iterator[socket.socket]:
    """A connection to it."""
    for event in (HELD, RELEASE):
        event.clear()
    with closing(socket.create_connection(server, timeout=PATIENCE)) as found:
        yield found
    RELEASE.set()


def until_closed(connection: socket.socket) -> bytes:
    """All that is received until the server closes."""
    received = b""
    with suppress(ConnectionError):
        while data := connection.recv(65_536):
            received += data
    return received


def send_endlessly(connection: socket.socket, text: bytes) -> int:
    """Send *text* again and again until the server closes; the number of bytes."""
    sent = 0
    with suppress(ConnectionError):
        while True:
            sent += connection.send(text)
    return sent


def answers(connection: socket.socket, count: int) -> bytes:
    """The next *count* answers."""
    received = b""
    while received.count(b"HTTP/1.1 ") < count or not received.endswith((b"]", b'"')):
        data = connection.recv(65_536)
        assert data, received
        received += data
    return received


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"GET /", b"x" * 1_000),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-One: of many\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Endless: ", b"x" * 1_000),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX", b"x" * 1_000),
        (b"", b"\r\n"),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Trailer: one of many\r\n"),
        (CHUNKED + b"1\r\nx\r\n0\r\nX-Trailer: ", b"x" * 1_000),
        (CHUNKED + b"1;extension=", b"x" * 1_000),
    ],
    ids=["target", "headers", "value", "name", "lines", "trailers", "trailer", "chunk"],
)
def test_what_never_ends_is_cut(
    connection: socket.socket, head: bytes, piece: bytes
) -> None:
    """The connection is closed; the buffers of two sockets have some megabytes more."""
    connection.sendall(head)
    assert send_endlessly(connection, piece) < 20_000_000


@pytest.mark.parametrize("extra", [0, 1])
def test_headers_have_the_same_bound_however_they_arrive(
    connection: socket.socket, extra: int
) -> None:
    """One byte more than the bound is refused, also if all was received at once."""
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    counted = len("/") + len("hosta") + 4 + len("x") + 4
    connection.sendall(start + b"x" * (MOST_HEAD_BYTES - counted + extra) + b"\r\n\r\n")
    if extra:
        assert until_closed(connection)[:12] in (b"HTTP/1.1 431", b"")
    else:
        assert answers(connection, 1).startswith(b"HTTP/1.1 200")


def test_a_long_body_is_not_taken_for_headers(connection: socket.socket) -> None:
    """Only the headers have that bound."""
    length = 10 * MOST_HEAD_BYTES
    connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % length + bytes(length))
    assert b'["655360","host","content-length"]' in answers(connection, 1)


def test_a_body_in_many_small_chunks_is_taken(connection: socket.socket) -> None:
    """What frames the chunks may be longer than the bound, and than the body."""
    connection.sendall(CHUNKED + b"1\r\nx\r\n" * MOST_HEAD_BYTES + b"0\r\n\r\n" + GET)
    received = answers(connection, 2)
    assert b'["65536","host","transfer-encoding"]' in received
    assert b'["0","host"]' in received


def test_trailers_are_no_headers(connection: socket.socket) -> None:
    """Proxies look at headers only: what comes after the body must not count."""
    connection.sendall(CHUNKED + b"1\r\nx\r\n0\r\nAuthorization: y\r\n\r\n")
    assert b'["1","host","transfer-encoding"]' in answers(connection, 1)


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nno chunk\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\nHost: b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_a_request_that_proxies_could_read_otherwise_is_refused(
    connection: socket.socket, text: bytes
) -> None:
    """Two lengths, two hosts, two ways to frame a body, and what is no HTTP at all.

    The error has the shape of all others.
    """
    connection.sendall(text)
    head, _, body = until_closed(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"content-type: application/json" in head
    assert list(json.loads(body)) == ["detail"]


def test_requests_that_are_sent_at_once_are_answered_in_order(
    connection: socket.socket,
) -> None:
    """Bodies, too."""
    requests = [
        POST + b"Content-Length: %d\r\n\r\n" % length + bytes(length)
        for length in range(50)
    ]
    connection.sendall(b"".join(requests))
    received = answers(connection, 50)
    places = [received.index(b'["%d",' % length) for length in range(50)]
    assert places == sorted(places)


def test_few_requests_wait_for_their_turn(connection: socket.socket) -> None:
    """Those beyond the bound are not kept: the others are answered, then it is closed."""
    connection.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n" + 2_000 * GET)
    assert HELD.wait(PATIENCE)
    RELEASE.set()
    assert until_closed(connection).count(b"HTTP/1.1 200") == 1 + MOST_PIPELINED


def test_a_request_before_garbage_is_answered(connection: socket.socket) -> None:
    """The garbage is not; an answer to it could be taken for one to the request."""
    connection.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n" + b"\x00garbage")
    assert HELD.wait(PATIENCE)
    RELEASE.set()
    received = until_closed(connection)
    assert (received.count(b"HTTP/1.1 "), received[9:12]) == (1, b"200")


def test_a_request_before_a_broken_body_is_answered(connection: socket.socket) -> None:
    """The one with the broken body never starts."""
    held = b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n"
    connection.sendall(held + CHUNKED + b"no chunk\r\n")
    assert HELD.wait(PATIENCE)
    RELEASE.set()
    received = until_closed(connection)
    assert (received.count(b"HTTP/1.1 "), received[9:12]) == (1, b"200")


def test_a_lost_connection_is_noticed_before_another_request() -> None:
    """The request in progress is told, not only the one that waits behind it."""

    async def lose() -> None:
        started, left = asyncio.Event(), asyncio.Event()

        async def watch(_: Any, receive: Any, __: Any) -> None:
            started.set()
            while (await receive())["type"] != "http.disconnect":
                continue
            left.set()

        config = Config(watch, ws="none")
        protocol = BoundedHttpTools(config, ServerState(), {})
        transport = create_autospec(asyncio.Transport, instance=True)
        transport.is_closing.return_value = False
        protocol.connection_made(transport)
        protocol.data_received(GET + POST + b"Content-Length: 5\r\n\r\n")
        await asyncio.wait_for(started.wait(), PATIENCE)
        protocol.connection_lost(None)
        await asyncio.wait_for(left.wait(), PATIENCE)

    asyncio.run(lose())


def test_an_upgrade_that_is_not_made_ends_nothing(connection: socket.socket) -> None:
    """As curl --http2 offers one; what follows is the next request."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\n" + offer + b"\r\n"
    connection.sendall(upgrade + GET)
    assert answers(connection, 2).count(b"HTTP/1.1 200") == 2
