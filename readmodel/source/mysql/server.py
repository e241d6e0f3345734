"""Address, credentials and time limits of a MySQL or MariaDB database."""

from dataclasses import dataclass, field
from typing import Any

from readmodel.source.addresses import is_local
from readmodel.source.protocol import READ_SECONDS

CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class MysqlServer:
    """How to connect to one database of a server.

    A `host` that starts with a slash is the path of the server's socket; a literal IPv6
    address may have brackets. `ssl_ca` is the file of a certificate authority. With it, only a server whose
    certificate that authority signed is accepted; without it, TLS is used if the server
    offers it. An answer that makes no progress for `read_seconds` is an error.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    ssl_ca: str | None = None
    read_seconds: int = READ_SECONDS

    @property
    def name(self) -> str:
        """A name for messages, without secrets."""
        return f"{self.database} on {self.address}"

    @property
    def address(self) -> str:
        """The server's address as text: of a socket, its path."""
        if self._is_socket:
            return self.host
        host = self._bare_host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """True if the server is on this host, so that nobody is in between."""
        return is_local(self.host)

    @property
    def _is_socket(self) -> bool:
        return self.host.startswith("/")

    @property
    def _bare_host(self) -> str:
        return self.host.removeprefix("[").removesuffix("]")

    @property
    def connect_seconds(self) -> int:
        """The time limit for a connection."""
        return min(CONNECT_SECONDS, self.read_seconds)

    def connection_arguments(self) -> dict[str, Any]:
        """Keyword arguments for the driver's `connect`."""
        return {
            **self._endpoint(),
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "autocommit": True,
            "charset": "utf8mb4",
            "collation": "utf8mb4_bin",
            "connection_timeout": self.connect_seconds,
            "read_timeout": self.read_seconds,
            "write_timeout": self.read_seconds,
            # If reading a table ends early, the next table's statements drop the rest.
            "consume_results": True,
            **self._tls_arguments(),
        }

    def _endpoint(self) -> dict[str, Any]:
        if self._is_socket:
            return {"unix_socket": self.host}
        return {"host": self._bare_host, "port": self.port}

    def _tls_arguments(self) -> dict[str, Any]:
        if self.ssl_ca is None:
            return {}
        return {
            "ssl_ca": self.ssl_ca,
            "ssl_verify_cert": True,
            "ssl_verify_identity": True,
        }
