"""Logging in: no password goes to a server that is not known to be ours."""

import socket
from contextlib import suppress
from typing import Any, Final

from mysql.connector.authentication import MySQLAuthenticator
from mysql.connector.connection import MySQLConnection
from mysql.connector.errors import InterfaceError

CLEAR_TEXT: Final = "mysql_clear_password"


class VerifyingAuthenticator(MySQLAuthenticator):
    """Refuses to send the password as it is, unless the server was verified.

    The server chooses how the client logs in. Without an authority anybody between us
    and the database may choose, and TLS keeps its words secret from all others only.
    """

    is_verified: bool = False

    def authenticate(
        self, sock: Any, handshake: Any, *args: Any, **options: Any
    ) -> bytes:
        """Log in as the greeting says. Raises InterfaceError."""
        self._require_verified(handshake.get("auth_plugin"))
        answer: bytes = super().authenticate(sock, handshake, *args, **options)
        return answer

    def _switch_auth_strategy(
        self, new_strategy_name: str, *args: Any, **options: Any
    ) -> None:
        """Log in otherwise than the greeting said."""
        self._require_verified(new_strategy_name)
        super()._switch_auth_strategy(new_strategy_name, *args, **options)

    def _require_verified(self, plugin: str | None) -> None:
        if plugin == CLEAR_TEXT and not self.is_verified:
            raise InterfaceError(
                "The server asks for the password in clear text, and nothing proves "
                "that it is the database: set DB_SSL_CA"
            )


def new_connection(*, is_verified: bool) -> MySQLConnection:
    """A connection that is not open yet; *is_verified* with a certificate authority."""
    connection = MySQLConnection()
    authenticator = VerifyingAuthenticator()
    authenticator.is_verified = is_verified
    connection._authenticator = authenticator  # noqa: SLF001 - no public way
    return connection


def shut_down(connection: Any) -> None:
    """End all reading from *connection*, which keeps its descriptor until it is closed.

    The driver's own `shutdown` closes the descriptor, too.
    """
    with suppress(OSError):
        connection._socket.sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 - no public way
