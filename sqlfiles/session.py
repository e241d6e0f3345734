"""DuckDB connections whose results depend on nothing but the tables.

One thread (sums of floats differ from run to run with two), PostgreSQL's order of NULL,
a fixed time zone, a fixed clock, no extensions, no files but those of the tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from sqlfiles.definition import (
    JSON_UNIT,
    Definition,
    ParameterType,
    ParameterValue,
    quoted,
)
from sqlfiles.result_types import ResultColumn, duckdb_type, result_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_INSTANTS: Final = (
    "now",
    "current_timestamp",
    "get_current_timestamp",
    "transaction_timestamp",
)
_DATES: Final = ("current_date", "today")
_LOCAL: Final = ("localtimestamp", "current_localtimestamp")
_SAMPLES: Final[Mapping[ParameterType, ParameterValue]] = {
    ParameterType.TEXT: "",
    ParameterType.INTEGER: 2**62,  # a BIGINT, whatever value comes later
    ParameterType.NUMBER: 0.5,
    ParameterType.BOOLEAN: True,
    ParameterType.DATE: date(2026, 1, 1),
    ParameterType.TIMESTAMP: datetime(2026, 1, 1, tzinfo=UTC),
    ParameterType.DURATION: "24h",
}


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Time zone and clock of a session, and its limits.

    Sorting and joining may use `disk_mb` in `temp_dir` beyond `memory_mb`; without
    `temp_dir` the memory is the limit. With `reads_inline`, the thread that queries
    reads the files as well, and the engine starts no other one.
    """

    zone: ZoneInfo
    now: datetime
    memory_mb: int = 512
    temp_dir: Path | None = None
    disk_mb: int = 4096
    reads_inline: bool = False


def connect(options: SessionOptions) -> "DuckDBPyConnection":
    """Open an empty in-memory database. Close it after use."""
    connection = _open(options.memory_mb, options.reads_inline)
    _set_temp_dir(connection, options)
    _begin(connection, options.zone, options.now)
    return connection


def _open(memory_mb: int, reads_inline: bool = False) -> "DuckDBPyConnection":
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "memory_limit": f"{memory_mb}MB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "default_null_order": "postgres",
            **({"async_threads": 0} if reads_inline else {}),
        },
    )


def _begin(connection: "DuckDBPyConnection", zone: ZoneInfo, now: datetime) -> None:
    """Set the time zone and the clock of a connection."""
    connection.execute("SET python_enable_replacements = false")
    connection.execute(f"SET TimeZone = {literal(zone.key)}")
    _bind_clock(connection, now, zone)


def _set_temp_dir(connection: "DuckDBPyConnection", options: SessionOptions) -> None:
    if options.temp_dir is None:
        connection.execute("SET temp_directory = ''")
        return
    folder = literal(str(options.temp_dir))
    connection.execute(f"SET temp_directory = {folder}")
    connection.execute(f"SET max_temp_directory_size = '{options.disk_mb}MB'")


def _bind_clock(
    connection: "DuckDBPyConnection", now: datetime, zone: ZoneInfo
) -> None:
    """Define DuckDB's clock functions as macros of one instant."""
    utc, local = now.astimezone(UTC), now.astimezone(zone)
    values = {
        **dict.fromkeys(_INSTANTS, f"TIMESTAMPTZ '{utc:%Y-%m-%d %H:%M:%S.%f}+00:00'"),
        **dict.fromkeys(_DATES, f"DATE '{local:%Y-%m-%d}'"),
        **dict.fromkeys(_LOCAL, f"TIMESTAMP '{local:%Y-%m-%d %H:%M:%S.%f}'"),
    }
    for name, value in values.items():
        connection.execute(f"CREATE MACRO {name}() AS {value}")


def add_tables(
    connection: "DuckDBPyConnection", files: Mapping[str, Sequence[Path]]
) -> None:
    """Create a view over the Parquet files of each table; nothing else can be read."""
    allowed = [str(file) for table_files in files.values() for file in table_files]
    connection.execute(f"SET allowed_paths = {_array(allowed)}")
    connection.execute("SET enable_external_access = false")
    for name, paths in files.items():
        listed = _array([str(path) for path in paths])
        connection.execute(
            f"CREATE VIEW {quoted(name)} AS SELECT * FROM"
            f" read_parquet({listed}, hive_partitioning = false)"
        )
    connection.execute("SET lock_configuration = true")


