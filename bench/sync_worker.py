"""One method of copying the database, measured in a process of its own.

    python -m bench.sync_worker METHOD FOLDER HOST PORT USER PASSWORD DATABASE [KIND]

KIND is mysql, which is the default, postgresql, or sqlite, whose DATABASE is a file.

Prints one CopyCost as JSON.
"""

import os

from util import allocator, program_start

# Before anything that imports Polars.
os.environ.setdefault(allocator.VARIABLE, allocator.FOR_SYNCS)
if allocator.ARENAS_VARIABLE not in os.environ:
    allocator.share_one_arena()

# isort: split
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import polars as pl
from pydantic import BaseModel

from bench.machine import peak_bytes
from readmodel.source.blocking import choose_blocking
from readmodel.sync.run import sync
from readmodel.tables import TABLES

# The updater starts in the same way: its garbage is not collected while it imports, and
# only the driver of its source is imported.
program_start.finish()

if TYPE_CHECKING:
    from readmodel.source.mysql.source import MysqlSource
    from readmodel.source.postgres.source import PostgresSource
    from readmodel.source.sqlite.source import SqliteSource

CHUNK_ROWS = 100_000


class CopyCost(BaseModel):
    """The cost of one copy.

    `rows` were read from the database. `cpu` seconds and `peak_bytes` are those of the
    whole process, including its start, which takes `start_cpu`. `written` counts bytes passed to write(2).
    """

    wall: float = 0.0
    cpu: float = 0.0
    start_cpu: float = 0.0
    peak_bytes: int = 0
    rows: int = 0
    written: int = 0

    def amounts(self) -> list[str]:
        """Cells of a table: MB at the peak, rows read, MB written."""
        return [
            f"{self.peak_bytes / 2**20:,.0f}",
            f"{self.rows:,}",
            f"{self.written / 2**20:,.1f}",
        ]


type ServerSource = MysqlSource | PostgresSource
type AnySource = ServerSource | SqliteSource


def ours(source: AnySource, folder: Path) -> int:
    """Run the project's own sync."""
    tables = list(TABLES.values())
    return sync(source, folder, tables, lambda: datetime.now(UTC)).rows_fetched


def digests(source: AnySource, _: Path) -> int:
    """Run only the digest queries, the lower bound of a sync."""
    with source.view(tuple(TABLES.values())) as view:
        for table in TABLES.values():
            columns = view.columns(table)
            view.blocks(table, columns, choose_blocking(table, columns))
    return 0


def connectorx(source: AnySource, folder: Path) -> int:
    """Copy all rows with connectorx, one table at a time."""
    import connectorx as cx  # in a dependency group of its own

    url = _url(source)
    rows = 0
    for name in TABLES:
        frame = cx.read_sql(url, f"SELECT * FROM {name}", return_type="polars")
        frame.write_parquet(folder / f"{name}.parquet")
        rows += frame.height
    return rows


def _url(source: AnySource) -> str:
    from readmodel.source.mysql.source import MysqlSource
    from readmodel.source.sqlite.source import SqliteSource

    if isinstance(source, SqliteSource):
        return f"sqlite://{quote(str(source.path))}"
    kind = "mysql" if isinstance(source, MysqlSource) else "postgresql"
    login = f"{source.user}:{source.password}@{source.host}:{source.port}"
    return f"{kind}://{login}/{quote(source.database)}"


def adbc(source: ServerSource, folder: Path) -> int:
    """Copy all rows of PostgreSQL with its ADBC driver, one table at a time."""
    rows = 0
    for name in TABLES:
        frame = _arrow(source, f"SELECT * FROM {name}")
        frame.write_parquet(folder / f"{name}.parquet")
        rows += frame.height
    return rows


def adbc_last_id(source: ServerSource, folder: Path) -> int:
    """Add the rows above the highest key in the copy of `adbc`; rewrite the file."""
    rows = 0
    for name, table in TABLES.items():
        file = folder / f"{name}.parquet"
        stored = pl.read_parquet(file)
        last = stored[table.key].max()
        statement = f"SELECT * FROM {name} WHERE {table.key} > '{last!s}'"
        new = _arrow(source, statement)
        pl.concat([stored, new.cast(dict(stored.schema))]).write_parquet(file)  # type: ignore[arg-type]
        rows += new.height
    return rows


