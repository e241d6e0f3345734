"""Limits on connections, against a real server: half-sent requests and floods."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing, suppress
from typing import Final

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from tests.routers.conftest import served
from tests.util.conftest import limited
from util.connections import ConnectionLimits

PATIENCE: Final = 30

MOST: Final = 20


@pytest.fixture(scope="module", params=["httptools", "h11"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The address of a server with short limits, with each parser of HTTP."""
    app = FastAPI()

    @app.post("/")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/large")
    async def large() -> StreamingResponse:
        return StreamingResponse(pieces())

    limits = ConnectionLimits(
        MOST, header_seconds=0.5, body_seconds=0.5, send_seconds=0.5
    )
    with limited(limits), served(app, http=request.param) as url:
        parsed = httpx.URL(url)
        yield parsed.host, parsed.port or 0


PIECE: Final = bytes(65_536)
PIECES: Final = 1_000
ANSWERED = threading.Event()


async def pieces() -> AsyncIterator[bytes]:
    """More than the buffers of two sockets take; ANSWERED once all were handed over."""
    for _ in range(PIECES):
        yield PIECE
    ANSWERED.set()


def connect(server: tuple[str, int], text: bytes = b"") -> socket.socket:
    """A connection on which *text* was sent."""
    connection = socket.create_connection(server, timeout=PATIENCE)
    connection.sendall(text)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Wait until the server closes; False if it sends something instead."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Half: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
    ],
)
def test_a_half_sent_request_is_not_waited_for(
    server: tuple[str, int], text: bytes
) -> None:
    """A client that hangs holds a connection for some seconds only."""
    with closing(connect(server, text)) as connection:
        assert is_closed(connection)


def test_bytes_one_at_a_time_gain_no_time(server: tuple[str, int]) -> None:
    """The time for the headers counts from their first byte."""
    with closing(connect(server, b"GET / HTTP/1.1\r\nX: ")) as connection:
        connection.settimeout(0.05)
        for _ in range(round(PATIENCE / 0.05)):
            try:
                connection.sendall(b"x")
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    raise AssertionError("the connection stays open")


def test_half_sent_requests_do_not_keep_others_out(server: tuple[str, int]) -> None:
    """The one that has waited longest makes room; requests in progress stay."""
    url = "http://{}:{}/".format(*server)
    with ExitStack() as stack:
        half = [
            stack.enter_context(closing(connect(server, b"GET")))
            for _ in range(3 * MOST)
        ]
        assert httpx.post(url, content=b"abc", timeout=PATIENCE).json() == 3
        assert is_closed(half[0])


def test_an_answer_that_nobody_reads_is_not_waited_for(
    server: tuple[str, int],
) -> None:
    """Whoever stops reading holds a connection, and its answer, for some seconds only."""
    request = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
    ANSWERED.clear()
    with closing(connect(server, request)) as connection:
        assert connection.recv(1) == b"H"
        # Without a limit the server waits until the client reads on.
        assert ANSWERED.wait(PATIENCE)
        received = 0
        with suppress(ConnectionError):
            while data := connection.recv(2**20):
                received += len(data)
        assert received < PIECES * len(PIECE)


def test_an_answer_that_is_read_slowly_arrives(server: tuple[str, int]) -> None:
    """The limit is on the time without any progress."""
    url = "http://{}:{}/large".format(*server)
    received = 0
    with httpx.stream("GET", url, timeout=PATIENCE) as response:
        for chunk in response.iter_raw():
            received += len(chunk)
    assert received == PIECES * len(PIECE)


def test_a_connection_serves_many_requests(server: tuple[str, int]) -> None:
    """The limits begin anew with each."""
    url = "http://{}:{}/".format(*server)
    with httpx.Client(timeout=PATIENCE) as client:
        for length in range(5):
            assert client.post(url, content=bytes(length)).json() == length
