"""A further table of PostgreSQL that cannot be read holds back no other."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from readmodel.sync.run import Options, Report, sync
from readmodel.tables import ColumnKind, Table
from testbed.postgres import Database
from tests.support.effort import some_long
from tests.support.postgres import postgres_source

ORDERS = Table("orders", "id")
TEAMS = Table('sales.Teams, "all"', "id")
ESSENTIAL = Table("games", "id", {"n": ColumnKind.INTEGER})
"""As a table of the statistics."""

START = datetime(2026, 11, 21, tzinfo=UTC)


class Mirror:
    """A database with three tables of one row, one in another schema, and its mirror."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self.database = database
        self.data_dir = data_dir
        self.now = START
        self.retries: list[str] = []

    def sync(self) -> Report:
        """Sync all three, ten minutes after the sync before."""
        self.now += timedelta(minutes=10)
        return sync(
            postgres_source(self.database),
            self.data_dir,
            (ORDERS, TEAMS, ESSENTIAL),
            lambda: self.now,
            options=Options(on_retry=self.retries.append),
        )

    def values(self, table: str) -> list[int]:
        """The mirrored values of *table*."""
        file = self.data_dir / f"{table}.parquet"
        return pl.read_parquet(file)["n"].to_list()


@pytest.fixture
def mirror(postgres: Database, tmp_path: Path) -> Mirror:
    """The database after its first sync."""
    reader = postgres.reader.user
    postgres.run("CREATE SCHEMA sales", f"GRANT USAGE ON SCHEMA sales TO {reader}")
    for table in ("orders", "games", 'sales."Teams, ""all"""'):
        postgres.run(
            f"CREATE TABLE {table} (id int PRIMARY KEY, n int)",
            f"INSERT INTO {table} VALUES (1, 1)",
            f"GRANT SELECT ON {table} TO {reader}",
        )
    found = Mirror(postgres, tmp_path / "data")
    assert found.sync().failed == {}
    return found


@pytest.mark.parametrize(
    ("harm", "message"),
    some_long(
        [
            ("DROP TABLE orders", "Table orders is missing"),
            ("REVOKE SELECT ON orders FROM PUBLIC, {reader}", "may not read orders"),
            (
                """ALTER TABLE orders RENAME TO base;
            CREATE VIEW orders AS SELECT id, n / (n - 1) AS n FROM base;
            GRANT SELECT ON orders TO PUBLIC""",
                "failed at orders: division by zero",
            ),
            ("ALTER TABLE orders RENAME id TO key", "no column id, its sync column"),
        ]
    ),
)
def test_a_table_that_cannot_be_read_keeps_its_last_copy(
    mirror: Mirror, harm: str, message: str
) -> None:
    """The error does not end the transaction: the others are of its instant."""
    reader = mirror.database.reader.user
    mirror.database.run(harm.format(reader=reader), "INSERT INTO games VALUES (2, 2)")
    report = mirror.sync()
    assert message in report.failed["orders"].failed_because
    assert report.failed["orders"].taken_at == START + timedelta(minutes=10)
    assert mirror.values("orders") == [1]
    assert mirror.values("games") == [1, 2]
    assert mirror.retries == []


@contextmanager
def locked(database: Database, table: str) -> Iterator[None]:
    """Keep *table* as an ALTER TABLE that takes long does."""
    with closing(database.connect()) as connection:
        connection.autocommit = False
        connection.execute(f"LOCK TABLE {table}")
        yield


def test_a_table_that_stays_locked_is_set_aside(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is retried first, since a lock may pass."""
    monkeypatch.setattr("readmodel.source.postgres.source.LOCK_SECONDS", 1)
    monkeypatch.setattr("readmodel.sync.run.ATTEMPTS", 2)
    monkeypatch.setattr("time.sleep", lambda _: None)
    mirror.database.run("INSERT INTO games VALUES (2, 2)")
    with locked(mirror.database, "orders"):
        report = mirror.sync()
    assert "orders is being altered" in report.failed["orders"].failed_because
    assert len(mirror.retries) == 1
    assert mirror.values("games") == [1, 2]
    assert mirror.sync().failed == {}
