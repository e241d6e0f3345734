"""The databases that the contract tests run against, one fixture for each source.

To add a source, write its fixture and add the fixture's name to SOURCES.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from readmodel.source.protocol import Source
from readmodel.source.sqlite.source import SqliteSource
from readmodel.sync.run import Options, Report, sync
from readmodel.tables import TABLES, Table
from testbed import schema
from testbed.mariadb import Database
from testbed.postgres import Database as PostgresDatabase
from testbed.schema import MYSQL, POSTGRES, SQLITE, Dialect, Row
from tests.support.mysql import mysql_source
from tests.support.postgres import postgres_source

SOURCES = {
    "mysql": "mysql_database",
    "postgres": "postgres_database",
    "sqlite": "sqlite_database",
}


@dataclass(frozen=True)
class SourceDatabase:
    """A database to mirror, and the folder for its mirror.

    `connection` is a DB-API connection that may write. `odd_name` is a column name that
    is as unusual as the database allows. `before_concurrent_writes` are statements that
    let the connection write while a view is open.
    """

    dialect: Dialect
    source: Source
    connection: Any
    data_dir: Path
    odd_name: str = "naïve 😀col"
    before_concurrent_writes: Sequence[str] = ()

    def run(self, *statements: str) -> None:
        """Execute statements and commit."""
        cursor = self.connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        self.connection.commit()

    def create(self, *tables: str) -> None:
        """Create *tables*, by default all six."""
        for table in tables or schema.TABLES:
            self.run(schema.ddl(table, self.dialect))

    def put(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Insert rows per table."""
        schema.put(self.connection, rows)

    def fill(self, seed: int = 1, count: int = 300, first: int = 1) -> dict[str, Any]:
        """Insert random rows into all six tables; return them per table."""
        return schema.fill(self.connection, seed, count, first)

    def sync(self, *tables: Table, **options: Any) -> Report:
        """Mirror *tables*, by default all six; *options* are those of `Options`."""
        return sync(
            self.source,
            self.data_dir,
            tables or tuple(TABLES.values()),
            lambda: datetime.now(UTC),
            options=Options(**options),
        )

    def mirrored(self, table: str) -> pl.DataFrame:
        """The mirrored table, as any tool reads it."""
        return pl.read_parquet(self.data_dir / f"{table}.parquet")

    def rows(self, table: str) -> list[Row]:
        """The mirrored rows, sorted for a comparison."""
        return in_order(self.mirrored(table).rows())


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Sort rows, NULLs included, so that two lists can be compared."""
    return sorted(rows, key=repr)


@pytest.fixture
def mysql_database(database: Database, tmp_path: Path) -> Iterator[SourceDatabase]:
    """An empty MariaDB database. MySQL's names contain no character beyond U+FFFF."""
    source, data_dir = mysql_source(database), tmp_path / "data"
    with closing(database.connect()) as connection:
        yield SourceDatabase(MYSQL, source, connection, data_dir, "naïve %scol")


@pytest.fixture
def postgres_database(
    postgres: PostgresDatabase, tmp_path: Path
) -> Iterator[SourceDatabase]:
    """An empty PostgreSQL database."""
    with closing(postgres.connect(autocommit=False)) as connection:
        yield SourceDatabase(
            POSTGRES, postgres_source(postgres), connection, tmp_path / "data"
        )


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[SourceDatabase]:
    """An empty SQLite file."""
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path)) as connection:
        yield SourceDatabase(
            SQLITE,
            SqliteSource(path),
            connection,
            tmp_path / "data",
            before_concurrent_writes=("PRAGMA journal_mode = WAL",),
        )


@pytest.fixture(params=SOURCES)
def original(request: pytest.FixtureRequest) -> SourceDatabase:
    """The empty database of each source in turn."""
    found: SourceDatabase = request.getfixturevalue(SOURCES[request.param])
    return found
