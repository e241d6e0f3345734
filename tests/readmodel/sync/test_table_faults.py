"""A further table that cannot be read: its last copy stays, and the others are synced."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from readmodel.source.mysql.view import MysqlView
from readmodel.source.protocol import PassingFault
from readmodel.store.manifest import Manifest, TableFailure
from readmodel.store.snapshot import latest
from readmodel.sync.run import ATTEMPTS, Options, Report, sync
from readmodel.sync.verify import verify
from readmodel.tables import TABLES, ColumnKind, Table
from testbed.mariadb import Database
from tests.support.effort import some_long
from tests.support.mysql import mysql_source
from util.errors import SourceError

ORDERS = Table("orders", "id")
TEAMS = Table("teams", "id")
ESSENTIAL = Table("games", "id", {"n": ColumnKind.INTEGER})
"""As a table of the statistics."""

START = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass
class MirroredDatabase:
    """A MariaDB database with three tables of one row, and its mirror."""

    database: Database
    connection: Any
    data_dir: Path
    now: datetime = START

    def run(self, *statements: str) -> None:
        """Execute statements and commit."""
        with closing(self.connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
        self.connection.commit()

    def sync(self, *tables: Table, **options: Any) -> Report:
        """Sync *tables*, by default all three, ten minutes after the sync before."""
        self.now += timedelta(minutes=10)
        return sync(
            mysql_source(self.database),
            self.data_dir,
            tables or (ORDERS, TEAMS, ESSENTIAL),
            lambda: self.now,
            options=Options(**options),
        )

    def rows(self, table: Table) -> list[tuple[Any, ...]]:
        """The mirrored rows of *table*."""
        return pl.read_parquet(self.data_dir / f"{table.name}.parquet").rows()

    @property
    def manifest(self) -> Manifest:
        """The manifest of the current snapshot."""
        manifest = latest(self.data_dir).manifest
        assert manifest is not None
        return manifest


@pytest.fixture
def mirrored(database: Database, tmp_path: Path) -> Iterator[MirroredDatabase]:
    """The database after its first sync."""
    with closing(database.connect()) as connection:
        found = MirroredDatabase(database, connection, tmp_path / "data")
        for table in ("orders", "teams", "games"):
            found.run(
                f"CREATE TABLE {table} (id INT PRIMARY KEY, n INT)",
                f"INSERT INTO {table} VALUES (1, 1)",
            )
        found.sync()
        yield found


FAULTS = {
    "a table that was dropped": (
        ("DROP TABLE orders",),
        ("CREATE TABLE orders (id INT PRIMARY KEY, n INT)",),
        "Table orders is missing",
    ),
    "a view without its table": (
        (
            "RENAME TABLE orders TO base",
            "CREATE VIEW orders AS SELECT id, n FROM base",
            "RENAME TABLE base TO gone",
        ),
        ("RENAME TABLE gone TO base", "DELETE FROM base"),
        "orders",
    ),
    "a view with one value that cannot be computed": (
        (
            "RENAME TABLE orders TO base",
            "CREATE TABLE names (k INT, n INT)",
            "INSERT INTO names VALUES (1, 1), (1, 2)",
            (
                "CREATE VIEW orders AS SELECT id, "
                "(SELECT n FROM names WHERE k = base.id) AS n FROM base"
            ),
        ),
        ("DELETE FROM names", "DELETE FROM base"),
        "more than 1 row",
    ),
    "a table that lost its sync column": (
        ("ALTER TABLE orders DROP id",),
        ("DELETE FROM orders", "ALTER TABLE orders ADD id INT PRIMARY KEY"),
        "id",
    ),
}
"""What breaks the table, what repairs it (without rows), and a part of the message."""


@pytest.mark.parametrize("fault", some_long(FAULTS))
def test_a_further_table_that_cannot_be_read_keeps_its_last_copy(
    mirrored: MirroredDatabase, fault: str
) -> None:
    """It is marked, with the instants, until it can be read; the others are synced."""
    harm, repair, message = FAULTS[fault]
    retries: list[str] = []
    mirrored.run(*harm, "INSERT INTO teams VALUES (2, 2)")
    for minutes in (20, 30):
        report = mirrored.sync(on_retry=retries.append)
        assert mirrored.rows(ORDERS) == [(1, 1)]
        assert mirrored.rows(TEAMS) == [(1, 1), (2, 2)]
        assert [table.name for table in report.tables] == ["teams", "games"]
        failure = mirrored.manifest.failed["orders"]
        assert dict(report.failed) == {"orders": failure}
        assert failure.taken_at == START + timedelta(minutes=10)
        assert failure.stale_since == START + timedelta(minutes=20)
        assert message in failure.failed_because
        assert mirrored.manifest.taken_at == START + timedelta(minutes=minutes)
    assert retries == []
    mirrored.run(*repair)
    assert mirrored.sync().failed == {}
    assert mirrored.manifest.failed == {}
    assert mirrored.rows(ORDERS) == []


def test_reading_that_breaks_off_does_not_disturb_the_next_table(
    mirrored: MirroredDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the answer is dropped, in the same transaction."""
    mirrored.run(
        "INSERT INTO orders SELECT seq, seq FROM seq_2_to_20000",
        "INSERT INTO teams VALUES (2, 2)",
    )
    fetch = MysqlView.fetch

    def failing(view: MysqlView, table: Table, *arguments: Any) -> Generator[Any]:
        if table == ORDERS:
            kept.append(view.stream("SELECT id FROM orders"))
            next(kept[-1])
            raise SourceError("orders has a value that cannot be mirrored")
        yield from fetch(view, table, *arguments)

    kept: list[Iterator[Any]] = []
    monkeypatch.setattr(MysqlView, "fetch", failing)
    report = mirrored.sync()
    assert list(report.failed) == ["orders"]
    assert mirrored.rows(TEAMS) == [(1, 1), (2, 2)]
    assert mirrored.rows(ORDERS) == [(1, 1)]


