"""A private PostgreSQL server with its own folder and its own port."""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self
from urllib.parse import quote

import psycopg

from demo.postgres import account_options, find_program, server_account
from testbed.errors import TestbedError

START_SECONDS = 60

installed_in: Path | None = None
"""A folder for one installation, which all servers of its users are copies of.

None installs each server by itself, which takes a second of processor time.
"""


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

    def install(self) -> Self:
        """Create an empty cluster."""
        if installed_in is None:
            self._initialize()
        else:
            self._copy(installed_in)
        return self

    def _copy(self, folder: Path) -> None:
        """Copy the installation in *folder*; the first process puts it there."""
        folder.mkdir(exist_ok=True)
        data, secret = folder / "data", folder / "password"
        with (folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not secret.exists():
                self._initialize()
                _copy_folder(self.data, data)
                secret.touch(mode=0o600)
                secret.write_text(self.root.password)
                return
        _copy_folder(data, self.data)
        self.root = replace(self.root, password=secret.read_text())

    def _initialize(self) -> None:
        secret = self.place / "password"
        self.own(secret, _verifier(self.root.password).encode())
        self.call(
            "initdb",
            f"--pgdata={self.data}",
            f"--username={self.root.user}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        secret.unlink()

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
            "full_page_writes=off",
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
    with (
        TemporaryDirectory(prefix="fpp-postgres-") as place,
        _running(Server(Path(place), *options).install()) as server,
    ):
        yield server


@contextmanager
def standby_of(primary: Server, *options: str) -> Iterator[Server]:
    """A hot standby that replays what *primary* writes."""
    with (
        TemporaryDirectory(prefix="fpp-standby-") as place,
        _running(Server(Path(place), *options).copy_of(primary)) as standby,
    ):
        yield standby


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        yield server.start()
    finally:
        server.stop()


def _copy_folder(source: Path, target: Path) -> None:
    """Copy files with their owner, which shutil does not."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _verifier(password: str) -> str:
    """The stored form of *password*, with one iteration where a server takes 4,096.

    These take 5 ms at each login.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    client, server = (
        hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key")
    )
    stored = hashlib.sha256(client).digest()
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return "SCRAM-SHA-256$1:{}${}:{}".format(*encoded)


@contextmanager
def fresh_database(login: Login, encoding: str = "UTF8") -> Iterator[Database]:
    """A database with an odd name, and a role that may only read it."""
    name = _create_database(login, encoding)
    database = Database(name, login, _new_reader(login))
    with database.connect() as connection:
        _create_reader(connection, database.reader)
    try:
        yield database
    finally:
        database.run(f"DROP OWNED BY {database.reader.user}")
        login.run(
            f'DROP DATABASE "{name}" WITH (FORCE)', f"DROP ROLE {database.reader.user}"
        )


def _create_database(login: Login, encoding: str) -> str:
    name = f"free-planning poker-{secrets.token_hex(4)}"
    options = f"TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
    login.run(f'CREATE DATABASE "{name}" {options}')
    return name


def _new_reader(login: Login) -> Login:
    user = f"reader_{secrets.token_hex(4)}"
    return Login(login.host, login.port, user, secrets.token_hex(8))


def _create_reader(connection: psycopg.Connection, reader: Login) -> None:
    """Let *reader* read the tables of the connection's database."""
    execute(
        connection,
        f"CREATE ROLE {reader.user} LOGIN PASSWORD '{_verifier(reader.password)}'",
        f"GRANT USAGE ON SCHEMA public TO {reader.user}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public "
        f"GRANT SELECT ON TABLES TO {reader.user}",
    )


def execute(connection: psycopg.Connection, *statements: str) -> None:
    """Execute statements, one after the other."""
    for statement in statements:
        connection.execute(statement.encode())


class ReusableDatabase:
    """A database that is emptied after each use, in a tenth of the time of a new one.

    What is in its catalogs then must be what they held at first. Otherwise, and if it
    cannot be emptied, the next use gets a new database.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        self._next: Database | None = None
        self._first_transaction = 0
        self._content: Mapping[str, object] = {}

    @contextmanager
    def used(self) -> Iterator[Database]:
        """An empty database, and a role that may only read it and is new."""
        database = self._next or self._create()
        self._next = None
        try:
            yield database
        finally:
            self._next = self._emptied(database)

    def close(self) -> None:
        """Drop the database."""
        if self._next:
            self._drop(self._next)

    def _create(self) -> Database:
        name = _create_database(self._login, "UTF8")
        with self._login.connect(name) as connection:
            self._first_transaction = _one(connection, "SELECT txid_current()")
            _empty(connection)
            self._content = self._content_of(connection)
            return self._with_reader(connection, name)

    def _with_reader(self, connection: psycopg.Connection, name: str) -> Database:
        database = Database(name, self._login, _new_reader(self._login))
        _create_reader(connection, database.reader)
        return database

    def _emptied(self, database: Database) -> Database | None:
        """The database for its next use; None if it was dropped instead."""
        user = database.reader.user
        try:
            with database.connect() as connection:
                execute(connection, "SET statement_timeout = '20s'", _END_OTHERS)
                _empty(connection)
                execute(connection, f"DROP OWNED BY {user}", f"DROP ROLE {user}")
                if self._content_of(connection) == self._content:
                    return self._with_reader(connection, database.name)
        except psycopg.Error:
            # A test may have dropped it, or left what stands in the way.
            pass
        self._drop(database)
        return None

    def _content_of(self, connection: psycopg.Connection) -> Mapping[str, object]:
        """Rows per catalog that are newer than the database, and its settings."""
        since = self._first_transaction
        counts = " UNION ALL ".join(
            f"SELECT '{name}', count(*) FROM pg_{name} WHERE xmin::text::bigint > {since}"
            for name in _CATALOGS
        )
        found: dict[str, object] = dict(connection.execute(counts.encode()).fetchall())
        return found | {"settings": _one(connection, _SETTINGS)}

    def _drop(self, database: Database) -> None:
        self._login.run(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')
        self._login.run(f"DROP ROLE IF EXISTS {database.reader.user}")


def _one(connection: psycopg.Connection, query: str) -> Any:
    """The only value of *query*."""
    ((value,),) = connection.execute(query.encode()).fetchall()
    return value


def _empty(connection: psycopg.Connection) -> None:
    """Drop all schemas, and create `public` as initdb does."""
    schemas = _one(connection, _OWN_SCHEMAS)
    execute(connection, f"DROP SCHEMA {schemas} CASCADE", *_CREATE_PUBLIC)


_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_OWN_SCHEMAS = """
SELECT string_agg(quote_ident(nspname), ', ') FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
_CREATE_PUBLIC = (
    "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
    "GRANT ALL ON SCHEMA public TO pg_database_owner",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
    "COMMENT ON SCHEMA public IS 'standard public schema'",
)
# What no schema contains, and where changed functions, tables and views would show.
_CATALOGS: Final = (
    "attribute",
    "cast",
    "class",
    "default_acl",
    "event_trigger",
    "extension",
    "foreign_data_wrapper",
    "foreign_server",
    "language",
    "largeobject_metadata",
    "namespace",
    "proc",
    "publication",
    "type",
)
_SETTINGS = """
SELECT jsonb_build_array(
    datacl, datconnlimit, datallowconn, datdba,
    (SELECT jsonb_agg(jsonb_build_array(setrole, setconfig)) FROM pg_db_role_setting
     WHERE setdatabase = database.oid)
)::text
FROM pg_database AS database WHERE datname = current_database()
"""
