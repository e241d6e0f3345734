"""A private MariaDB server with its own folder and its own port."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import mysql.connector
from mysql.connector.connection import MySQLConnection

from testbed.errors import TestbedError

START_SECONDS = 60
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"


@dataclass(frozen=True)
class Login:
    """Where a server answers, and to whom."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def connect(self, database: str | None = None, **more: Any) -> Any:
        """A connection that commits each statement, unless *more* says otherwise."""
        options: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": database,
            "autocommit": True,
            "charset": "utf8mb4",
            "collation": "utf8mb4_bin",
        }
        connection = MySQLConnection()
        try:
            connection.connect(**(options | more))
        except mysql.connector.Error:
            connection.close()  # or its socket stays open
            raise
        return connection

    def run(self, *statements: str, database: str | None = None) -> None:
        """Execute statements, one after the other."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()


@dataclass(frozen=True)
class Database:
    """A database of its own for one test.

    `owner` may do anything in it, `reader` has nothing but SELECT.
    """

    name: str
    owner: Login
    reader: Login

    def connect(self, **more: Any) -> Any:
        return self.owner.connect(self.name, **more)

    def run(self, *statements: str) -> None:
        self.owner.run(*statements, database=self.name)

    def environ(self) -> dict[str, str]:
        """The settings with which the updater reads this database."""
        return {
            "DB_HOST": self.reader.host,
            "DB_PORT": str(self.reader.port),
            "DB_USERNAME": self.reader.user,
            "DB_PASSWORD": self.reader.password,
            "DB_NAME": self.name,
        }


class Server:
    """A mariadbd that this process started, in a folder of its own."""

    def __init__(self, place: Path, *options: str) -> None:
        self.place = place
        self.options = options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        self.root = Login("127.0.0.1", port, "tester", secrets.token_hex(8))
        self._process: subprocess.Popen[bytes] | None = None
        self._install()

    def _install(self) -> None:
        command = [_found("mariadb-install-db"), *self._common(), "--force"]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TestbedError(f"mariadb-install-db failed: {done.stderr[-300:]}")
        user = f"'{self.root.user}'@'%'"
        create = f"CREATE USER {user} IDENTIFIED BY '{self.root.password}';"
        grant = f"GRANT ALL ON *.* TO {user} WITH GRANT OPTION;"
        lines = ["FLUSH PRIVILEGES;", create, grant]
        (self.place / "first.sql").write_text("\n".join(lines))

    def _common(self) -> list[str]:
        user = ["--user=root"] if os.geteuid() == 0 else []
        return ["--no-defaults", *user, f"--datadir={self.place / 'data'}"]

    def start(self) -> Self:
        """Start it and wait until it answers."""
        first = self.place / "first.sql"
        init = [f"--init-file={first}"] if first.exists() else []
        with (self.place / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _found("mariadbd"),
                    *self._common(),
                    "--bind-address=127.0.0.1",
                    f"--port={self.root.port}",
                    f"--socket={self.place / 's.sock'}",
                    f"--pid-file={self.place / 'pid'}",
                    # A server that starts clears its tmpdir, so it is not shared.
                    f"--tmpdir={self.place}",
                    "--skip-name-resolve",
                    "--innodb-flush-log-at-trx-commit=0",
                    "--innodb-buffer-pool-size=256M",
                    "--innodb-log-file-size=256M",
                    *init,
                    *self.options,
                ],
                stdout=log,
                stderr=log,
            )
        self._wait()
        first.unlink(missing_ok=True)
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.root.connect().close()
                return
            except mysql.connector.Error as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    log = (self.place / "server.log").read_text(errors="replace")
                    raise TestbedError(
                        f"mariadbd did not start: {error}; {log[-500:]}"
                    ) from error
            time.sleep(0.05)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was not started"
        return self._process

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End this server, and only it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)


def _found(program: str) -> str:
    path = os.pathsep.join([os.environ.get("PATH", ""), _SYSTEM_PATH])
    if found := shutil.which(program, path=path):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get", path=path):
        _install_mariadb()
        if found := shutil.which(program, path=path):
            return found
    raise TestbedError(
        f"{program} is missing: install MariaDB (apt-get install mariadb-server), "
        "or name a server with TEST_DB_HOST"
    )


def _install_mariadb() -> None:
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for step in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-qy", "--no-install-recommends", "mariadb-server"],
    ):
        subprocess.run(step, env=quiet, capture_output=True, check=False)


@contextmanager
def private_server(*options: str) -> Iterator[Server]:
    """A further server, for a test that needs options of its own or kills it."""
    with TemporaryDirectory(prefix="fpp-mariadb-") as place:
        server = Server(Path(place), *options)
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def fresh_database(login: Login) -> Iterator[Database]:
    """A database with an odd name, and a user who may only read it."""
    name = f"free-planning poker-{secrets.token_hex(4)}"
    user = f"reader_{secrets.token_hex(4)}"
    reader = Login(login.host, login.port, user, secrets.token_hex(8))
    login.run(
        f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4",
        f"CREATE USER {user}@'%' IDENTIFIED BY '{reader.password}'",
        f"GRANT SELECT ON `{name}`.* TO {user}@'%'",
    )
    try:
        yield Database(name, login, reader)
    finally:
        login.run(f"DROP DATABASE `{name}`", f"DROP USER {user}@'%'")
