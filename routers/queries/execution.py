"""A query in the process that was forked for it: gate, session, rows, encoding."""

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

# Polars imports it when it is needed, which is too late for a confined process.
import polars._utils.parquet

from routers.formats.media import TableFormat
from routers.formats.parquet import write_parquet
from routers.formats.table import TableAnswer
from routers.formats.text import csv_lines, json_document, json_rows, ndjson
from routers.queries.confinement import confine
from routers.queries.exchange import MAX_RESULT_BYTES, Query, QueryOutcome
from routers.queries.messages import parse_error
from routers.queries.statement import CallersStatement
from routers.worker.memory import limit_memory, open_usage, use_one_arena
from routers.worker.refusals import OutOfMemory, StatementFailed, StatementRefused
from routers.worker.rows import as_stored
from sqlfiles.definition import quoted
from sqlfiles.query_gate import check_query
from sqlfiles.result_types import ResultColumn, shown_columns
from sqlfiles.session import SessionOptions, add_tables, connect
from sqlfiles.tree import SqlFault

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_RESERVED_MB: Final = 2048
"""Address space that the engines reserve at first, and do not use."""

_ENGINE_SHARE: Final = 0.75
"""Of the memory; the rest is for the rows as they are encoded."""

_MEASURED_ROWS: Final = 250


def run_query(query: Query) -> bytes:
    """Confine this process, run *query*, and return its outcome and encoded rows.

    Raises NotConfined, StatementRefused, StatementFailed and OutOfMemory.
    """
    import duckdb

    began = time.perf_counter()
    usage = open_usage()
    use_one_arena()
    # The engine looks for limits of the system in its files, so it starts before these
    # are out of reach; it has read nothing of the caller yet.
    limit_memory(query.memory_mb + _RESERVED_MB, usage)
    connection = connect(_session(query))
    connection.execute("SET errors_as_json = true")
    # Tighter than before, now that the engine has reserved what it does not use.
    limit_memory(query.memory_mb, usage)
    confine(query.folder, query.cpu_seconds, use_landlock=query.use_landlock)
    statement = CallersStatement(query.sql)
    try:
        return _encode(_rows(connection, query, statement), query, began)
    except SqlFault as fault:
        message = statement.placed(fault.message, fault.offset or None)
        raise StatementRefused(message) from None
    except (duckdb.InternalException, duckdb.FatalException):
        raise StatementFailed("The engine cannot run this statement") from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise _too_large(query) from None
    except (duckdb.Error, OverflowError, ValueError, TypeError) as error:
        raise StatementFailed(statement.placed(*parse_error(str(error)))) from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        message, offset = parse_error(str(error))
        if "memory" in message.lower():  # also DuckDB's, as it hands over its rows
            raise _too_large(query) from None
        message = f"The rows cannot be shown, cast them to text: {message}"
        raise StatementFailed(statement.placed(message, offset)) from None


def _too_large(query: Query) -> OutOfMemory:
    return OutOfMemory(f"The query needs more than {query.memory_mb} MB of memory")


def _session(query: Query) -> SessionOptions:
    return SessionOptions(
        query.zone,
        query.taken_at,
        memory_mb=int(query.memory_mb * _ENGINE_SHARE),
        # Landlock confines one thread, so there must be no other one.
        reads_inline=True,
    )


def _rows(
    connection: "DuckDBPyConnection", query: Query, statement: CallersStatement
) -> pl.DataFrame:
    """At most one row more than the limit. Raises SqlFault, and errors of DuckDB."""
    tables = check_query(query.sql, query.files, connection)
    add_tables(connection, {name: query.files[name] for name in sorted(tables)})
    connection.execute("BEGIN TRANSACTION READ ONLY")
    # Each time the same check again, of exactly what is executed.
    empty = statement.within("SELECT * FROM (\n", "\n) LIMIT 0")
    check_query(empty, tables, connection)
    connection.execute(empty, query.params or None)
    columns = shown_columns([each[:2] for each in connection.description or ()])
    wrapped = _wrapped(statement, columns, query.limit + 1)
    check_query(wrapped, tables, connection)
    relation = connection.sql(wrapped, params=query.params or None)
    return as_stored(pl.DataFrame(relation), columns)


def _wrapped(
    statement: CallersStatement, columns: Sequence[ResultColumn], limit: int
) -> str:
    """A SELECT of the first *limit* rows of *statement* as *columns*.

    The line feeds end a comment in the statement's last line.
    """
    names = [f"c{index}" for index in range(len(columns))]
    selected = ", ".join(
        f"CAST({name} AS {column.cast}) AS {quoted(column.name)}"
        for name, column in zip(names, columns, strict=True)
    )
    after = f"\n) AS q({', '.join(names)}) LIMIT {limit}"
    return statement.within(f"SELECT {selected} FROM (\n", after)


def _encode(rows: pl.DataFrame, query: Query, began: float) -> bytes:
    """The outcome and the rows that fit, in the format of *query*."""
    kept = rows.head(min(query.limit, rows_within(rows, MAX_RESULT_BYTES)))
    if kept.is_empty() and not rows.is_empty():
        raise StatementFailed(
            f"The first row has more than {MAX_RESULT_BYTES:,} bytes of JSON"
        )
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    truncated = len(kept) < len(rows)
    answer = TableAnswer(
        title="query",
        rows=kept,
        zone=query.zone.key,
        data_updated_at=query.taken_at,
        truncated=truncated,
        details={"snapshot": query.snapshot, "milliseconds": milliseconds},
    )
    outcome = QueryOutcome(truncated, len(kept), kept.width, milliseconds)
    return outcome.encode(_encoder(query)(answer))


def _encoder(query: Query) -> Callable[[TableAnswer], bytes]:
    is_bare = query.rows_only and query.table_format is TableFormat.JSON
    return _joined(json_rows) if is_bare else _ENCODERS[query.table_format]


def rows_within(rows: pl.DataFrame, limit: int) -> int:
    """How many of the first *rows* have at most *limit* bytes as JSON lines."""
    count = size = 0
    for line in _json_lines(rows):
        size += len(line)
        if size > limit:
            break
        count += 1
    return count


def _json_lines(rows: pl.DataFrame) -> Iterator[bytes]:
    for piece in rows.iter_slices(_MEASURED_ROWS):
        for batch in ndjson(TableAnswer(title="", rows=piece)):
            yield from batch.splitlines(keepends=True)


def _parquet(answer: TableAnswer) -> bytes:
    target = io.BytesIO()
    write_parquet(answer, target)
    return target.getvalue()


def _joined(
    encode: Callable[[TableAnswer], Iterator[bytes]],
) -> Callable[[TableAnswer], bytes]:
    return lambda answer: b"".join(encode(answer))


_ENCODERS: Final[Mapping[TableFormat, Callable[[TableAnswer], bytes]]] = {
    TableFormat.JSON: _joined(json_document),
    TableFormat.CSV: _joined(csv_lines),
    TableFormat.NDJSON: _joined(ndjson),
    TableFormat.PARQUET: _parquet,
    # A workbook is made of such a file, by a job of its own.
    TableFormat.XLSX: _parquet,
}
