"""SQLite as a source: the embedded database of the demo and of small installations.

Columns are declared with the type names of MySQL or SQLite; timestamps are UTC text.
SQLite stores any value in any column, so a value that does not fit its column's declared
type is an error that names the row.
"""

import hashlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import batched, groupby
from operator import itemgetter
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
    KnownBlocks,
    in_order,
)
from readmodel.source.column_types import (
    INTEGER_TYPES,
    DeclaredType,
    decimal_dtype,
)
from readmodel.source.protocol import PassingFault, ScannedBatch
from readmodel.source.wire import QUOTE, ROW_END, SEPARATOR, Batch, Column, decode
from readmodel.tables import Table
from util.errors import SourceError

BUSY_SECONDS = 10
ROWS_PER_BATCH = 40_000
BYTES_PER_BATCH = 32 * 2**20


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
        functions = _Functions()
        is_locked = not self._needs_no_shared_memory()
        with closing(self._connect(is_locked)) as connection:
            with _translate_errors(self.name, functions):
                functions.register(connection)
                # As they are stored, which need not be UTF-8.
                connection.text_factory = bytes
                connection.execute("BEGIN")
                # BEGIN alone does not start the transaction: its first read does.
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            stable = self.path if is_locked and not self._has_wal() else None
            yield SqliteView(self.name, connection, functions, stable)

    def _connect(self, is_locked: bool) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        if not is_locked:
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
        if Path(f"{self.path}-shm").exists():
            return False
        if self._has_wal():
            raise SourceError(
                f"{self.name} is in WAL mode with changes in {self.path.name}-wal, which can be "
                f"read only by a user who may write to {folder}: let the updater write "
                "there, or run PRAGMA wal_checkpoint(TRUNCATE) as the owner"
            )
        return True

    def _has_wal(self) -> bool:
        """Whether there are changes that are not in the file itself.

        Without them, an open transaction keeps the file as it is: a writer needs its
        lock, and a checkpoint does, too.
        """
        try:
            return Path(f"{self.path}-wal").stat().st_size > 0
        except FileNotFoundError:
            return False


def _is_wal(file: Path) -> bool:
    """Whether the database's header says that it is in WAL mode."""
    with file.open("rb") as stream:
        return stream.read(20)[18:20] == b"\x02\x02"