def _arrow(source: ServerSource, statement: str) -> pl.DataFrame:
    from adbc_driver_postgresql import dbapi  # in a dependency group of its own

    login = f"{quote(source.user)}:{quote(source.password)}@{source.host}:{source.port}"
    url = f"postgresql://{login}/{quote(source.database)}"
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return pl.DataFrame(cursor.fetch_arrow_table())


def cursors(source: "MysqlSource", folder: Path) -> int:
    """Copy all rows with the cursors of mysql-connector-python."""
    rows = 0
    with closing(_connect(source)) as connection:
        for name in TABLES:
            chunks = list(_chunks(connection, f"SELECT * FROM {name}", None))
            frame = pl.concat(chunks)
            frame.write_parquet(folder / f"{name}.parquet")
            rows += frame.height
    return rows


def last_id(source: "MysqlSource", folder: Path) -> int:
    """Add the rows above the highest stored key; rewrite the whole file."""
    rows = 0
    with closing(_connect(source)) as connection:
        for name, table in TABLES.items():
            file = folder / f"{name}.parquet"
            stored = pl.read_parquet(file) if file.exists() else None
            condition, schema = "", None
            if stored is not None:
                condition = f" WHERE {table.key} > '{stored[table.key].max()!s}'"
                schema = stored.schema
            new = list(_chunks(connection, f"SELECT * FROM {name}{condition}", schema))
            frame = pl.concat([*([] if stored is None else [stored]), *new])
            frame.write_parquet(file)
            rows += sum(chunk.height for chunk in new)
    return rows


METHODS: Final[dict[str, Callable[[Any, Path], int]]] = {
    "this project": ours,
    "digest queries alone": digests,
    "connectorx": connectorx,
    "ADBC": adbc,
    "id > max(id), by ADBC": adbc_last_id,
    "plain cursors": cursors,
    "id > max(id)": last_id,
}


def _connect(source: "MysqlSource") -> Any:
    import mysql.connector

    return mysql.connector.connect(
        host=source.host,
        port=source.port,
        user=source.user,
        password=source.password,
        database=source.database,
        use_pure=not mysql.connector.HAVE_CEXT,
        time_zone="+00:00",
    )


def _chunks(
    connection: Any, statement: str, schema: pl.Schema | None
) -> Iterator[pl.DataFrame]:
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement)
        names = list(cursor.column_names)
        while rows := cursor.fetchmany(CHUNK_ROWS):
            frame = pl.DataFrame(
                rows, schema=schema or names, orient="row", infer_schema_length=None
            )
            schema = schema or frame.schema
            yield frame.cast(dict(schema))  # type: ignore[arg-type]


def main(method: str, folder: str, *login: str) -> None:
    """Run one of METHODS and print its CopyCost."""
    source = _source(*login)
    start_cpu = time.process_time()
    began = time.perf_counter()
    rows = METHODS[method](source, Path(folder))
    wall = time.perf_counter() - began
    cpu = time.process_time()
    peak = peak_bytes(os.getpid())
    cost = CopyCost(
        wall=wall,
        cpu=cpu,
        start_cpu=start_cpu,
        peak_bytes=peak,
        rows=rows,
        written=_written(),
    )
    print(cost.model_dump_json())


def _source(
    host: str,
    port: str,
    user: str,
    password: str,
    database: str,
    kind: str = "mysql",
) -> AnySource:
    match kind:
        case "sqlite":
            from readmodel.source.sqlite.source import SqliteSource

            return SqliteSource(Path(database))
        case "postgresql":
            from readmodel.source.postgres.source import PostgresSource

            return PostgresSource(host, int(port), user, password, database)
        case _:
            from readmodel.source.mysql.source import MysqlSource

            return MysqlSource(host, int(port), user, password, database)


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


if __name__ == "__main__":
    main(*sys.argv[1:])
