"""The jobs of the worker: each is a function from files to a file or a value."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from routers.formats.xlsx import write_xlsx
from routers.queries.execution import run_query
from routers.views.loaded import Columns, LoadedViews, bind_all
from routers.worker.memory import limit_memory
from routers.worker.refusals import OutOfMemory, StatementFailed
from routers.worker.rows import as_stored
from sqlfiles import catalogue
from sqlfiles.definition import Definition, ParameterValue
from sqlfiles.result_types import result_columns
from sqlfiles.session import SessionOptions, add_tables, connect, first_line

HEADROOM_MB: Final = 256
"""For the rows as Polars has them, and for its threads."""


def load_views(
    views_dir: Path, tables: Mapping[str, Columns], zone: str
) -> LoadedViews:
    """Load the SQL files of *views_dir*; *tables* are the mirrored ones.

    Without columns of a table, those of what reads it remain unknown.
    """
    found = catalogue.load(views_dir, tuple(tables), ZoneInfo(zone))
    return bind_all(found, tables)


def run_report(
    definition: Definition,
    values: Mapping[str, ParameterValue | None],
    files: Mapping[str, list[Path]],
    now: datetime,
    memory_mb: int,
    target: Path,
) -> None:
    """Compute a report and write its rows to the Parquet file *target*.

    Raises OutOfMemory, and StatementFailed with DuckDB's message.
    """
    import duckdb

    options = SessionOptions(definition.zone, now, memory_mb)
    try:
        connection = connect(options)
        add_tables(connection, files)
        # Tighter than before, now that the engine has reserved what it does not use.
        limit_memory(memory_mb + HEADROOM_MB)
        relation = connection.sql(definition.sql, params=dict(values) or None)
        columns = result_columns(zip(relation.columns, relation.types, strict=True))
        rows = pl.DataFrame(relation.select(", ".join(c.sql for c in columns)))
    except (duckdb.OutOfMemoryException, MemoryError):
        message = f"{definition.name} needs more than {memory_mb} MB of memory"
        raise OutOfMemory(message) from None
    except (duckdb.Error, ValueError) as error:
        raise StatementFailed(f"{definition.name}: {first_line(error)}") from None
    as_stored(rows, columns).write_parquet(target)


JOBS: Final[Mapping[str, Callable[..., object]]] = {
    "xlsx": write_xlsx,
    "load_views": load_views,
    "run_report": run_report,
}
"""Name -> function; called with keyword arguments that can be pickled."""

CONFINED: Final[Mapping[str, Callable[..., bytes]]] = {"run_query": run_query}
"""The same, of functions that confine their process and return bytes."""