def test_without_a_copy_the_table_is_missing_and_named(
    mirrored: MirroredDatabase,
) -> None:
    """The snapshot has the others."""
    report = mirrored.sync(ORDERS, Table("nowhere", "id"))
    failure = report.failed["nowhere"]
    assert failure.taken_at is None
    assert "nowhere is stale since" in failure.describe("nowhere")
    assert "there is no copy of it" in failure.describe("nowhere")
    assert set(mirrored.manifest.tables) == {"orders"}
    assert mirrored.manifest.mirrored == ("orders", "nowhere")


def test_a_damaged_copy_is_not_kept(mirrored: MirroredDatabase) -> None:
    """A part of it is missing."""
    for part in (latest(mirrored.data_dir).path / "orders.parquet").iterdir():
        part.unlink()
    mirrored.run("DROP TABLE orders")
    assert mirrored.sync().failed["orders"].taken_at is None
    assert "orders" not in mirrored.manifest.tables


def test_tables_of_the_statistics_are_all_or_nothing(
    mirrored: MirroredDatabase,
) -> None:
    """Nothing is published if one of them cannot be read."""
    before = latest(mirrored.data_dir)
    mirrored.run("DROP TABLE games", "INSERT INTO teams VALUES (2, 2)")
    with pytest.raises(SourceError, match="games is missing"):
        mirrored.sync()
    assert latest(mirrored.data_dir) == before
    assert all(table.is_essential for table in TABLES.values())


def test_a_sync_that_can_read_no_table_fails(mirrored: MirroredDatabase) -> None:
    """A snapshot would have nothing new; the last one stays."""
    before = latest(mirrored.data_dir)
    mirrored.run("DROP TABLE orders, teams")
    with pytest.raises(SourceError, match=r"orders is missing.*; .*teams is missing"):
        mirrored.sync(ORDERS, TEAMS)
    assert latest(mirrored.data_dir) == before


def test_a_table_whose_fault_does_not_pass_is_set_aside(
    mirrored: MirroredDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is retried as often as any fault; then the others are mirrored without it."""
    columns, tried = MysqlView.columns, []

    def locked(view: MysqlView, table: Table) -> Any:
        if table == ORDERS:
            tried.append(table)
            raise PassingFault("orders is locked")
        return columns(view, table)

    monkeypatch.setattr(MysqlView, "columns", locked)
    mirrored.run("INSERT INTO teams VALUES (2, 2)")
    report = mirrored.sync(pause=lambda _: None)
    assert len(tried) == ATTEMPTS
    assert report.failed["orders"].failed_because == "orders is locked"
    assert mirrored.rows(TEAMS) == [(1, 1), (2, 2)]


def test_a_failure_stays_while_other_tables_are_synced(
    mirrored: MirroredDatabase,
) -> None:
    """By --tables: the copy is as old as before."""
    mirrored.run("DROP TABLE orders")
    failure = mirrored.sync().failed["orders"]
    assert mirrored.sync(only=["teams"]).failed == {}
    assert mirrored.manifest.failed == {"orders": failure}
    assert mirrored.rows(ORDERS) == [(1, 1)]


def test_verify_names_a_further_table_that_cannot_be_read(
    mirrored: MirroredDatabase,
) -> None:
    """It goes on with the other tables; one that the statistics need ends it."""
    mirrored.run("DROP TABLE orders, games")
    source = mysql_source(mirrored.database)
    orders, teams = verify(source, mirrored.data_dir, [ORDERS, TEAMS])
    assert "cannot be compared: Table orders is missing" in str(orders.differences[0])
    assert teams.differences == ()
    with pytest.raises(SourceError, match="games is missing"):
        list(verify(source, mirrored.data_dir, [ESSENTIAL]))


def test_the_manifest_keeps_failures_and_names_only_where_there_are_some() -> None:
    """So it stays as it was for the tables of the statistics alone."""
    plain = Manifest(START)
    assert b"failed" not in plain.to_json()
    assert b"configured" not in plain.to_json()
    assert plain.mirrored == tuple(TABLES)
    failed = {"a": TableFailure(START, "because")}
    marked = Manifest(START, failed=failed, configured=("a",))
    assert Manifest.from_json(marked.to_json()) == marked
