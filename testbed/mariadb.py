"""Private MariaDB servers, each with its own data folder and port."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import mysql.connector
from mysql.connector.connection import MySQLConnection

from testbed.errors import TestbedError
from testbed.ports import free_port

START_SECONDS = 60
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_INIT_FILE = "init.sql"
_LOG_FILE = "server.log"

# Kills the process $0 at the end of its input, which comes when we die; a line of input
# ends it without that.
_WATCHDOG = 'read -r line || kill -KILL "$0"'


@dataclass(frozen=True)
class Login:
    """The address of a server, and the credentials of one of its users."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def connect(self, database: str | None = None, **options: Any) -> Any:
        """Open a connection in autocommit mode; *options* override the defaults."""
        defaults: dict[str, Any] = {
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
            connection.connect(**(defaults | options))
        except mysql.connector.Error:
            connection.close()  # or its socket stays open
            raise
        return connection

    def run(self, *statements: str, database: str | None = None) -> None:
        """Execute statements in order, each in a transaction of its own."""
        connection = self.connect(database)
        with closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@dataclass(frozen=True)
class Database:
    """A database that belongs to one test.

    `owner` is an administrator of the server, `reader` has only SELECT on the database.
    """

    name: str
    owner: Login
    reader: Login

    def connect(self, **options: Any) -> Any:
        """Connect as the owner; *options* are those of `Login.connect`."""
        return self.owner.connect(self.name, **options)

    def run(self, *statements: str) -> None:
        """Execute statements as the owner, each in a transaction of its own."""
        self.owner.run(*statements, database=self.name)

    def environ(self) -> dict[str, str]:
        """Settings that make the updater read this database."""
        return {
            "DB_HOST": self.reader.host,
            "DB_PORT": str(self.reader.port),
            "DB_USERNAME": self.reader.user,
            "DB_PASSWORD": self.reader.password,
            "DB_NAME": self.name,
        }

    @contextmanager
    def global_variable(self, name: str, value: Any) -> Iterator[None]:
        """Set a global variable of the server, and restore it after the block.

        It affects all databases of the server, so the server must not be shared.
        """
        connection = self.owner.connect()
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(f"SELECT @@GLOBAL.{name}")
            ((before,),) = cursor.fetchall()
            cursor.execute(f"SET GLOBAL {name} = %s", (value,))
            try:
                yield
            finally:
                cursor.execute(f"SET GLOBAL {name} = %s", (before,))


class MariadbServer:
    """A mariadbd process started by this one, in *folder*, with further *options*.

    It is killed if this process dies before it has stopped the server.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.root = Login("127.0.0.1", free_port(), "tester", secrets.token_hex(8))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._install()

    def _install(self) -> None:
        command = [_find_program("mariadb-install-db"), *self._common_options()]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run(
            [*command, "--force"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise TestbedError(f"mariadb-install-db failed: {done.stderr[-300:]}")
        user = f"'{self.root.user}'@'%'"
        create = f"CREATE USER {user} IDENTIFIED BY '{self.root.password}';"
        grant = f"GRANT ALL ON *.* TO {user} WITH GRANT OPTION;"
        statements = ["FLUSH PRIVILEGES;", create, grant]
        (self.folder / _INIT_FILE).write_text("\n".join(statements))

    def _common_options(self) -> list[str]:
        user = ["--user=root"] if os.geteuid() == 0 else []
        # A server clears its tmpdir at its start, so it must not be the system's.
        folders = [f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder}"]
        return ["--no-defaults", *user, *folders]

    def start(self) -> Self:
        """Start the server and wait until it accepts connections."""
        init_file = self.folder / _INIT_FILE
        with (self.folder / _LOG_FILE).open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _find_program("mariadbd"),
                    *self._common_options(),
                    "--bind-address=127.0.0.1",
                    f"--port={self.root.port}",
                    f"--socket={self.folder / 's.sock'}",
                    f"--pid-file={self.folder / 'pid'}",
                    "--skip-name-resolve",
                    "--innodb-flush-log-at-trx-commit=0",
                    "--innodb-buffer-pool-size=256M",
                    "--innodb-log-file-size=256M",
                    *([f"--init-file={init_file}"] if init_file.exists() else []),
                    *self.options,
                ],
                stdout=log,
                stderr=log,
            )
        self._watchdog = subprocess.Popen(
            ["sh", "-c", _WATCHDOG, str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_for_connections()
        init_file.unlink(missing_ok=True)
        return self

    def _wait_for_connections(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.root.connect().close()
                return
            except mysql.connector.Error as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    log = (self.folder / _LOG_FILE).read_text(errors="replace")
                    raise TestbedError(
                        f"mariadbd did not start: {error}; {log[-500:]}"
                    ) from error
            time.sleep(0.05)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running mariadbd."""
        assert self._process is not None, "the server was not started"
        return self._process

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal *how* to the server and wait for its end."""
        if self._watchdog is not None:
            self._watchdog.communicate(b"stopped\n")
            self._watchdog = None
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)


def _find_program(name: str) -> str:
    path = os.pathsep.join([os.environ.get("PATH", ""), _SYSTEM_PATH])
    if found := shutil.which(name, path=path):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get", path=path):
        _install_mariadb()
        if found := shutil.which(name, path=path):
            return found
    raise TestbedError(
        f"{name} is missing: install MariaDB (apt-get install mariadb-server), "
        "or name a running server with TEST_DB_HOST"
    )


def _install_mariadb() -> None:
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-qy", "--no-install-recommends", "mariadb-server"],
    ):
        subprocess.run(command, env=environ, capture_output=True, check=False)


@contextmanager
def private_server(*options: str) -> Iterator[MariadbServer]:
    """Run a server that only the caller uses, with further mariadbd *options*."""
    with TemporaryDirectory(prefix="fpp-mariadb-") as folder:
        server = MariadbServer(Path(folder), *options)
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def fresh_database(login: Login) -> Iterator[Database]:
    """Create an empty database and its read-only user; drop both after the block.

    Its name contains a space and a hyphen, so that missing quotes are noticed.
    """
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
