"""Logging in to a server that asks for the password in clear text, without PostgreSQL."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from readmodel.source.postgres import source as postgres_source
from readmodel.source.postgres.source import PostgresSource
from util.errors import SourceError

PASSWORD = "pass-in-clear-text"
ENCRYPTION_REQUESTS = {80877103, 80877104}
CLEAR_TEXT = b"R" + struct.pack("!ii", 8, 3)


class Stranger:
    """A server on loopback that wants the password as it is; keeps what it receives."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.received = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                with self._socket.accept()[0] as client:
                    self._ask(client)

    def _ask(self, client: socket.socket) -> None:
        while self._request(client) in ENCRYPTION_REQUESTS:
            client.sendall(b"N")
        client.sendall(CLEAR_TEXT)
        while data := client.recv(4096):
            self.received += data
            if PASSWORD.encode() in self.received:
                return

    def _request(self, client: socket.socket) -> int:
        """The code of the next request before the login: a version, or a kind of TLS."""
        length, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
        client.recv(length - 8, socket.MSG_WAITALL)
        return int(code)

    def close(self) -> None:
        """Stop."""
        self._socket.close()


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """A running one."""
    server = Stranger()
    yield server
    server.close()


def log_in(server: Stranger, **options: str) -> None:
    """Log in as a sync does. Raises SourceError."""
    source = PostgresSource(
        "127.0.0.1", server.port, "fpp", PASSWORD, "fpp", options, read_seconds=5
    )
    with source.view():
        raise AssertionError("nobody can log in there")


def test_a_remote_server_that_asks_for_the_password_in_clear_text_is_refused(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says what to set."""
    monkeypatch.setattr(postgres_source, "is_local", lambda _: False)
    with pytest.raises(SourceError, match=r"in clear text.*set DB_SSL_CA"):
        log_in(stranger)
    assert PASSWORD.encode() not in stranger.received


def test_this_host_and_whoever_asks_for_it_may_have_it(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is between; and SOURCE_URL may name how to log in."""
    with pytest.raises(SourceError):
        log_in(stranger)
    assert PASSWORD.encode() in stranger.received
    stranger.received = b""
    monkeypatch.setattr(postgres_source, "is_local", lambda _: False)
    with pytest.raises(SourceError):
        log_in(stranger, require_auth="password")
    assert PASSWORD.encode() in stranger.received
