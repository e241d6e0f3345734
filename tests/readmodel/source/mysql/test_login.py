"""Logging in to a server that nobody has verified, on loopback and without MySQL."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mysql.connector.authentication import MySQLAuthenticator

from readmodel.source.mysql.login import CLEAR_TEXT, VerifyingAuthenticator
from readmodel.source.mysql.login import new_connection as connection
from readmodel.source.mysql.source import MysqlSource
from util.errors import SourceError

PASSWORD = "pass-in-clear-text"

# Of a server with TLS, plugins and long passwords, of protocol 4.1.
CAPABILITIES = 0x00000001 | 0x00000200 | 0x00000800 | 0x00008000 | 0x00080000


def greeting(plugin: str) -> bytes:
    """The first packet of a server with *plugin*."""
    content = b"".join(
        (
            b"\x0a8.0.0\x00",
            (7).to_bytes(4, "little"),
            b"12345678\x00",
            (CAPABILITIES & 0xFFFF).to_bytes(2, "little"),
            b"\x2d",
            (2).to_bytes(2, "little"),
            (CAPABILITIES >> 16).to_bytes(2, "little"),
            b"\x15",
            bytes(10),
            b"123456789012\x00",
            plugin.encode() + b"\x00",
        )
    )
    return len(content).to_bytes(3, "little") + b"\x00" + content


def switch(sequence: int) -> bytes:
    """The packet that asks for the password in clear text."""
    content = b"\xfe" + CLEAR_TEXT.encode() + b"\x00"
    return len(content).to_bytes(3, "little") + bytes([sequence]) + content


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has signed but itself, with its key."""
    folder = tmp_path_factory.mktemp("stranger")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        "-days 2 -subj /CN=stranger -keyout both.pem -out certificate.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text(both.read_text() + (folder / "certificate.pem").read_text())
    return both


@pytest.fixture(params=[CLEAR_TEXT, "caching_sha2_password"])
def stranger(
    certificate: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[int, bytearray]]:
    """The port of whoever answers for the database, and what was sent to it by TLS."""
    received = bytearray()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            plain, _ = server.accept()
            plain.settimeout(20)
            with plain, suppress(OSError, IndexError):
                plain.sendall(greeting(request.param))
                plain.recv(36)
                with context.wrap_socket(plain, server_side=True) as secured:
                    received.extend(secured.recv(4_096))
                    secured.sendall(switch(received[3] + 1))
                    while part := secured.recv(4_096):
                        received.extend(part)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1], received
        thread.join()


def test_a_server_that_asks_for_the_password_in_clear_text_is_refused(
    stranger: tuple[int, bytearray],
) -> None:
    """At once, or after another plugin. TLS alone does not say who answers."""
    port, received = stranger
    source = MysqlSource("127.0.0.1", port, "fpp", PASSWORD, "fpp", read_seconds=5)
    with pytest.raises(SourceError, match="DB_SSL_CA"), source.view():
        pass
    assert PASSWORD.encode() not in received


def test_the_driver_logs_in_by_our_authenticator() -> None:
    """It has no public way to be given one, so a new version may ignore it."""
    assert isinstance(
        connection(is_verified=True)._authenticator, VerifyingAuthenticator
    )
    assert hasattr(MySQLAuthenticator, "_switch_auth_strategy")
