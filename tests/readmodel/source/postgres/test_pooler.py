"""PgBouncer between the source and the server."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from demo.postgres import account_options
from readmodel.source.protocol import PassingFault
from testbed.ports import free_port
from testbed.postgres import Database, Server, fresh_database, private_server
from tests.readmodel.source.postgres.reading import read
from tests.readmodel.source.postgres.test_vouching import create, observe, vouched
from tests.readmodel.sync.test_concurrent_writes import until
from tests.support.effort import some_long
from util.errors import SourceError


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose folder may have the pooler's files, too."""
    with private_server() as started:
        yield started


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A database with 100 rows."""
    with fresh_database(server.root) as fresh:
        create(fresh)
        yield fresh


@contextmanager
def pooled(server: Server, database: Database, mode: str) -> Iterator[Database]:
    """The database by way of PgBouncer, with one connection for all clients."""
    reader, port = database.reader, free_port()
    with TemporaryDirectory(dir=server.place) as folder:
        users, settings = Path(folder) / "users", Path(folder) / "pgbouncer.ini"
        server.own(users, f'"{reader.user}" "{reader.password}"\n'.encode())
        server.own(
            settings,
            f"""
[databases]
* = host={reader.host} port={reader.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {mode}
default_pool_size = 1
""".encode(),
        )
        server._own(Path(folder))
        program = shutil.which("pgbouncer")
        assert program, "pgbouncer is missing: scripts/test-services installs it"
        process = subprocess.Popen(
            [program, "-q", str(settings)],
            stderr=subprocess.DEVNULL,
            **account_options(),
        )
        try:
            there = replace(database, reader=replace(reader, port=port))
            for _ in until(10):
                with suppress(psycopg.OperationalError):
                    there.reader.connect(database.name).close()
                    break
            yield there
        finally:
            process.terminate()
            process.wait()


@pytest.mark.parametrize("mode", some_long(["session", "transaction"]))
def test_a_pooler_changes_nothing(
    server: Server, database: Database, mode: str
) -> None:
    """Rows, digests and marks are those of the server, also after another client."""
    direct = read(database)
    with pooled(server, database, mode) as there:
        with there.reader.connect(database.name) as other:
            other.execute("SET timezone = 'Asia/Kathmandu'; SET datestyle = 'German'")
        found = read(there)
        assert found.frame.equals(direct.frame)
        assert found.blocks == direct.blocks
        known = observe(there)
        assert known is not None
        assert len(vouched(there, known)[0]) == 7
        assert len(vouched(database, known)[0]) == 7
        database.run("UPDATE things SET v = 'y' WHERE id = 1")
        assert len(vouched(there, known)[0]) == 6


def test_a_pooler_without_transactions_is_refused_in_one_line(
    server: Server, database: Database
) -> None:
    """Pool mode `statement` cannot give one instant."""
    with (
        pooled(server, database, "statement") as there,
        pytest.raises(SourceError) as raised,
    ):
        read(there)
    message = str(raised.value)
    assert "\n" not in message
    assert not isinstance(raised.value, PassingFault), message
    assert "pool_mode" in message
