"""SQLite as a source: the embedded database of the demo and of small installations.

Columns are declared with the type names of MySQL or SQLite; timestamps are UTC text.
SQLite stores any value in any column, so a value that does not fit its column's declared
type is an error that names the row.
"""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.source import wire
from readmodel.source.blocking import (
    EVERYTHING,
    SECONDS_TO_1970,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
    KeyKind,
)
from readmodel.source.column_types import (
    INTEGER_TYPES,
    DeclaredType,
    decimal_dtype,
)
from readmodel.source.protocol import PassingFault
from readmodel.source.wire import QUOTE, ROW_END, SEPARATOR, Batch, Column, decode
from readmodel.tables import Table
from util.errors import SourceError

BUSY_SECONDS = 10
ROWS_PER_BATCH = 40_000


@dataclass(frozen=True, slots=True)
class SqliteSource:
    """An SQLite file as a `Source`."""

    path: Path

    @property
    def name(self) -> str:
        """A name for messages."""
        return f"SQLite file {self.path}"

    @contextmanager
    def view(
        self,
        tables: Sequence[Table] = (),  # noqa: ARG002 - part of the protocol
    ) -> Iterator["SqliteView"]:
        """Open a view of the present instant. Raises SourceError when that fails."""
        if not self.path.is_file():
            raise SourceError(f"There is no {self.name}: check SOURCE_URL")
        digest = _Digest()
        with closing(self._connect()) as connection:
            with _translate_errors(self.name, digest):
                connection.create_function("digest", 1, digest, deterministic=True)
                connection.execute("BEGIN")
                # BEGIN alone does not start the transaction: its first read does.
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            yield SqliteView(self.name, connection, digest)

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        if self._needs_no_shared_memory():
            uri += "&immutable=1"
        with _translate_errors(self.name):
            return sqlite3.connect(
                uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None
            )

    def _needs_no_shared_memory(self) -> bool:
        """Whether a file in WAL mode is read in a folder that we cannot write to.

        SQLite then cannot create the -shm file that a reader needs. Without a -wal
        file no application has the database open, and the file is complete. Raises
        SourceError when there is a -wal file, whose changes cannot be read then.
        """
        folder = self.path.parent
        if not _is_wal(self.path) or os.access(folder, os.W_OK):
            return False
        shared_memory, wal = (Path(f"{self.path}-{end}") for end in ("shm", "wal"))
        if shared_memory.exists():
            return False
        if wal.exists() and wal.stat().st_size:
            raise SourceError(
                f"{self.name} is in WAL mode with changes in {wal.name}, which can be "
                f"read only by a user who may write to {folder}: let the updater write "
                "there, or run PRAGMA wal_checkpoint(TRUNCATE) as the owner"
            )
        return True


def _is_wal(file: Path) -> bool:
    """Whether the database's header says that it is in WAL mode."""
    with file.open("rb") as stream:
        return stream.read(20)[18:20] == b"\x02\x02"


class _Digest:
    """SQL function for digests: CRC-32 twice, as the MySQL source does.

    SQLite replaces an exception in a function by an error of its own. `raised` keeps
    the exception, which may be a request to stop.
    """

    def __init__(self) -> None:
        self.raised: BaseException | None = None

    def __call__(self, packed_row: bytes) -> int:
        try:
            return zlib.crc32(str(zlib.crc32(packed_row)).encode())
        except BaseException as error:
            self.raised = error
            raise


