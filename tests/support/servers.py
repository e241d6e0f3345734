"""HTTP servers on loopback that stand in for UptimeKuma, Sentry and e-mail."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from testbed.ports import free_port


@dataclass(frozen=True)
class Received:
    """A request that a stub server received; header names are in lower case."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.body)


@dataclass
class StubServer:
    """The requests that a stub server received, and the answers that it gives.

    The answers may be changed at any time.
    """

    port: int
    status: int = 200
    answer: bytes = b'{"ok": true}'
    delay: float = 0.0  # seconds before each answer
    drop: bool = False  # close the connection instead of an answer
    # The statuses of the first answers; `status` is for all later ones.
    statuses: list[int] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self.port}"

    _released: threading.Event = field(default_factory=threading.Event)

    def stop_delays(self) -> None:
        """Answer what waits for its delay, and everything after it, at once."""
        self.delay = 0
        self._released.set()

    def wait_for(self, count: int, seconds: float = 30.0) -> list[Received]:
        """Wait for *count* requests and return all; fail if fewer arrive in *seconds*."""
        until = time.monotonic() + seconds
        while len(self.requests) < count and time.monotonic() < until:
            time.sleep(0.01)
        assert len(self.requests) >= count, f"{len(self.requests)} of {count} arrived"
        return self.requests


@contextmanager
def serving() -> Iterator[StubServer]:
    """Run a stub server on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            url = urlsplit(self.path)
            server.requests.append(
                Received(
                    self.command,
                    url.path,
                    parse_qsl(url.query, keep_blank_values=True),
                    {k.lower(): v for k, v in self.headers.items()},
                    self.rfile.read(length),
                )
            )
            status = server.statuses.pop(0) if server.statuses else server.status
            server._released.wait(server.delay)
            if server.drop:
                return
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(server.answer)))
                self.end_headers()
                self.wfile.write(server.answer)
            except (BrokenPipeError, ConnectionResetError):
                pass  # some tests are about callers that do not wait

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Log nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = StubServer(http.server_address[1])
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.stop_delays()
        http.shutdown()
        thread.join()
        http.server_close()


def closed_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    return free_port()


def envelope_items(request: Received) -> list[tuple[dict[str, Any], Any]]:
    """Parse a Sentry envelope into pairs of item header and payload."""
    # The compression depends on the installed packages, as httpx's decompression does.
    encoding = {"Content-Encoding": request.headers.get("content-encoding", "identity")}
    body = httpx.Response(200, headers=encoding, content=request.body).content
    lines = body.split(b"\n")[1:]
    pairs = zip(lines[::2], lines[1::2], strict=False)
    return [(json.loads(head), json.loads(load)) for head, load in pairs if head]
