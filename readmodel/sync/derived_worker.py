"""The process that builds derived tables: reads requests from stdin, answers on stdout.

It is a process of its own because a query may take any amount of memory and time. The
updater kills it at a deadline; the system limits its memory; and it dies with the
updater, since its stdin then ends.
"""

import os
import queue
import resource
import shutil
import sys
import threading
from collections.abc import Iterable
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
from pydantic import TypeAdapter

from readmodel.dtypes import dtype_name, parse_dtype
from readmodel.store.manifest import StoredTable
from readmodel.sync.derived_messages import (
    REQUEST,
    BuildOutcome,
    BuildReply,
    BuildRequest,
    CatalogueReply,
    CatalogueRequest,
    DefinitionFault,
    DerivedSpec,
    DerivedTest,
    WorkerRequest,
)
from readmodel.sync.snapshot_writer import SnapshotWriter
from sqlfiles import catalogue
from sqlfiles.definition import Definition, quoted
from sqlfiles.result_types import ResultColumn, result_columns
from sqlfiles.session import SessionOptions, add_tables, connect, first_line
from util.errors import StorageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PART_ROWS: Final = 262_144
MEBIBYTE: Final = 2**20
ADDRESS_SPACE_MB: Final = 3072
"""Address space beyond the configured memory: allocators reserve much more than they use.

It only stops what grows faster than the updater looks at the resident memory.
"""

_STATM: Final = Path("/proc/self/statm")
_VIEW: Final = "__definition"
_FAILURES: Final = "__failures"
_LARGEST_INT64: Final = 2**63 - 1


class _TestFailed(Exception):
    """A test returned rows; `detail` shows the first."""

    def __init__(self, message: str, detail: str) -> None:
        super().__init__(message)
        self.detail = detail


