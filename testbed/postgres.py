"""A private PostgreSQL server with its own folder and its own port."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import quote

import psycopg

from demo.postgres import account_options, find_program, server_account
from testbed.errors import TestbedError

START_SECONDS = 60


@dataclass(frozen=True)
class Login:
    """The address of a server, and a role that may log in."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def connect(self, database: str = "postgres", **more: Any) -> psycopg.Connection:
        """A connection that commits each statement, unless *more* overrides it."""
        options: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": database,
            "autocommit": True,
            "client_encoding": "UTF8",
        }
        return psycopg.connect(**(options | more))

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Execute statements, one after the other."""
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def url(self, database: str) -> str:
        """The SOURCE_URL of *database*."""
        user, password = quote(self.user, ""), quote(self.password, "")
        place = f"{self.host}:{self.port}/{quote(database, '')}"
        return f"postgresql://{user}:{password}@{place}"


@dataclass(frozen=True)
class Database:
    """A database of its own for one test.

    `owner` is a superuser; `reader` has SELECT on the tables of the schema public and
    no other right.
    """

    name: str
    owner: Login
    reader: Login

    def connect(self, **more: Any) -> psycopg.Connection:
        """A connection of the owner."""
        return self.owner.connect(self.name, **more)

    def run(self, *statements: str) -> None:
        """Execute statements as the owner."""
        self.owner.run(*statements, database=self.name)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """All rows of *statement*, executed as the owner."""
        with self.connect() as connection:
            return connection.execute(statement.encode()).fetchall()

    def environ(self) -> dict[str, str]:
        """The settings with which the updater reads this database."""
        return {"SOURCE_URL": self.reader.url(self.name)}


class Server:
    """A postmaster that this process started, in a folder of its own."""

    def __init__(self, place: Path, *options: str) -> None:
        """*options* are settings, as in ``wal_level=replica``."""
        self.place = place
        self.data = place / "data"
        self.options = options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        self.root = Login("127.0.0.1", port, "tester", secrets.token_hex(8))
        self._process: subprocess.Popen[bytes] | None = None
        self._own(place)

    def own(self, path: Path, content: bytes) -> None:
        """Write a file that the server's account may read, and no other."""
        path.touch(mode=0o600)
        path.write_bytes(content)
        self._own(path)

    def _own(self, path: Path) -> None:
        if account := server_account():
            os.chown(path, account.pw_uid, account.pw_gid)

    def install(self, *arguments: str) -> Self:
        """Create an empty cluster; *arguments* go to initdb."""
        secret = self.place / "password"
        self.own(secret, self.root.password.encode())
        self.call(
            "initdb",
            f"--pgdata={self.data}",
            f"--username={self.root.user}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            *arguments,
        )
        secret.unlink()
        return self

    def copy_of(self, primary: "Server") -> Self:
        """Become a standby that follows *primary*, with its roles and passwords."""
        login = primary.root
        self.root = Login(login.host, self.root.port, login.user, login.password)
        self.call(
            "pg_basebackup",
            f"--pgdata={self.data}",
            f"--dbname=host={login.host} port={login.port} user={login.user} "
            f"password={login.password}",
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
        )
        return self

    def call(self, program: str, *arguments: str) -> str:
        """Run one of the server's programs as the server's account; its output."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [_found(program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.place,
            **account_options(),
        )
        if done.returncode:
            raise TestbedError(f"{program} failed: {done.stderr[-500:]}")
        return done.stdout

    def start(self) -> Self:
        """Start it and wait until it answers."""
        settings = (
            "listen_addresses=127.0.0.1",
            f"port={self.root.port}",
            f"unix_socket_directories={self.place}",
            "fsync=off",
            "shared_buffers=128MB",
            "max_wal_size=2GB",
            "logging_collector=off",
            *self.options,
        )
        with (self.place / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _found("postgres"),
                    f"-D{self.data}",
                    *(word for setting in settings for word in ("-c", setting)),
                ],
                stdout=log,
                stderr=log,
                cwd=self.place,
                **account_options(),
            )
        self._wait()
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.root.connect().close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    log = (self.place / "server.log").read_text(errors="replace")
                    raise TestbedError(
                        f"postgres did not start: {error}; {log[-500:]}"
                    ) from error
            time.sleep(0.05)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The postmaster; its children are the backends."""
        assert self._process is not None, "the server was not started"
        return self._process

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End this server, and only it; SIGINT closes its connections first."""
        if self._process is not None and self._process.poll() is None:
            children = _children(self._process.pid)
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)
            # After SIGKILL the backends notice by themselves, and a new postmaster
            # refuses to start before all have left.
            deadline = time.monotonic() + START_SECONDS
            while any(map(_is_running, children)) and time.monotonic() < deadline:
                time.sleep(0.02)


def _children(pid: int) -> Sequence[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    with suppress(OSError):
        return [int(child) for child in listed.read_text().split()]
    return []


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    with suppress(OSError):
        # A zombie holds nothing any more; its parent may take its time.
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def _found(program: str) -> str:
    """The path of *program*: in TEST_POSTGRES_BIN, or of the newest version installed."""
    if folder := os.environ.get("TEST_POSTGRES_BIN"):
        return str(Path(folder) / program)
    if found := find_program(program):
        return found
    raise TestbedError(
        f"{program} is missing: install PostgreSQL (scripts/test-services), "
        "or name a server with TEST_POSTGRES_HOST"
    )


@contextmanager
def private_server(*options: str) -> Iterator[Server]:
    """A further server, for a test that needs options of its own or kills it."""
    with TemporaryDirectory(prefix="fpp-postgres-") as place:
        server = Server(Path(place), *options).install()
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def standby_of(primary: Server, *options: str) -> Iterator[Server]:
    """A hot standby that replays what *primary* writes."""
    with TemporaryDirectory(prefix="fpp-standby-") as place:
        standby = Server(Path(place), *options).copy_of(primary)
        try:
            yield standby.start()
        finally:
            standby.stop()


@contextmanager
def fresh_database(login: Login, encoding: str = "UTF8") -> Iterator[Database]:
    """A database with an odd name, and a role that may only read it."""
    name = f"free-planning poker-{secrets.token_hex(4)}"
    user = f"reader_{secrets.token_hex(4)}"
    reader = Login(login.host, login.port, user, secrets.token_hex(8))
    login.run(
        f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'",
        f"CREATE ROLE {user} LOGIN PASSWORD '{reader.password}'",
    )
    database = Database(name, login, reader)
    database.run(
        f"GRANT USAGE ON SCHEMA public TO {user}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {user}",
    )
    try:
        yield database
    finally:
        database.run(f"DROP OWNED BY {user}")
        login.run(f'DROP DATABASE "{name}" WITH (FORCE)', f"DROP ROLE {user}")
