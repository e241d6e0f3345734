"""A server of Amazon's storage protocol on loopback, and a network that can fail."""

import http.client
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}

FAULTS = ("drop", "drop answer", "truncate", "500", "503", "slow")
"""What the network can do to a request:

drop: it does not arrive; drop answer: it is carried out, and the connection breaks; truncate:
half of the answer; 500, 503: the server's answer; slow: an answer after `SLOW_SECONDS`.
"""

SLOW_SECONDS = 0.05


@dataclass
class Bucket:
    """A bucket of its own for each test, and the environment of its users."""

    url: str
    environ: dict[str, str]

    @property
    def name(self) -> str:
        """The bucket without the folder."""
        return self.url.removeprefix("s3://").partition("/")[0]

    @contextmanager
    def used(self) -> Iterator[str]:
        """Let this process use it; yields its address."""
        with patch.dict(os.environ, self.environ):
            yield self.url


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of a server of Amazon's protocol."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _, port = server.get_host_and_port()
    yield port
    server.stop()


@pytest.fixture
def bucket(s3_port: int) -> Bucket:
    """An empty bucket, and a folder in it."""
    return new_bucket(s3_port)


def new_bucket(port: int) -> Bucket:
    """Create a bucket on the server at *port*."""
    name = f"bucket-{uuid4().hex[:12]}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    # The server takes the region from the signature, which it does not check.
    scope = "AWS4-HMAC-SHA256 Credential=test/20261121/us-east-1/s3/aws4_request"
    connection.request("PUT", f"/{name}", headers={"Authorization": scope})
    assert connection.getresponse().status == 200
    connection.close()
    return Bucket(f"s3://{name}/fpp", endpoint(port))


def endpoint(port: int) -> dict[str, str]:
    """The environment of a client of the server, or the network, at *port*."""
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


@dataclass
class Network:
    """A proxy before a server. `fault` chooses what happens to each request."""

    port: int = 0
    fault: Callable[[str, str], str | None] = field(default=lambda _method, _path: None)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and bytes of the body of each request."""

    released: threading.Event = field(default_factory=threading.Event)
    """Ends the requests that hang."""


@contextmanager
def network(server_port: int) -> Iterator[Network]:
    """Run a proxy on a free port of 127.0.0.1 before the server at *server_port*."""
    net = Network()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self._forward
            raise AttributeError(name)

        def _forward(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            net.requests.append((self.command, self.path, length))
            fault = net.fault(self.command, self.path)
            if fault == "drop":
                self.close_connection = True
                return
            if fault in ("500", "503"):
                self._answer(int(fault), {}, b"")
                return
            if fault == "slow":
                time.sleep(SLOW_SECONDS)
            if fault == "hang":
                net.released.wait(30)
                self.close_connection = True
                return
            status, headers, answer = self._ask(body)
            if fault == "drop answer":
                self.close_connection = True
                return
            self._answer(status, headers, answer, truncated=fault == "truncate")

        def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(
                "127.0.0.1", server_port, timeout=30
            )
            headers = {k: v for k, v in self.headers.items() if k != "Connection"}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            connection.close()
            return response.status, dict(response.headers), answer

        def _answer(
            self,
            status: int,
            headers: dict[str, str],
            answer: bytes,
            *,
            truncated: bool = False,
        ) -> None:
            length = headers.get("Content-Length", f"{len(answer)}")
            kept = {
                name: value
                for name, value in headers.items()
                if name.lower()
                not in ("content-length", "connection", "transfer-encoding")
            }
            with suppress(ConnectionError):
                self.send_response_only(status)
                for name, value in kept.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(answer[: len(answer) // 2] if truncated else answer)
            self.close_connection = self.close_connection or truncated

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Log nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    net.port = proxy.server_address[1]
    thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield net
    finally:
        net.released.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()
