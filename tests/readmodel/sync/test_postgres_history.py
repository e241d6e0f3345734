"""Another history under the same address: noticed, and exact after one sync."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from readmodel.source.postgres.source import PostgresView
from readmodel.store.snapshot import current
from readmodel.sync.rotation import FULL_PASS
from readmodel.sync.run import sync
from readmodel.tables import TABLES
from testbed.postgres import (
    Database,
    Server,
    fresh_database,
    private_server,
    standby_of,
)
from tests.readmodel.sync.test_concurrent_writes import until
from tests.readmodel.sync.test_postgres_writes import (
    Writers,
    assert_exact,
    create,
    mirror,
)
from tests.support.postgres import postgres_source

WRITING_SECONDS = 1.0


@pytest.fixture(scope="module")
def primary() -> Iterator[Server]:
    """A server that standbys can follow."""
    with private_server("wal_level=replica") as server:
        yield server


@pytest.fixture
def database(primary: Server) -> Iterator[Database]:
    """A database with the six tables."""
    with fresh_database(primary.root) as fresh:
        create(fresh, 1)
        yield fresh


def write_for_a_while(database: Database, seed: int) -> None:
    """Let writers change the tables."""
    with Writers(database, seed):
        for _ in until(WRITING_SECONDS):
            pass


def marks(data_dir: Path) -> list[bool]:
    """For each part, whether it has a mark."""
    manifest = current(data_dir).manifest
    assert manifest is not None
    tables = manifest.tables.values()
    return [part.mark is not None for table in tables for part in table.parts]


@pytest.mark.long("test_a_table_that_was_created_anew_is_noticed")
def test_a_promoted_standby_is_noticed(
    primary: Server, database: Database, tmp_path: Path
) -> None:
    """Its transaction ids go on where the primary's were, for other rows."""
    with standby_of(primary) as standby:
        there = replace(
            database,
            owner=replace(database.owner, port=standby.root.port),
            reader=replace(database.reader, port=standby.root.port),
        )
        mirror(database, tmp_path)
        mirror(there, tmp_path)
        assert not any(marks(tmp_path)), "nothing is vouched for on a standby"
        mirror(database, tmp_path)
        assert all(marks(tmp_path))
        there.query("SELECT pg_promote()")
        write_for_a_while(database, 2)
        mirror(database, tmp_path)
        write_for_a_while(there, 3)
        mirror(there, tmp_path)
        assert_exact(there, tmp_path)
        write_for_a_while(database, 4)
        mirror(database, tmp_path)
        assert_exact(database, tmp_path)


@pytest.mark.long("test_a_table_that_was_created_anew_is_noticed")
def test_a_restored_dump_is_noticed(
    primary: Server, database: Database, tmp_path: Path
) -> None:
    """Under the same name, with rows of an earlier day."""
    mirror(database, tmp_path)
    owner = database.owner
    address = f"host={owner.host} port={owner.port} user={owner.user} password={owner.password}"
    dump = primary.call("pg_dump", f"{address} dbname='{database.name}'")
    file = primary.place / "dump.sql"
    primary.own(file, dump.encode())
    write_for_a_while(database, 5)
    mirror(database, tmp_path)
    owner.run(
        f'DROP DATABASE "{database.name}" WITH (FORCE)',
        f'CREATE DATABASE "{database.name}" TEMPLATE template0',
    )
    primary.call("psql", "-qf", str(file), f"{address} dbname='{database.name}'")
    mirror(database, tmp_path)
    assert_exact(database, tmp_path)
    write_for_a_while(database, 6)
    mirror(database, tmp_path)
    assert_exact(database, tmp_path)


def test_a_table_that_was_created_anew_is_noticed(
    database: Database, tmp_path: Path
) -> None:
    """With as many rows, the same keys, and other values."""
    mirror(database, tmp_path)
    database.run(
        "CREATE TABLE kept AS SELECT * FROM fpp_votes",
        "DROP TABLE fpp_votes",
        "CREATE TABLE fpp_votes (LIKE kept INCLUDING ALL)",
        "INSERT INTO fpp_votes SELECT * FROM kept",
        "UPDATE fpp_votes SET duration = duration + 1",
    )
    mirror(database, tmp_path)
    assert_exact(database, tmp_path)


def test_unchanged_blocks_are_not_digested_until_a_day_has_passed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A digest of everything, once in 20 hours, is the check on the marks."""
    clock = datetime(2026, 1, 1, tzinfo=UTC)
    digests: list[str] = []
    digest = PostgresView._digest

    def recorded(self: PostgresView, table: object, *more: object) -> object:
        digests.append(str(getattr(table, "name", "")))
        return digest(self, table, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresView, "_digest", recorded)

    def run(after: timedelta) -> set[str]:
        digests.clear()
        tables = list(TABLES.values())
        sync(postgres_source(database), tmp_path, tables, lambda: clock + after)
        return set(digests)

    assert run(timedelta(0)) == set(TABLES)
    assert run(timedelta(hours=1)) == set()
    with closing(database.connect()) as connection:
        connection.execute("DELETE FROM fpp_rooms WHERE id = 5")
        connection.execute("INSERT INTO fpp_rooms VALUES (-5, 1, 'n', now(), now())")
    assert run(timedelta(hours=2)) == {"fpp_rooms"}
    assert run(timedelta(hours=19)) == set()
    assert run(FULL_PASS) == set(TABLES) - {"fpp_rooms"}
    assert run(FULL_PASS + timedelta(hours=2)) == {"fpp_rooms"}
    assert run(FULL_PASS + timedelta(hours=3)) == set()
    assert_exact(database, tmp_path)


def test_a_full_sync_leaves_marks(database: Database, tmp_path: Path) -> None:
    """All rows were fetched at the instant that the mark describes."""
    mirror(database, tmp_path)
    mirror(database, tmp_path, full=True)
    assert all(marks(tmp_path))
