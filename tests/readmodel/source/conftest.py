"""Each test here runs against every source: the same rows, the same answers."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from readmodel.source.mysql.source import MysqlSource
from readmodel.source.protocol import Source
from readmodel.source.sqlite import SqliteSource
from readmodel.sync.run import Options, Report, sync
from readmodel.tables import TABLES, Table
from testbed import schema
from testbed.mariadb import Database
from testbed.schema import Row


@dataclass(frozen=True)
class Original:
    """A database to mirror, and the folder that mirrors it."""

    dialect: str
    source: Source
    connection: Any
    data_dir: Path

    def run(self, *statements: str) -> None:
        """Execute and commit."""
        cursor = self.connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        self.connection.commit()

    def create(self, *tables: str) -> None:
        """Create tables, or all six."""
        for table in tables or schema.TABLES:
            self.run(schema.ddl(table, self.dialect))

    def put(self, rows: Mapping[str, Sequence[Row]]) -> None:
        schema.put(self.connection, rows)

    def fill(self, seed: int = 1, count: int = 300, first: int = 1) -> dict[str, Any]:
        return schema.fill(self.connection, seed, count, first)

    def sync(self, *tables: Table, **options: Any) -> Report:
        """Mirror *tables*, or all six; *options* are those of `sync`."""
        return sync(
            self.source,
            self.data_dir,
            tables or tuple(TABLES.values()),
            lambda: datetime.now(UTC),
            options=Options(**options),
        )

    def mirrored(self, table: str) -> pl.DataFrame:
        """What any tool reads under the table's name."""
        return pl.read_parquet(self.data_dir / f"{table}.parquet")

    def rows(self, table: str) -> list[Row]:
        """The mirrored rows, in an order of their own."""
        return in_order(self.mirrored(table).rows())


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Rows sorted, NULLs and all, so that two lists can be compared."""
    return sorted(rows, key=repr)


@pytest.fixture(params=["mysql", "sqlite"])
def original(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Original]:
    """An empty database of each kind."""
    data_dir = tmp_path / "data"
    if request.param == "mysql":
        database: Database = request.getfixturevalue("database")
        login = database.reader
        source = MysqlSource(
            login.host, login.port, login.user, login.password, database.name
        )
        with closing(database.connect()) as connection:
            yield Original("mysql", source, connection, data_dir)
    else:
        path = tmp_path / "source.db"
        with closing(sqlite3.connect(path)) as lite:
            yield Original("sqlite", SqliteSource(path), lite, data_dir)