class _Functions:
    """Our SQL functions.

    SQLite replaces an exception in a function by an error of its own. `raised` keeps
    the exception, which may be a request to stop.
    """

    def __init__(self) -> None:
        self.raised: BaseException | None = None

    def register(self, connection: sqlite3.Connection) -> None:
        """Make them known to *connection*."""
        for name, arguments, function in (
            ("digest", 1, _digest),
            ("exact", 2, _exact),
            ("exact_decimal", 2, _exact_decimal),
        ):
            connection.create_function(
                name, arguments, self._keep_errors(function), deterministic=True
            )

    def _keep_errors(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except BaseException as error:
                # SQLite reports only that a function failed; a stop would be lost, too.
                self.raised = error
                raise

        return call


def _digest(packed_row: bytes) -> int:
    """CRC-32 twice, as the MySQL source does."""
    return zlib.crc32(str(zlib.crc32(packed_row)).encode())


def _exact(value: float, text: str) -> str:
    """*text*, as SQLite writes *value*, if it reads back as the same number.

    SQLite writes 15 digits by default, and even 17 are not always the right ones.
    """
    return text if repr(float(text)) == repr(value) else repr(value)


def _exact_decimal(value: float, text: str) -> str:
    """*text*, which is *value* rounded to the scale of its column, if that is exact.

    The 16th and 17th digit are noise, as in 0.1 + 0.2.
    """
    if float(text) in (value, float(f"{value:.15g}")):
        return text
    # SQLite writes 16 digits at most.
    exact = f"{Decimal(repr(value)):f}"
    scale = len(text.partition(".")[2])
    return exact if len(exact.partition(".")[2]) <= scale else _MISFIT


class SqliteView:
    """A `View` of an SQLite file: one open transaction."""

    digest_format = 1

    def __init__(
        self,
        name: str,
        connection: sqlite3.Connection,
        functions: _Functions,
        stable: Path | None = None,
    ) -> None:
        """Read from *connection*; *stable* is the file if all of the view is in it."""
        self._name = name
        self._connection = connection
        self._functions = functions
        self._stable = stable
        self._checksum: str | None = None

    def columns(self, table: Table) -> Sequence[Column]:
        """Read the columns of *table*, in their order, with their declared types."""
        statement = f"PRAGMA table_xinfo({_identifier(table.name)})"
        found = list(self._query(table, statement))
        if not found:
            raise SourceError(f"Table {table.name} is missing in {self._name}")
        # hidden = 1 marks the inner columns of virtual tables.
        return [_column(_text_of(r[1]), _text_of(r[2])) for r in found if r[6] != 1]

    def hides_columns(self, table: Table) -> bool:  # noqa: ARG002 - the protocol's
        """Return False: SQLite has no rights on columns."""
        return False

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """Read the bounds of an integer key; None when no row has a key."""
        key, name = _identifier(table.key), _identifier(table.name)
        ((low, high, rows),) = self._query(
            table, f"SELECT MIN({key}), MAX({key}), COUNT(*) FROM {name}"
        )
        if low is None:
            return None
        if not (isinstance(low, int) and isinstance(high, int)):
            keys = [c for c in self.columns(table) if c.name == table.key]
            raise self._misfit(table, keys) or self._changing(table)
        return KeyBounds(low, high, rows)

    def mark(self, table: Table) -> str | None:
        """A checksum of the file; None if it does not say what *table* contains.

        A view may contain the present time, and a virtual table what another file has.
        """
        if self._stable is None or not self._is_stored(table):
            return None
        if self._checksum is None:
            try:
                with self._stable.open("rb") as stream:
                    self._checksum = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise SourceError(f"{self._name} cannot be read: {error}") from error
        return f"sqlite {self._checksum}"

    def _is_stored(self, table: Table) -> bool:
        statement = (
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND rootpage > 0 "
            f"AND name = {_literal(table.name)} COLLATE NOCASE"
        )
        return bool(list(self._query(table, statement)))

    def blocks_since(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        known: Sequence[KnownBlocks],
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Return what `blocks` does; if the file is the same, *known* are all of them.

        Unless a part was lost, which the number of rows tells.
        """
        mark = self.mark(table) if known else None
        same = [block for each in known if each.mark == mark for block in each.blocks]
        if same:
            ((rows,),) = self._query(
                table,
                f"SELECT COUNT(*) FROM {_identifier(table.name)} "
                f"WHERE {_in_range(blocking, block_range)}",
            )
            if rows == sum(block.rows for block in same):
                return in_order(same)
        return self.blocks(table, columns, blocking, block_range)

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Digest the blocks of *block_range* that contain rows, sorted by number."""
        where = _in_range(blocking, block_range)
        if self._is_utf8(table):
            found = self._packed_blocks(table, columns, blocking, where)
            return [block for block, _ in found]
        digested = self._query(
            table,
            f"SELECT {_block_number(blocking)}, COUNT(*), "
            f"SUM(digest(CAST({_packed_row(columns)} AS BLOB))) "
            f"FROM {_identifier(table.name)} WHERE {where} GROUP BY 1 ORDER BY 1",
        )
        return [Block(*row) for row in digested]

    def _is_utf8(self, table: Table) -> bool:
        """Whether text arrives in the encoding over which it is digested."""
        return list(self._query(table, "PRAGMA encoding")) == [(b"UTF-8",)]

    def _packed_blocks(
        self, table: Table, columns: Sequence[Column], blocking: Blocking, where: str
    ) -> Iterator[tuple[Block, bytes]]:
        """Yield each block that has rows *where*, and its packed rows, ascending."""
        # The key's index has the order of the numbers, which themselves have none.
        is_number = blocking.key_kind is KeyKind.NUMBER
        found = self._query(
            table,
            f"SELECT {_block_number(blocking)}, {_packed_row(columns)} "
            f"FROM {_identifier(table.name)} WHERE {where} "
            f"ORDER BY {_identifier(blocking.key) if is_number else 1}",
        )
        for number, rows in groupby(found, itemgetter(0)):
            packed = [row[1] for row in rows]
            digest = sum(map(_digest, packed))
            yield Block(number, len(packed), digest), b"".join(packed)

    def scan(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> Generator[ScannedBatch] | None:
        """Yield all blocks and their rows; None if digests are not over UTF-8."""
        if not self._is_utf8(table):
            return None
        return self._scan(table, columns, blocking)

    def _scan(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> Generator[ScannedBatch]:
        found: list[tuple[Block, bytes]] = []
        rows = size = 0
        for block, text in self._packed_blocks(table, columns, blocking, "TRUE"):
            found.append((block, text))
            rows += block.rows
            size += len(text)
            if rows >= ROWS_PER_BATCH or size >= BYTES_PER_BATCH:
                yield self._scanned(table, columns, found)
                found, rows, size = [], 0, 0
        if found:
            yield self._scanned(table, columns, found)

    def _scanned(
        self,
        table: Table,
        columns: Sequence[Column],
        found: Sequence[tuple[Block, bytes]],
    ) -> ScannedBatch:
        blocks = tuple(block for block, _ in found)
        rows = sum(block.rows for block in blocks)
        batch = self._decode(table, b"".join(text for _, text in found), columns, rows)
        return ScannedBatch(blocks, batch)

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """Fetch the rows of *blocks* in batches of bounded size."""
        wanted = sum(block.rows for block in blocks)
        came = 0
        for texts in self._texts(table, columns, blocking, blocks):
            came += len(texts)
            yield self._decode(table, b"".join(texts), columns, len(texts))
        if came != wanted:
            raise self._changing(table)

    def _changing(self, table: Table) -> PassingFault:
        return PassingFault(
            f"{table.name} in {self._name} gives other rows each time it is read"
        )

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
            statement = (
                f"SELECT {_packed_row([column])}, quote({key}), substr(quote({value}), 1, 40) "
                f"FROM {name}"
            )
            for rows in batched(self._query(table, statement), ROWS_PER_BATCH):
                if row := _first_misfit(table, column, rows):
                    return SourceError(
                        f"{table.name}.{column.name} has a value that is not "
                        f"{_kind(column.dtype)} where {table.key} is "
                        f"{_shown(row[1])}: {_shown(row[2])}"
                    )
        return None

    def _texts(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[list[bytes]]:
        """The packed rows of *blocks*, in lists of bounded size."""
        # One scan for all blocks: no index of the key can be used for block numbers.
        number = _block_number(blocking)
        numbers = ",".join(str(b.number) for b in blocks if b.number is not None)
        unnumbered = any(block.number is None for block in blocks)
        statement = (
            f"SELECT {_packed_row(columns)} FROM {_identifier(table.name)} "
            f"WHERE {number} IN ({numbers})"
            + (f" OR {number} IS NULL" if unnumbered else "")
        )
        texts: list[bytes] = []
        size = 0
        for (text,) in self._query(table, statement):
            texts.append(text)
            size += len(text)
            if len(texts) >= ROWS_PER_BATCH or size >= BYTES_PER_BATCH:
                yield texts
                texts, size = [], 0
        if texts:
            yield texts

    def _query(self, table: Table, statement: str) -> Iterator[tuple[Any, ...]]:
        """The rows of *statement*, texts as bytes."""
        place = f"{table.name} in {self._name}"
        with _translate_errors(place, self._functions):
            yield from self._connection.execute(statement)


def _text_of(stored: bytes) -> str:
    return stored.decode(errors="replace")


def _shown(stored: bytes) -> str:
    """A value as SQL writes it, on one line."""
    return repr(_text_of(stored))[1:-1]


def _first_misfit(
    table: Table, column: Column, rows: Sequence[tuple[bytes, ...]]
) -> tuple[bytes, ...] | None:
    """The first of *rows* whose first field, a packed row, cannot be decoded."""
    try:
        text = b"".join(row[0] for row in rows)
        decode(table, _repair(text)[0], [column], len(rows))
    except SourceError:
        if len(rows) == 1:
            return rows[0]
        middle = len(rows) // 2
        first, second = rows[:middle], rows[middle:]
        return _first_misfit(table, column, first) or _first_misfit(
            table, column, second
        )
    return None


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _packed_row(columns: Sequence[Column]) -> str:
    fields = f"||'{SEPARATOR}'||".join(column.sql for column in columns)
    return f"{fields}||'{ROW_END}'"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _in_range(blocking: Blocking, block_range: BlockRange) -> str:
    """SQL that is true for exactly the rows of *block_range*."""
    first, last = block_range.first, block_range.last
    if first is None and last is None:
        return "TRUE"
    number = _block_number(blocking)
    lower = "TRUE" if first is None else f"{number} >= {first}"
    upper = "TRUE" if last is None else f"{number} <= {last}"
    unnumbered = f" OR {number} IS NULL" if first is None else ""
    return f"(({lower} AND {upper}){unnumbered})"


def _block_number(blocking: Blocking) -> str:
    key = _identifier(blocking.key)
    if blocking.key_kind is KeyKind.TIME:
        # Without the fraction, which SQLite rounds, up to the next day at worst.
        whole = f"strftime('%s', substr({key}, 1, 19))"
        seconds = f"CAST({whole} AS INTEGER) + {SECONDS_TO_1970}"
        return f"(CASE WHEN {_is_date(key)} THEN ({seconds}) / {blocking.width} END)"
    return f"({key} >> {blocking.width.bit_length() - 1})"


def _is_date(sql: str) -> str:
    """SQL that is true if the value begins with a day of the years 1 to 9999.

    With a modifier, strftime() turns 2023-02-31 into 2023-03-03.
    """
    day = f"substr({sql}, 1, 10)"
    return f"({day} > '0001' AND strftime('%Y-%m-%d', {day}, '+0 days') = {day})"


_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_SCHEMA,
}


@contextmanager
def _translate_errors(name: str, functions: _Functions | None = None) -> Iterator[None]:
    """Raise the driver's errors as SourceError, or as PassingFault.

    An exception that a function of ours raised is raised as it is.
    """
    try:
        yield
    except sqlite3.Error as error:
        if functions and functions.raised:
            raise functions.raised from None
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
_MISFIT = "misfit"
_NO_DATE = "no date"
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"


INTEGER = pl.Int64()
"""Integers have up to 64 bits, whatever the declared type is called."""


def _integer(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    integer = f"CASE WHEN typeof({sql}) IN ('integer', 'null') THEN {sql} ELSE '{_MISFIT}' END"
    return Column(name, INTEGER, integer, INTEGER)


def _boolean(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    digit = (
        f"CASE WHEN {sql} IN (0, 1) OR {sql} IS NULL THEN {sql} ELSE '{_MISFIT}' END"
    )
    return Column(name, pl.Boolean(), digit, pl.Int8(), wire.boolean_from_number)


def _decimal(name: str, declared: DeclaredType) -> Column:
    dtype, sql = decimal_dtype(declared), _identifier(name)
    if not declared.arguments or not isinstance(dtype, pl.Decimal):
        # Without digits, NUMERIC is SQLite's word for a number of any kind.
        return _text(name, declared)
    real = f"exact_decimal({sql}, printf('%.{dtype.scale}f', {sql}))"
    return Column(name, dtype, _number(sql, real), dtype)


def _float(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    real = f"exact({sql}, printf('%!.17g', {sql}))"
    return Column(name, pl.Float64(), _number(sql, real), pl.Float64())


def _number(sql: str, real: str) -> str:
    """SQL for a number, where *real* writes a floating-point number."""
    return (
        f"CASE typeof({sql}) WHEN 'real' THEN {real} WHEN 'integer' THEN {sql} "
        f"WHEN 'null' THEN NULL ELSE '{_MISFIT}' END"
    )


def _text(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    is_usual = f"typeof({sql}) = 'text' AND instr({sql}, '{QUOTE}') = 0"
    plain = f"'{QUOTE}'||{sql}||'{QUOTE}'"
    text = _if(is_usual, plain, _quoted(_as_text(sql)))
    return Column(name, pl.String(), text, pl.String())


def _if(is_usual: str, usual: str, any_value: str) -> str:
    """SQL for *any_value*, which is *usual* for usual values and takes longer."""
    return f"CASE WHEN {is_usual} THEN {usual} ELSE {any_value} END"


def _binary(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    text = _quoted(f"CASE WHEN {sql} IS NOT NULL THEN hex({_as_is(sql)}) END")
    return Column(name, pl.Binary(), text, pl.String(), wire.binary_from_hex)


def _as_text(sql: str) -> str:
    """SQL for the text of any value."""
    return f"CAST({_as_is(sql)} AS TEXT)"


def _as_is(sql: str) -> str:
    """SQL for a value; a floating-point number as its text, with all of its digits."""
    real = f"exact({sql}, CAST({sql} AS TEXT))"
    return f"CASE typeof({sql}) WHEN 'real' THEN {real} ELSE {sql} END"


def _date(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    return _calendar(name, pl.Date(), sql, _parse_date, "date")


def _instant(name: str, _: DeclaredType) -> Column:
    sql = _identifier(name)
    # ISO 8601 with a space and no Z: 2026-01-02T03:04:05Z loses both.
    plain = f"replace(replace({sql}, 'T', ' '), 'Z', '')"
    return _calendar(name, INSTANT, plain, _parse_instant, "datetime")


def _calendar(
    name: str,
    dtype: pl.DataType,
    plain: str,
    parse: Callable[[pl.Expr], pl.Expr],
    usual: str,
) -> Column:
    """A column of texts that begin with a day.

    A day that no calendar has, such as 0000-00-00 or 2023-02-31, becomes _NO_DATE. A
    text that SQLite's function *usual* writes just so is a valid one.
    """
    sql = _identifier(name)
    text = (
        f"CASE WHEN {sql} IS NULL THEN NULL "
        f"WHEN typeof({sql}) <> 'text' OR {sql} NOT GLOB '{_DAY}' "
        f"OR {sql} GLOB '*[^-0-9 :.TZ]*' THEN '{_MISFIT}' "
        f"WHEN NOT COALESCE({_is_date(sql)}, FALSE) THEN '{_NO_DATE}' "
        f"ELSE {plain} END"
    )
    is_usual = (
        f"typeof({sql}) = 'text' AND {usual}({sql}, '+0 days') = {sql} "
        f"AND substr({sql}, 1, 4) > '0000'"  # the column itself compares as a number
    )
    text = _if(is_usual, sql, text)
    return Column(name, dtype, text, pl.String(), parse, null_marker=_NO_DATE)


def _parse_date(field: pl.Expr) -> pl.Expr:
    return field.str.to_date("%Y-%m-%d")


# Digits after the microseconds would be lost, and a leap second would become another.
_TIME = r"^\d{4}-\d\d-\d\d [0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,6}0*)?$"


def _parse_instant(field: pl.Expr) -> pl.Expr:
    checked = (
        pl.when(field.str.contains(_TIME))
        .then(field)
        .otherwise(pl.when(field.is_not_null()).then(pl.lit(_MISFIT)))
    )
    return checked.str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC"
    )


def _quoted(sql: str) -> str:
    return f"'{QUOTE}'||replace({sql},'{QUOTE}','{QUOTE}{QUOTE}')||'{QUOTE}'"


def _kind(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        digits = f"{dtype.precision} digits, {dtype.scale} of them after the point"
        return f"a number of at most {digits}"
    return _KINDS.get(dtype.base_type(), "a text")


_KINDS: Mapping[type[pl.DataType], str] = {
    pl.Boolean: "0 or 1",
    pl.Int64: "an integer",
    pl.Float64: "a number",
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