def main() -> None:
    """Answer requests until stdin ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in _lines():
        _answer(REQUEST.validate_json(line))


def _lines() -> Iterable[bytes]:
    """Lines of stdin. When it ends the process exits, even in the middle of a query."""
    lines: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        for line in sys.stdin.buffer:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()


def _answer(request: WorkerRequest) -> None:
    if isinstance(request, CatalogueRequest):
        _write(CatalogueReply, load(request))
    else:
        _write(BuildReply, build(request))


def _write[T](kind: type[T], reply: T) -> None:
    sys.stdout.buffer.write(TypeAdapter(kind).dump_json(reply, by_alias=True) + b"\n")
    sys.stdout.buffer.flush()


def load(request: CatalogueRequest) -> CatalogueReply:
    """Load the catalogue, reduced to what the updater needs."""
    folder, zone = Path(request.views_dir), ZoneInfo(request.zone)
    found = catalogue.load(folder, request.tables, zone)
    faults = (DefinitionFault(e.file, str(e), e.name, e.object) for e in found.errors)
    return CatalogueReply(
        tuple(map(spec_of, found.tables)), tuple(faults), duckdb.__version__
    )


def spec_of(definition: Definition) -> DerivedSpec:
    """What the updater needs to know about a derived table."""
    name = definition.object or definition.name
    tests = (DerivedTest(test.text, test.sql(name)) for test in definition.tests)
    return DerivedSpec(
        name=definition.name,
        type=definition.type,
        object=name,
        file=definition.file,
        line=definition.line,
        zone=definition.zone.key,
        inputs=definition.inputs,
        sql=definition.sql,
        order=tuple(term.sql for term in definition.order),
        tests=tuple(tests),
        sql_sha256=definition.statement.digest,
        header_sha256=definition.header_digest,
        uses_clock=definition.statement.uses_clock,
        every_sync=definition.every_sync,
        is_order_unique=definition.is_order_unique,
        notes=definition.statement.warnings,
    )


def build(request: BuildRequest) -> BuildReply:
    """Build a derived table; every failure is a reply."""
    _limit_memory(request.memory_mb)
    try:
        return _in_session(request)
    except _TestFailed as failure:
        return BuildReply(BuildOutcome.TEST_FAILED, str(failure), detail=failure.detail)
    except (duckdb.OutOfMemoryException, MemoryError):
        return BuildReply(
            BuildOutcome.MEMORY,
            f"it needs more than VIEWS_MEMORY_MB={request.memory_mb}",
        )
    except (duckdb.IOException, StorageError, OSError) as error:
        return BuildReply(BuildOutcome.DISK, first_line(error))
    except (duckdb.Error, ValueError, pl.exceptions.PolarsError) as error:
        return BuildReply(BuildOutcome.ERROR, first_line(error))


def _limit_memory(memory_mb: int) -> None:
    """Limit the address space to *memory_mb* more than the process has now.

    Only on Linux; elsewhere DuckDB's own limit has to do.
    """
    if not _STATM.exists():
        return
    pages = int(_STATM.read_text().split()[0])
    limit = (
        pages * os.sysconf("SC_PAGE_SIZE") + (memory_mb + ADDRESS_SPACE_MB) * MEBIBYTE
    )
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _in_session(request: BuildRequest) -> BuildReply:
    data_dir = Path(request.data_dir)
    writer = SnapshotWriter(data_dir, request.taken_at.astimezone(UTC))
    temp_dir = writer.path / f".{request.spec.object}.tmp"
    zone = ZoneInfo(request.spec.zone)
    connection = connect(
        SessionOptions(
            zone, request.taken_at, request.memory_mb, temp_dir, request.disk_mb
        )
    )
    try:
        files = {n: [Path(f) for f in listed] for n, listed in request.files.items()}
        add_tables(connection, files)
        columns = compute(connection, request.spec)
        run_tests(connection, request.spec)
        stored = write_parts(connection, request.spec.object, columns, writer)
        return BuildReply(BuildOutcome.BUILT, table=stored, rows=stored.rows)
    finally:
        connection.close()
        shutil.rmtree(temp_dir, ignore_errors=True)


def compute(
    connection: "DuckDBPyConnection", spec: DerivedSpec
) -> tuple[ResultColumn, ...]:
    """Compute the rows into a table called like the object, sorted."""
    connection.execute(f"CREATE VIEW {_VIEW} AS {spec.sql}")
    relation = connection.table(_VIEW)
    columns = result_columns(zip(relation.columns, relation.types, strict=True))
    connection.execute(
        f"CREATE TEMP TABLE {quoted(spec.object)} AS"
        f" SELECT * FROM {_VIEW}{_order_by(spec, columns)}"
    )
    return tuple(_narrowed(connection, spec.object, column) for column in columns)


def _order_by(spec: DerivedSpec, columns: Iterable[ResultColumn]) -> str:
    """Sort as declared, then by all columns, so that equal keys have one order.

    A declared order that is unique needs no further columns, which cost memory.
    """
    if not spec.order:
        return ""
    rest = (f"{quoted(column.name)} NULLS LAST" for column in columns)
    terms = spec.order if spec.is_order_unique else (*spec.order, *rest)
    return f" ORDER BY {', '.join(terms)}"


def _narrowed(
    connection: "DuckDBPyConnection", table: str, column: ResultColumn
) -> ResultColumn:
    """*column*, as Int64 if it is a HUGEINT whose values all fit."""
    if not column.wide:
        return column
    name = quoted(column.name)
    rows = connection.execute(
        f"SELECT count(*) FROM {quoted(table)}"
        f" WHERE {name} NOT BETWEEN {-_LARGEST_INT64 - 1} AND {_LARGEST_INT64}"
    ).fetchall()
    return column.narrow() if rows == [(0,)] else column


def run_tests(connection: "DuckDBPyConnection", spec: DerivedSpec) -> None:
    """Run the tests over the computed rows. Raises at the first that returns rows."""
    for test in spec.tests:
        rows, first = _failures(connection, test)
        if rows:
            text = " ".join(test.text.split())
            raise _TestFailed(f"@test {text} returned {rows} rows", first)


def _failures(connection: "DuckDBPyConnection", test: DerivedTest) -> tuple[int, str]:
    """How many rows *test* returned, and the first as text."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {_FAILURES} AS {test.sql}")
    ((rows, first),) = connection.execute(
        f"SELECT count(*), any_value({_FAILURES}::VARCHAR) FROM {_FAILURES}"
    ).fetchall()
    return int(rows), str(first)


def write_parts(
    connection: "DuckDBPyConnection",
    table: str,
    columns: tuple[ResultColumn, ...],
    writer: SnapshotWriter,
) -> StoredTable:
    """Write the rows as parts of the staged snapshot, in order."""
    schema = pl.Schema({column.name: parse_dtype(column.dtype) for column in columns})
    target = writer.table(table, {name: dtype_name(t) for name, t in schema.items()})
    selected = ", ".join(column.sql for column in columns)
    first = 0
    while True:
        relation = connection.sql(
            f"SELECT {selected} FROM {quoted(table)}"
            f" WHERE rowid >= {first} AND rowid < {first + PART_ROWS}"
        )
        rows = pl.DataFrame(relation).cast(schema)
        if rows.height or first == 0:
            target.write(rows, {})
        if rows.height < PART_ROWS:
            return target.stored
        first += PART_ROWS


if __name__ == "__main__":
    main()
