"""A change of TABLES: what is added is fetched, what is left out is removed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.schema import create_table
from readmodel.source.sqlite.source import SqliteSource
from readmodel.store.snapshot import Snapshot, latest
from readmodel.sync.run import Report, sync
from readmodel.tables import TABLES, Table, select_tables
from tests.support.derived import NOON, run_derived, table_sql, write_views
from tests.support.snapshots import ids

ORDERS = Table("orders", "id")
TEAMS = Table("teams", "id")
ODD = Table('a/b, "c": ..%2F', "ke:y")


class Mirror:
    """An SQLite database with three tables of three rows, and its mirror."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.source = SqliteSource(folder / "source.db")
        self.data_dir = folder / "data"
        self.now = datetime(2026, 11, 21, tzinfo=UTC)

    def sync(self, *tables: Table) -> Report:
        """Sync *tables* and no others, ten minutes after the sync before."""
        self.now += timedelta(minutes=10)
        return sync(self.source, self.data_dir, tables, lambda: self.now)

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot."""
        return latest(self.data_dir)

    def inodes(self, table: Table) -> list[int]:
        """The inodes of the files of *table*: equal ones are hard links."""
        return [Path(file).stat().st_ino for file in self.snapshot.files(table.name)]


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """The database before its first sync."""
    with closing(sqlite3.connect(tmp_path / "source.db")) as connection:
        for table in (ORDERS, TEAMS, ODD):
            name = '"' + table.name.replace('"', '""') + '"'
            connection.execute(f'CREATE TABLE {name} ("{table.key}" INTEGER, n TEXT)')
            connection.execute(f"INSERT INTO {name} VALUES (1, 1), (2, 2), (3, 3)")
        connection.commit()
        yield Mirror(tmp_path, connection)


def fetched(report: Report) -> dict[str, int]:
    """Rows fetched per table."""
    return {table.name: table.counts.rows_fetched for table in report.tables}


def test_an_added_table_is_fetched_and_the_others_are_not(mirror: Mirror) -> None:
    """Their parts are hard links."""
    mirror.sync(ORDERS)
    before = mirror.inodes(ORDERS)
    report = mirror.sync(ODD, TEAMS, ORDERS)
    assert fetched(report) == {ODD.name: 3, "teams": 3, "orders": 0}
    assert report.removed == {}
    assert mirror.inodes(ORDERS) == before


def test_a_table_that_is_left_out_is_removed_and_counted(mirror: Mirror) -> None:
    """With its link in DATA_DIR; its old snapshots stay for requests in progress."""
    mirror.sync(ORDERS, ODD)
    assert (mirror.data_dir / 'a%2Fb, "c": ..%252F.parquet').is_symlink()
    report = mirror.sync(ORDERS)
    assert fetched(report) == {"orders": 0}
    assert dict(report.removed) == {ODD.name: 3}
    assert list(mirror.data_dir.glob("*.parquet")) == [
        mirror.data_dir / "orders.parquet"
    ]
    assert mirror.sync(ORDERS).removed == {}


def test_a_renamed_table_is_another_table(mirror: Mirror) -> None:
    """Its rows are fetched under the new name."""
    mirror.sync(ORDERS, TEAMS)
    mirror.connection.execute("ALTER TABLE orders RENAME TO sales")
    report = mirror.sync(Table("sales", "id"), TEAMS)
    assert fetched(report) == {"sales": 3, "teams": 0}
    assert dict(report.removed) == {"orders": 3}


def test_another_sync_column_fetches_the_table_alone(mirror: Mirror) -> None:
    """Its blocks are others."""
    mirror.connection.execute("ALTER TABLE orders ADD m INTEGER DEFAULT 7")
    mirror.sync(ORDERS, TEAMS)
    report = mirror.sync(Table("orders", "m"), TEAMS)
    assert fetched(report) == {"orders": 3, "teams": 0}
    assert report.removed == {}


def test_no_table_at_all_is_a_snapshot_that_is_left_again(mirror: Mirror) -> None:
    """TABLES=none, and back."""
    mirror.sync(ORDERS)
    assert dict(mirror.sync().removed) == {"orders": 3}
    assert mirror.snapshot.configured == ()
    assert fetched(mirror.sync(ORDERS)) == {"orders": 3}


def test_the_six_tables_may_be_named_or_not(mirror: Mirror) -> None:
    """The setting changes nothing that is stored, and no table is fetched again."""
    for name in TABLES:
        mirror.connection.execute(create_table(name, "sqlite"))
    named = [(table.name, table.key) for table in TABLES.values()]
    mirror.sync(*select_tables(None))
    manifest = mirror.snapshot.manifest
    assert manifest is not None
    assert manifest.configured is None
    before = [mirror.inodes(table) for table in TABLES.values()]
    report = mirror.sync(*select_tables(reversed(named)))
    assert [mirror.inodes(table) for table in TABLES.values()] == before
    assert report.removed == {}
    assert mirror.snapshot.serves_statistics


def test_a_table_takes_the_name_of_a_derived_one(
    mirror: Mirror, tmp_path: Path
) -> None:
    """The derived rows are neither reused nor kept as its last copy."""
    views = write_views(tmp_path / "views", a=table_sql("orders", "SELECT 1 AS id"))
    run_derived(mirror.data_dir, views, {"teams": ids(1)}, NOON)
    mirror.now = NOON
    assert dict(mirror.sync(ORDERS).removed) == {"teams": 1}
    assert mirror.snapshot.scan("orders").collect().height == 3
    run_derived(mirror.data_dir, views, {"teams": ids(1)}, NOON + timedelta(hours=1))
    mirror.connection.execute("DROP TABLE orders")
    mirror.now += timedelta(hours=2)
    failure = mirror.sync(ORDERS, TEAMS).failed["orders"]
    assert failure.taken_at is None
