"""A MySQL source for a test's database, and the mirror of its table `things`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from readmodel.source.mysql.source import MysqlSource
from readmodel.sync.run import Report, sync
from readmodel.tables import Table
from testbed.mariadb import Database

THINGS = Table("things", key="id")


def mysql_source(database: Database) -> MysqlSource:
    """The source that reads *database* as its read-only user."""
    reader = database.reader
    return MysqlSource(
        reader.host, reader.port, reader.user, reader.password, database.name
    )


def mirror(
    source: Database | MysqlSource, data_dir: Path, tables: Sequence[Table] = (THINGS,)
) -> Report:
    """Sync *tables* into *data_dir*."""
    opened = source if isinstance(source, MysqlSource) else mysql_source(source)
    return sync(opened, data_dir, tables, lambda: datetime.now(UTC))


def read_things(data_dir: Path) -> pl.DataFrame:
    """The mirrored rows of `things`, as any tool reads them."""
    return pl.read_parquet(data_dir / "things.parquet")
