"""Digests in format 1, which earlier versions stored, to recognise unchanged blocks.

A row was digested as the packed text in which it was fetched. Where such a text was
mirrored wrongly, or would take too long to build, the digest here is another one, so
that the block is fetched. Once no stored part has this format, this module can go, and
`RenewingView` with it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from readmodel.source.column_types import INTEGER_TYPES, WIDEST_DECIMAL, DeclaredType
from readmodel.source.mysql.columns import (
    BINARIES,
    TEXTS,
    CatalogColumn,
    date_exists,
)
from readmodel.source.wire import QUOTE, ROW_END, SEPARATOR

DIGEST_FORMAT: Final = 1

_TOO_LONG: Final = 0
"""For rows that exceed a packet, which could not be mirrored."""

_NEVER_STORED: Final = "'never stored'"
_ZERO_DATETIME: Final = -(2**63)
_ZERO_DATE: Final = -1


def row_digest(columns: Sequence[CatalogColumn], booleans: Collection[str]) -> str:
    """SQL for the digest of one row in format 1.

    *booleans* are the integer columns that were stored as booleans: all numbers but 0
    were true, so only rows with 0 and 1 are recognised.
    """
    fields = f",'{SEPARATOR}',".join(
        _field(column, column.name in booleans) for column in columns
    )
    return f"IFNULL(CRC32(CRC32(CONCAT({fields},'{ROW_END}'))),{_TOO_LONG})"


def _field(column: CatalogColumn, is_boolean: bool) -> str:
    declared = DeclaredType.parse(column.type)
    field = _FIELDS[declared.name](column, declared)
    if is_boolean:
        field = f"IF({column.sql} IN (0,1),{field},{_NEVER_STORED})"
    return f"IF({column.sql} IS NULL,'',{field})" if column.nullable else field


def _integer(column: CatalogColumn, _: DeclaredType) -> str:
    return column.sql


def _decimal(column: CatalogColumn, declared: DeclaredType) -> str:
    is_number = declared.arguments[0] <= WIDEST_DECIMAL
    return column.sql if is_number else _quoted(column.sql)


def _float(column: CatalogColumn, _: DeclaredType) -> str:
    return f"({column.sql}+0e0)"


def _number(column: CatalogColumn, _: DeclaredType) -> str:
    return f"({column.sql}+0)"


def _text(column: CatalogColumn, _: DeclaredType) -> str:
    if column.charset is None:
        text = f"CAST({column.sql} AS CHAR)"
    elif column.charset == "utf8mb4":
        text = column.sql
    else:
        text = f"CONVERT({column.sql} USING utf8mb4)"
    # Quotes in a text were doubled by REPLACE: its time grows with the square of them.
    has_quote = f"LOCATE(X'{ord(QUOTE):02X}',CAST({text} AS BINARY))"
    return f"IF({has_quote},{_NEVER_STORED},{_quoted(text)})"


def _binary(column: CatalogColumn, _: DeclaredType) -> str:
    return _quoted(f"HEX({column.sql})")


def _timestamp(column: CatalogColumn, declared: DeclaredType) -> str:
    seconds = f"UNIX_TIMESTAMP({column.sql})"
    has_fraction = any(declared.arguments)
    return f"CAST({seconds}*1000000 AS SIGNED)" if has_fraction else seconds


def _datetime(column: CatalogColumn, _: DeclaredType) -> str:
    micros = f"TIMESTAMPDIFF(MICROSECOND,'1970-01-01',{column.sql})"
    return _calendar(column.sql, micros, _ZERO_DATETIME)


def _date(column: CatalogColumn, _: DeclaredType) -> str:
    return _calendar(column.sql, f"TO_DAYS({column.sql})", _ZERO_DATE)


def _calendar(date: str, number: str, zero: int) -> str:
    """The *number* of a *date*; the 31st of February was mirrored as another day."""
    return (
        f"CASE WHEN {date_exists(date)} THEN {number} "
        f"WHEN MONTH({date}) AND DAYOFMONTH({date}) THEN {_NEVER_STORED} "
        f"ELSE {zero} END"
    )


def _time(column: CatalogColumn, _: DeclaredType) -> str:
    return f"CAST({column.sql}*1000000 AS SIGNED)"


def _quoted(sql: str) -> str:
    return f"CONCAT('{QUOTE}',{sql},'{QUOTE}')"


_FIELDS: Mapping[str, Callable[[CatalogColumn, DeclaredType], str]] = {
    **dict.fromkeys(INTEGER_TYPES, _integer),
    "decimal": _decimal,
    "float": _float,
    "double": _float,
    "bit": _number,
    "year": _number,
    **dict.fromkeys((*TEXTS, "uuid", "inet4", "inet6"), _text),
    **dict.fromkeys((*BINARIES, "vector"), _binary),
    "timestamp": _timestamp,
    "datetime": _datetime,
    "date": _date,
    "time": _time,
}
