"""SQLite as a source: the embedded database of the demo and of small installations.

Columns are declared with MySQL's type names; timestamps are UTC text.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    integer_dtype,
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
        with _translate_errors(self.name):
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None
            )
        try:
            with _translate_errors(self.name):
                connection.create_function("digest", 1, _digest, deterministic=True)
                connection.execute("BEGIN")
                # BEGIN alone does not start the transaction: its first read does.
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            yield SqliteView(self.name, connection)
        finally:
            connection.close()


def _digest(packed_row: str) -> int:
    """CRC-32 twice, as the MySQL source does: CRC32(CRC32(packed_row))."""
    return zlib.crc32(str(zlib.crc32(packed_row.encode())).encode())


class SqliteView:
    """A `View` of an SQLite file: one open transaction."""

    def __init__(self, name: str, connection: sqlite3.Connection) -> None:
        self._name = name
        self._connection = connection

    def columns(self, table: Table) -> Sequence[Column]:
        """Read the columns of *table*, in their order, with their declared types."""
        found = self._query(f"PRAGMA table_xinfo({_identifier(table.name)})")
        if not found:
            raise SourceError(f"Table {table.name} is missing in {self._name}")
        # hidden = 1 marks the inner columns of virtual tables.
        return [_column(table, str(r[1]), str(r[2])) for r in found if r[6] != 1]

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
            f"SELECT {number} AS block, COUNT(*), SUM(digest({_packed_row(columns)})) "
            f"FROM {_identifier(table.name)} WHERE ({lower} AND {upper}) {unnumbered} "
            "GROUP BY block ORDER BY block"
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
                yield decode(table, b"".join(texts), columns, rows)
                texts, rows = [], 0
        if rows:
            yield decode(table, b"".join(texts), columns, rows)

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
        unnumbered = " OR block IS NULL" if None in by_number else ""
        statement = (
            f"SELECT {number} AS block, "
            f"CAST(GROUP_CONCAT({_packed_row(columns)}, '') AS BLOB) "
            f"FROM {_identifier(table.name)} "
            f"WHERE {number} IN ({numbers}){unnumbered} "
            "GROUP BY block ORDER BY block"
        )
        with _translate_errors(self._name):
            for found, text in self._connection.execute(statement):
                yield by_number[found], text

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        with _translate_errors(self._name):
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
        return f"(({seconds}) / {blocking.width})"
    return f"({key} >> {blocking.width.bit_length() - 1})"


@contextmanager
def _translate_errors(name: str) -> Iterator[None]:
    """Raise the driver's errors as SourceError, or as PassingFault."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise PassingFault(f"{name} cannot be read: {error}") from error
    except sqlite3.Error as error:
        raise SourceError(f"{name} cannot be read: {error}") from error


def _column(table: Table, name: str, text: str) -> Column:
    declared = DeclaredType.parse(text)
    encoder = _ENCODERS.get(declared.name)
    if encoder is None:
        raise SourceError(
            f"{table.name}.{name} is declared {text or 'without a type'}, "
            "which the read model does not support"
        )
    encoded = encoder(name, declared)
    return replace(encoded, sql=f"COALESCE({encoded.sql}, '')")


def _integer(name: str, declared: DeclaredType) -> Column:
    dtype, sql = integer_dtype(declared), _identifier(name)
    if dtype == pl.Boolean:
        return Column(name, dtype, sql, pl.Int8(), wire.boolean_from_number)
    return Column(name, dtype, sql, dtype)


def _decimal(name: str, declared: DeclaredType) -> Column:
    dtype, sql = decimal_dtype(declared), _identifier(name)
    scale = dtype.scale if isinstance(dtype, pl.Decimal) else 0
    rounded = f"printf('%.{scale}f', {sql})"
    text = f"CASE typeof({sql}) WHEN 'real' THEN {rounded} ELSE {sql} END"
    return Column(name, dtype, text, dtype)


def _float(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    exact = f"CASE WHEN {sql} IS NOT NULL THEN printf('%!.17g', {sql}) END"
    return Column(name, pl.Float64(), exact, pl.Float64())


def _text(name: str, _: DeclaredType) -> Column:
    text = _quoted(f"CAST({_identifier(name)} AS TEXT)")
    return Column(name, pl.String(), text, pl.String())


def _binary(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    text = _quoted(f"CASE WHEN {sql} IS NOT NULL THEN hex({sql}) END")
    return Column(name, pl.Binary(), text, pl.String(), wire.binary_from_hex)


def _date(name: str, _: DeclaredType) -> Column:
    return Column(name, pl.Date(), _plain_iso(name), pl.String(), _parse_date)


def _instant(name: str, _: DeclaredType) -> Column:
    return Column(name, INSTANT, _plain_iso(name), pl.String(), _parse_instant)


def _plain_iso(name: str) -> str:
    """SQL for ISO 8601 text with a space and no Z: 2026-01-02T03:04Z loses both."""
    return f"replace(replace({_identifier(name)}, 'T', ' '), 'Z', '')"


def _parse_date(field: pl.Expr) -> pl.Expr:
    return field.str.to_date("%Y-%m-%d")


def _parse_instant(field: pl.Expr) -> pl.Expr:
    return field.str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC"
    )


def _quoted(sql: str) -> str:
    return f"'{QUOTE}'||replace({sql},'{QUOTE}','{QUOTE}{QUOTE}')||'{QUOTE}'"


_TEXTS = (
    "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json", "enum",
    "set", "uuid", "character", "clob", "nvarchar", "nchar",
)  # fmt: skip

# Per type name; the SQL of an encoder yields NULL for NULL.
_ENCODERS: Mapping[str, Callable[[str, DeclaredType], Column]] = {
    **dict.fromkeys(INTEGER_TYPES, _integer),
    **dict.fromkeys(("decimal", "numeric"), _decimal),
    **dict.fromkeys(("float", "double", "real", "double precision"), _float),
    **dict.fromkeys(_TEXTS, _text),
    **dict.fromkeys(("blob", "binary", "varbinary"), _binary),
    "date": _date,
    **dict.fromkeys(("datetime", "timestamp"), _instant),
}
