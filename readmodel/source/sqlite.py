"""SQLite as a source: the embedded database of the demo and of small installations.

Columns are declared as MySQL declares them; timestamps are UTC text.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.source import column_types, wire
from readmodel.source.blocking import (
    EVERYTHING,
    SECONDS_TO_1970,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
    KeyKind,
)
from readmodel.source.column_types import Declared
from readmodel.source.protocol import PassingFault
from readmodel.source.wire import END, QUOTE, SEPARATOR, Batch, Column, decode
from readmodel.tables import Table
from util.errors import SourceError

BUSY_SECONDS = 10
ROWS_PER_BATCH = 40_000

_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json"}
_TEXTS |= {"enum", "set", "uuid", "character", "clob", "nvarchar", "nchar"}
_FLOATS = {"float", "double", "real", "double precision"}


@dataclass(frozen=True, slots=True)
class SqliteSource:
    """A file that SQLite reads."""

    path: Path

    @property
    def name(self) -> str:
        return f"SQLite file {self.path}"

    @contextmanager
    def view(self) -> Iterator["SqliteView"]:
        """One read transaction. Raises SourceError when the file cannot be read."""
        if not self.path.is_file():
            raise SourceError(f"There is no {self.name}: check SOURCE_URL")
        with _explained(self.name):
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None
            )
        try:
            with _explained(self.name):
                connection.create_function("crc32", 1, _crc32, deterministic=True)
                connection.execute("BEGIN")
                # A transaction begins with its first read, not before.
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            yield SqliteView(self.name, connection)
        finally:
            connection.close()


def _crc32(text: str) -> int:
    return zlib.crc32(str(zlib.crc32(text.encode())).encode())


class SqliteView:
    """One instant of the file: the methods of `source.View`."""

    def __init__(self, name: str, connection: sqlite3.Connection) -> None:
        self._name = name
        self._connection = connection

    def columns(self, table: Table) -> Sequence[Column]:
        found = self._query(f"PRAGMA table_xinfo({_identifier(table.name)})")
        if not found:
            raise SourceError(f"Table {table.name} is missing in {self._name}")
        # hidden = 1 marks the inner columns of virtual tables.
        return [_column(table, str(r[1]), str(r[2])) for r in found if r[6] != 1]

    def extent(self, table: Table) -> KeyBounds | None:
        key, name = _identifier(table.key), _identifier(table.name)
        ((low, high, rows),) = self._query(
            f"SELECT MIN({key}), MAX({key}), COUNT(*) FROM {name}"
        )
        return None if low is None else KeyBounds(int(low), int(high), int(rows))

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Blocking,
        span: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        number = _number(cut)
        first = "TRUE" if span.first is None else f"{number} >= {span.first}"
        last = "TRUE" if span.last is None else f"{number} <= {span.last}"
        nowhere = f"OR {number} IS NULL" if span.first is None else ""
        found = self._query(
            f"SELECT {number} AS block, COUNT(*), SUM(crc32({_row(columns)})) "
            f"FROM {_identifier(table.name)} WHERE ({first} AND {last}) {nowhere} "
            "GROUP BY block ORDER BY block"
        )
        return [Block(*row) for row in found]

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        texts, rows = [], 0
        for block, text in self._texts(table, columns, cut, blocks):
            texts.append(text)
            rows += block.rows
            if rows >= ROWS_PER_BATCH:
                yield decode(table, b"".join(texts), columns, rows)
                texts, rows = [], 0
        if rows:
            yield decode(table, b"".join(texts), columns, rows)

    def _texts(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[tuple[Block, bytes]]:
        # One scan for all: the key has no index that its block could use.
        number = _number(cut)
        wanted = {block.number: block for block in blocks}
        known = ",".join(str(block) for block in wanted if block is not None)
        statement = (
            f"SELECT {number} AS block, "
            f"CAST(GROUP_CONCAT({_row(columns)}, '') AS BLOB) "
            f"FROM {_identifier(table.name)} "
            f"WHERE {number} IN ({known}){' OR block IS NULL' if None in wanted else ''} "
            "GROUP BY block ORDER BY block"
        )
        with _explained(self._name):
            for found, text in self._connection.execute(statement):
                yield wanted[found], text

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        with _explained(self._name):
            return self._connection.execute(statement).fetchall()


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _row(columns: Sequence[Column]) -> str:
    fields = f"||'{SEPARATOR}'||".join(column.sql for column in columns)
    return f"{fields}||'{END}'"


def _number(cut: Blocking) -> str:
    key = _identifier(cut.key)
    if cut.axis is KeyKind.TIME:
        seconds = f"CAST(strftime('%s', {key}) AS INTEGER) + {SECONDS_TO_1970}"
        return f"(({seconds}) / {cut.width})"
    return f"({key} >> {cut.width.bit_length() - 1})"


def _column(table: Table, name: str, text: str) -> Column:
    made = _typed(name, _identifier(name), Declared.parse(text))
    if made is None:
        raise SourceError(
            f"{table.name}.{name} is declared {text or 'without a type'}, "
            "which the read model cannot hold"
        )
    sql = f"COALESCE({made.sql}, '')"
    return Column(made.name, made.dtype, sql, made.wire, made.decode, made.zero)


def _typed(name: str, sql: str, kind: Declared) -> Column | None:
    """How a column travels; its SQL may yield NULL for NULL."""
    if dtype := column_types.integer(kind):
        if dtype == pl.Boolean:
            return Column(name, dtype, sql, pl.Int8(), wire.boolean_from_number)
        return Column(name, dtype, sql, dtype)
    if kind.base in ("decimal", "numeric"):
        dtype = column_types.decimal(kind)
        scale = dtype.scale if isinstance(dtype, pl.Decimal) else 0
        exact = f"printf('%.{scale}f', {sql})"
        text = f"CASE typeof({sql}) WHEN 'real' THEN {exact} ELSE {sql} END"
        return Column(name, dtype, text, dtype)
    if kind.base in _FLOATS:
        text = f"printf('%!.17g', {sql})"
        number = f"CASE WHEN {sql} IS NOT NULL THEN {text} END"
        return Column(name, pl.Float64(), number, pl.Float64())
    if kind.base in _TEXTS:
        return Column(name, pl.String(), _quoted(f"CAST({sql} AS TEXT)"), pl.String())
    if kind.base in ("blob", "binary", "varbinary"):
        text = _quoted(f"CASE WHEN {sql} IS NOT NULL THEN hex({sql}) END")
        return Column(name, pl.Binary(), text, pl.String(), wire.binary_from_hex)
    return _temporal(name, sql, kind)


def _temporal(name: str, sql: str, kind: Declared) -> Column | None:
    if kind.base == "date":
        decode = _date
        dtype: pl.DataType = pl.Date()
    elif kind.base in ("datetime", "timestamp"):
        decode = _instant
        dtype = INSTANT
    else:
        return None
    # ISO 8601 with a T or a Z is as good as the usual form with a space.
    text = f"replace(replace({sql}, 'T', ' '), 'Z', '')"
    return Column(name, dtype, text, pl.String(), decode)


def _quoted(sql: str) -> str:
    return f"'{QUOTE}'||replace({sql},'{QUOTE}','{QUOTE}{QUOTE}')||'{QUOTE}'"


def _date(field: pl.Expr) -> pl.Expr:
    return field.str.to_date("%Y-%m-%d")


def _instant(field: pl.Expr) -> pl.Expr:
    return field.str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC"
    )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise PassingFault(f"{name} cannot be read: {error}") from error
    except sqlite3.Error as error:
        raise SourceError(f"{name} cannot be read: {error}") from error
