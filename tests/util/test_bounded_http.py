"""Requests of ours: bounded in size and time, whatever the other side sends."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import httpx
import pytest

from util.bounded_http import MOST_BYTES, request

SHORT = timedelta(seconds=0.5)
PATIENT = timedelta(seconds=30)


@contextmanager
def answering(
    answer: Callable[[socket.socket, threading.Event], None],
) -> Iterator[str]:
    """The address of a server that lets *answer* write to each connection."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(65_536)
                answer(connection, stopped)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "http://{}:{}/".format(*server.getsockname())
        finally:
            stopped.set()
            thread.join()


def endless_body(connection: socket.socket, stopped: threading.Event) -> None:
    """Send zeros as long as anybody reads them."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not stopped.is_set():
        connection.sendall(bytes(65_536))


def slow_headers(connection: socket.socket, stopped: threading.Event) -> None:
    """Send a header that never ends, a byte at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not stopped.wait(0.05):
        connection.sendall(b"x")


def slow_body(connection: socket.socket, stopped: threading.Event) -> None:
    """Send a body that never ends, a byte at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not stopped.wait(0.05):
        connection.sendall(b"x")


def test_an_endless_answer_is_cut() -> None:
    """It would fill the memory."""
    with answering(endless_body) as url:
        answer = request("GET", url, timeout=PATIENT, deadline=PATIENT)
    assert (answer.status_code, len(answer.content)) == (200, MOST_BYTES)


@pytest.mark.parametrize("answer", [slow_headers, slow_body])
def test_an_answer_that_comes_little_by_little_is_left_at_the_deadline(
    answer: Callable[[socket.socket, threading.Event], None],
) -> None:
    """Each single read is in time."""
    with answering(answer) as url, pytest.raises(httpx.HTTPError):
        request("GET", url, timeout=SHORT, deadline=SHORT)
