"""Answers by one write are those of two messages of ASGI, byte for byte."""

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import httpx
import pytest

from tests.routers.conftest import served
from tests.util.conftest import limited
from util.connections import ConnectionLimits
from util.whole_answers import send_whole

PATIENCE: Final = 30
ANSWER: Final = b'{"accepted":1}'
HEADERS: Final = [
    (b"content-length", str(len(ANSWER)).encode()),
    (b"x-request-id", b"r-1"),
]
HEAD: Final = b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
REQUESTS: Final = (
    HEAD + b"\r\n{}" + HEAD + b"Connection: close\r\n\r\n{}",
    HEAD.replace(b"1.1", b"1.0") + b"\r\n{}",
    HEAD + b"Expect: 100-continue\r\nConnection: close\r\n\r\n{}",
)


class Answering:
    """Sends ANSWER. `is_whole` tells whether it may be one write."""

    is_whole = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Process one ASGI connection."""
        if scope["type"] == "lifespan":
            return
        while (await receive()).get("more_body"):
            continue

        async def by_messages(message: Any) -> None:
            await send(message)

        chosen = send if self.is_whole else by_messages
        await send_whole(chosen, 202, HEADERS, ANSWER)


@pytest.fixture(scope="module", params=["httptools", "h11"])
def answering(
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Answering, tuple[str, int]]]:
    """An application, and the address at which it is served."""
    app: Any = Answering()
    limits = ConnectionLimits(1_000, PATIENCE, PATIENCE, PATIENCE)
    options = {"http": request.param, "log_level": "warning", "date_header": False}
    with limited(limits), served(app, **options, proxy_headers=False) as url:
        parsed = httpx.URL(url)
        yield app, (parsed.host, parsed.port or 0)


def received(address: tuple[str, int], sent: bytes) -> bytes:
    """All that comes until the server closes the connection."""
    with closing(socket.create_connection(address, timeout=PATIENCE)) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("sent", REQUESTS)
def test_a_whole_answer_is_that_of_two_messages(
    answering: tuple[Answering, tuple[str, int]], sent: bytes
) -> None:
    """Also for several requests at once, for HTTP/1.0, and if the client waits."""
    app, address = answering
    app.is_whole = False
    wanted = received(address, sent)
    app.is_whole = True
    assert received(address, sent) == wanted
    assert wanted.count(b"HTTP/1.1 202") == sent.count(b"POST")
    assert wanted.endswith(ANSWER)