def add_empty_tables(
    connection: "DuckDBPyConnection", schemas: Mapping[str, Mapping[str, str]]
) -> None:
    """Create a table without rows for each schema, column names with their dtypes."""
    for name, columns in schemas.items():
        listed = ", ".join(
            f"{quoted(column)} {duckdb_type(dtype)}"
            for column, dtype in columns.items()
        )
        connection.execute(f"CREATE TABLE {quoted(name)} ({listed})")


def bind(
    definition: Definition, schemas: Mapping[str, Mapping[str, str]]
) -> tuple[ResultColumn, ...]:
    """The columns that *definition* gives, without reading any row.

    *schemas* are its inputs' columns with their dtypes. Raises ValueError, a sentence,
    if the statement, a test or a key names what there is not, or if a column's type
    cannot be stored.
    """
    import duckdb

    connection = _binding_database().cursor()
    try:
        # What the definition needs is created in a transaction that is never committed.
        connection.begin()
        _begin(connection, definition.zone, datetime(2026, 1, 1, tzinfo=UTC))
        inputs = {name: schemas[name] for name in definition.inputs}
        add_empty_tables(connection, inputs)
        columns = _bound_columns(connection, definition)
        check_names(definition, [column.name for column in columns])
        _bind_tests(connection, definition, columns)
        return columns
    except duckdb.Error as error:
        raise ValueError(first_line(error)) from None
    finally:
        connection.close()


@cache
def _binding_database() -> "DuckDBPyConnection":
    """An empty database; opening one takes as long as binding ten definitions."""
    database = _open(memory_mb=64)
    database.execute("SET temp_directory = ''")
    return database


def _bound_columns(
    connection: "DuckDBPyConnection", definition: Definition
) -> tuple[ResultColumn, ...]:
    samples = {p.name: _SAMPLES[p.type] for p in definition.parameters}
    relation = connection.sql(definition.sql, params=samples or None)
    _check_json(definition, zip(relation.columns, relation.types, strict=True))
    return result_columns(zip(relation.columns, relation.types, strict=True))


def _check_json(definition: Definition, columns: Iterable[tuple[str, Any]]) -> None:
    """Raise ValueError for a column with the unit `json` that may have other text."""
    for name, kind in columns:
        if definition.note(name).unit == JSON_UNIT and str(kind) != "JSON":
            raise ValueError(
                f"@unit {name} {JSON_UNIT}: the column is {kind}, cast it by ::JSON"
            )


def _bind_tests(
    connection: "DuckDBPyConnection",
    definition: Definition,
    columns: Sequence[ResultColumn],
) -> None:
    if definition.object is None:
        return
    schema = {column.name: column.dtype for column in columns}
    add_empty_tables(connection, {definition.object: schema})
    for test in definition.tests:
        connection.sql(test.sql(definition.object))


def check_names(definition: Definition, columns: Sequence[str]) -> None:
    """Check the columns that keys name. Raises ValueError for the first unknown one."""
    named = [
        *(("order", term.column) for term in definition.order),
        *(("filter", f.column) for f in definition.filters),
        *(("column", note.name) for note in definition.columns),
        *(("test", name) for test in definition.tests for name in test.columns),
    ]
    for key, name in named:
        if name not in columns:
            listed = ", ".join(columns)
            raise ValueError(f"@{key} names {name}: the columns are {listed}")
    lower = [name.lower() for name in columns]
    for name in columns:
        if lower.count(name.lower()) > 1:
            raise ValueError(f"two columns are called {name}")


def literal(text: str) -> str:
    """*text* as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _array(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(literal, texts))}]"


def first_line(error: BaseException) -> str:
    """The message of *error* without DuckDB's excerpt of the statement."""
    text = str(error).split("\n\nLINE", 1)[0]
    return " ".join(text.split())