class SqliteView:
    """A `View` of an SQLite file: one open transaction."""

    digest_format = 1

    def __init__(
        self, name: str, connection: sqlite3.Connection, digest: _Digest
    ) -> None:
        self._name = name
        self._connection = connection
        self._digest = digest

    def columns(self, table: Table) -> Sequence[Column]:
        """Read the columns of *table*, in their order, with their declared types."""
        found = self._query(f"PRAGMA table_xinfo({_identifier(table.name)})")
        if not found:
            raise SourceError(f"Table {table.name} is missing in {self._name}")
        # hidden = 1 marks the inner columns of virtual tables.
        return [_column(str(r[1]), str(r[2])) for r in found if r[6] != 1]

    def hides_columns(self, table: Table) -> bool:  # noqa: ARG002 - the protocol's
        """Return False: SQLite has no rights on columns."""
        return False

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """Read the bounds of an integer key; None when no row has a key."""
        key, name = _identifier(table.key), _identifier(table.name)
        ((low, high, rows),) = self._query(
            f"SELECT MIN({key}), MAX({key}), COUNT(*) FROM {name}"
        )
        return None if low is None else KeyBounds(int(low), int(high), int(rows))

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Digest the blocks of *block_range* that contain rows, sorted by number."""
        first, last = block_range.first, block_range.last
        number = _block_number(blocking)
        lower = "TRUE" if first is None else f"{number} >= {first}"
        upper = "TRUE" if last is None else f"{number} <= {last}"
        unnumbered = f"OR {number} IS NULL" if first is None else ""
        found = self._query(
            f"SELECT {number}, COUNT(*), "
            f"SUM(digest(CAST({_packed_row(columns)} AS BLOB))) "
            f"FROM {_identifier(table.name)} WHERE ({lower} AND {upper}) {unnumbered} "
            "GROUP BY 1 ORDER BY 1"
        )
        return [Block(*row) for row in found]

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """Fetch the rows of *blocks* in batches of about ROWS_PER_BATCH rows."""
        texts, rows = [], 0
        for block, text in self._texts(table, columns, blocking, blocks):
            texts.append(text)
            rows += block.rows
            if rows >= ROWS_PER_BATCH:
                yield self._decode(table, b"".join(texts), columns, rows)
                texts, rows = [], 0
        if rows:
            yield self._decode(table, b"".join(texts), columns, rows)

    def _decode(
        self, table: Table, text: bytes, columns: Sequence[Column], rows: int
    ) -> Batch:
        text, repaired = _repair(text)
        try:
            batch = decode(table, text, columns, rows)
        except SourceError as error:
            raise self._misfit(table, columns) or error from error
        return replace(batch, repaired_texts=repaired)

    def _misfit(self, table: Table, columns: Sequence[Column]) -> SourceError | None:
        """An error that names the first value that does not fit its declared type."""
        key, name = _identifier(table.key), _identifier(table.name)
        for column in columns:
            value = _identifier(column.name)
            found = self._query(
                f"SELECT {key}, quote({value}) FROM {name} "
                f"WHERE NOT ({_fits(column)}) LIMIT 1"
            )
            for key_value, text in found:
                return SourceError(
                    f"{table.name}.{column.name} has a value that is not "
                    f"{_KINDS[column.dtype.base_type()]} where {table.key} is "
                    f"{key_value!r}: {text[:40]}"
                )
        return None

    def _texts(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[tuple[Block, bytes]]:
        # One scan for all blocks: no index of the key can be used for block numbers.
        number = _block_number(blocking)
        by_number = {block.number: block for block in blocks}
        numbers = ",".join(str(block) for block in by_number if block is not None)
        unnumbered = f" OR {number} IS NULL" if None in by_number else ""
        statement = (
            f"SELECT {number}, "
            f"CAST(GROUP_CONCAT({_packed_row(columns)}, '') AS BLOB) "
            f"FROM {_identifier(table.name)} "
            f"WHERE {number} IN ({numbers}){unnumbered} "
            "GROUP BY 1 ORDER BY 1"
        )
        with _translate_errors(self._name, self._digest):
            for found, text in self._connection.execute(statement):
                yield by_number[found], text

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        with _translate_errors(self._name, self._digest):
            return self._connection.execute(statement).fetchall()


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _packed_row(columns: Sequence[Column]) -> str:
    fields = f"||'{SEPARATOR}'||".join(column.sql for column in columns)
    return f"{fields}||'{ROW_END}'"


def _block_number(blocking: Blocking) -> str:
    key = _identifier(blocking.key)
    if blocking.key_kind is KeyKind.TIME:
        seconds = f"CAST(strftime('%s', {key}) AS INTEGER) + {SECONDS_TO_1970}"
        return f"(CASE WHEN {_is_date(key)} THEN ({seconds}) / {blocking.width} END)"
    return f"({key} >> {blocking.width.bit_length() - 1})"


def _is_date(sql: str) -> str:
    """SQL that is true if the value begins with a day of the calendar.

    With a modifier, strftime() turns 2023-02-31 into 2023-03-03.
    """
    return f"strftime('%Y-%m-%d', {sql}, '+0 days') = substr({sql}, 1, 10)"


_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_SCHEMA,
}


@contextmanager
def _translate_errors(name: str, digest: _Digest | None = None) -> Iterator[None]:
    """Raise the driver's errors as SourceError, or as PassingFault.

    An exception that the digest function raised is raised as it is.
    """
    try:
        yield
    except sqlite3.Error as error:
        if digest and digest.raised:
            raise digest.raised from None
        # The primary code: extended codes have more bits.
        passing = getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
        kind = PassingFault if passing else SourceError
        raise kind(f"{name} cannot be read: {error}") from error


def _repair(text: bytes) -> tuple[bytes, int]:
    """Replace bytes that are not UTF-8 by U+FFFD; and the number of texts with such."""
    if _is_utf8(text):
        return text, 0
    fields = text.split(QUOTE.encode())
    repaired = sum(not _is_utf8(field) for field in fields)
    return text.decode(errors="replace").encode(), repaired


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _column(name: str, text: str) -> Column:
    declared = DeclaredType.parse(text)
    encoded = _ENCODERS.get(declared.name, _text)(name, declared)
    return replace(encoded, sql=f"COALESCE({encoded.sql}, '')")


# No number and no date: a value of another type than declared fails to parse.
_MISFIT = "'misfit'"
_NO_DATE = "no date"
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"


INTEGER = pl.Int64()
"""Integers have up to 64 bits, whatever the declared type is called."""


def _integer(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    integer = (
        f"CASE WHEN typeof({sql}) IN ('integer', 'null') THEN {sql} ELSE {_MISFIT} END"
    )
    return Column(name, INTEGER, integer, INTEGER)


def _boolean(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    digit = f"CASE WHEN {sql} IN (0, 1) OR {sql} IS NULL THEN {sql} ELSE {_MISFIT} END"
    return Column(name, pl.Boolean(), digit, pl.Int8(), wire.boolean_from_number)


def _decimal(name: str, declared: DeclaredType) -> Column:
    dtype, sql = decimal_dtype(declared), _identifier(name)
    if not isinstance(dtype, pl.Decimal):
        return _text(name, declared)
    rounded = f"printf('%.{dtype.scale}f', {sql})"
    text = (
        f"CASE typeof({sql}) WHEN 'real' THEN {rounded} WHEN 'integer' THEN {sql} "
        f"WHEN 'null' THEN NULL ELSE {_MISFIT} END"
    )
    return Column(name, dtype, text, dtype)


def _float(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    exact = (
        f"CASE typeof({sql}) WHEN 'real' THEN printf('%!.17g', {sql}) "
        f"WHEN 'integer' THEN {sql} WHEN 'null' THEN NULL ELSE {_MISFIT} END"
    )
    return Column(name, pl.Float64(), exact, pl.Float64())


def _text(name: str, _: DeclaredType) -> Column:
    text = _quoted(f"CAST({_identifier(name)} AS TEXT)")
    return Column(name, pl.String(), text, pl.String())


def _binary(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    text = _quoted(f"CASE WHEN {sql} IS NOT NULL THEN hex({sql}) END")
    return Column(name, pl.Binary(), text, pl.String(), wire.binary_from_hex)


def _date(name: str, _: DeclaredType) -> Column:
    return Column(
        name,
        pl.Date(),
        _plain_iso(name),
        pl.String(),
        _parse_date,
        null_marker=_NO_DATE,
    )


def _instant(name: str, _: DeclaredType) -> Column:
    return Column(
        name,
        INSTANT,
        _plain_iso(name),
        pl.String(),
        _parse_instant,
        null_marker=_NO_DATE,
    )


def _plain_iso(name: str) -> str:
    """SQL for ISO 8601 text with a space and no Z: 2026-01-02T03:04Z loses both.

    A day that no calendar has, such as 0000-00-00 or 2023-02-31, becomes _NO_DATE.
    """
    sql = _identifier(name)
    return (
        f"CASE WHEN {sql} IS NULL THEN NULL "
        f"WHEN {sql} NOT GLOB '{_DAY}' OR {sql} GLOB '*[^-0-9 :.TZ]*' THEN {_MISFIT} "
        f"WHEN NOT COALESCE({_is_date(sql)}, FALSE) THEN '{_NO_DATE}' "
        f"ELSE replace(replace({sql}, 'T', ' '), 'Z', '') END"
    )


def _parse_date(field: pl.Expr) -> pl.Expr:
    return field.str.to_date("%Y-%m-%d")


def _parse_instant(field: pl.Expr) -> pl.Expr:
    return field.str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC"
    )


def _quoted(sql: str) -> str:
    return f"'{QUOTE}'||replace({sql},'{QUOTE}','{QUOTE}{QUOTE}')||'{QUOTE}'"


def _fits(column: Column) -> str:
    """SQL that is true if a value has the type that its column declares."""
    sql = _identifier(column.name)
    match column.dtype:
        case pl.Int64():
            return f"typeof({sql}) IN ('integer', 'null')"
        case pl.Boolean():
            return f"{sql} IN (0, 1) OR {sql} IS NULL"
        case pl.Float64() | pl.Decimal():
            return f"typeof({sql}) IN ('integer', 'real', 'null')"
        case pl.Date() | pl.Datetime():
            return f"{sql} IS NULL OR {sql} GLOB '{_DAY}'"
        case _:
            return "TRUE"


_KINDS: Mapping[type[pl.DataType], str] = {
    pl.Boolean: "0 or 1",
    pl.Int64: "an integer",
    pl.Float64: "a number",
    pl.Decimal: "a number",
    pl.Date: "a date (YYYY-MM-DD)",
    pl.Datetime: "a time in UTC (YYYY-MM-DD HH:MM:SS)",
}

_INTEGERS = (
    *INTEGER_TYPES, "int2", "int4", "int8", "big int",
)  # fmt: skip

# Per type name; the SQL of an encoder yields NULL for NULL. All others become text.
_ENCODERS: Mapping[str, Callable[[str, DeclaredType], Column]] = {
    **dict.fromkeys(_INTEGERS, _integer),
    **dict.fromkeys(("bool", "boolean"), _boolean),
    **dict.fromkeys(("decimal", "numeric"), _decimal),
    **dict.fromkeys(("float", "double", "real", "double precision"), _float),
    **dict.fromkeys(("blob", "binary", "varbinary"), _binary),
    "date": _date,
    **dict.fromkeys(("datetime", "timestamp"), _instant),
}
