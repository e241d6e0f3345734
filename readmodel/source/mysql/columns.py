"""How the column types of MySQL and MariaDB are packed, and the dtypes they become.

The SQL does not depend on the session's sql_mode: its literals are in single quotes and
contain no backslash.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.source import wire
from readmodel.source.column_types import (
    INTEGER_TYPES,
    DeclaredType,
    bit_dtype,
    decimal_dtype,
    integer_dtype,
)
from readmodel.source.wire import Column, Row

# The character sets whose bytes are UTF-8.
UTF8 = {"utf8mb4", "utf8mb3", "utf8", "ascii"}
# The length of a text that a function cannot return.
TOO_LONG = -1
# NULL where texts stand in the rows.
NULL_MARK = "\x01"


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A row of information_schema.columns."""

    name: str
    type: str
    charset: str | None
    nullable: bool

    @classmethod
    def of_row(cls, row: Row) -> Self:
        """From name, type, character set and whether it is nullable."""
        name, declared, charset, nullable = map(catalog_text, row)
        return cls(name, declared, charset, nullable == "YES")

    @property
    def sql(self) -> str:
        """The column as SQL."""
        return identifier(self.name)


def catalog_text(value: Any) -> Any:
    """A text of the catalog, or None; some servers send it as bytes."""
    return value.decode() if isinstance(value, bytes | bytearray) else value


def identifier(name: str) -> str:
    """Quote *name* in backticks, whatever characters it contains."""
    return "`" + name.replace("`", "``") + "`"


def date_exists(date: str) -> str:
    """SQL for whether a DATE or DATETIME is a day of the calendar.

    MySQL's functions take 2020-00-10 for the 10th of December 2019, and both servers
    take 2023-02-31 for the 3rd of March.
    """
    return (
        f"YEAR({date}) AND MONTH({date}) AND DAYOFMONTH({date}) "
        f"AND DAYOFMONTH({date})<=DAYOFMONTH(LAST_DAY({date}))"
    )


def encode(column: CatalogColumn) -> Column | None:
    """Choose how *column* is packed and parsed; None if its type is not supported."""
    declared = DeclaredType.parse(column.type)
    encoder = _ENCODERS.get(declared.name)
    if encoder is None:
        return None
    encoded = encoder(column, declared)
    digest = encoded.digest_sql or encoded.sql
    inline, null = _inline(encoded)
    encoded = replace(encoded, may_be_null=column.nullable, inline_sql=inline)
    if not column.nullable:
        return replace(encoded, digest_sql=digest)
    return replace(
        encoded,
        sql=f"IFNULL({encoded.sql},'')",
        digest_sql=f"IFNULL({digest},'')",
        inline_sql=f"IFNULL({inline},'{null}')",
    )


def _inline(encoded: Column) -> tuple[str, str]:
    """SQL for a field in a row that contains its texts, and what NULL is there."""
    if encoded.payload_sql is not None and encoded.dtype == pl.String():
        return encoded.payload_sql, NULL_MARK
    return encoded.sql, NULL_MARK if encoded.wire_dtype == pl.String() else ""


def _integer(column: CatalogColumn, declared: DeclaredType) -> Column:
    dtype = integer_dtype(declared)
    return Column(column.name, dtype, column.sql, dtype)


def _decimal(column: CatalogColumn, declared: DeclaredType) -> Column:
    dtype = decimal_dtype(declared)
    return Column(column.name, dtype, column.sql, dtype)


def _float(column: CatalogColumn, declared: DeclaredType) -> Column:
    dtype = pl.Float32() if declared.name == "float" else pl.Float64()
    # MySQL rounds a FLOAT to six digits as text, but converts it exactly to a DOUBLE.
    return Column(column.name, dtype, f"({column.sql}+0e0)", pl.Float64())


def _bit(column: CatalogColumn, declared: DeclaredType) -> Column:
    dtype = bit_dtype(declared)
    return Column(column.name, dtype, f"({column.sql}+0)", dtype)


def _year(column: CatalogColumn, _: DeclaredType) -> Column:
    return Column(column.name, pl.Int16(), f"({column.sql}+0)", pl.Int16())


def _text(column: CatalogColumn, _: DeclaredType) -> Column:
    if column.charset in UTF8:
        return _payload(column, pl.String(), column.sql)
    # A function's result that exceeds a packet is NULL, unlike the column's own value.
    converted = f"CONVERT({column.sql} USING utf8mb4)"
    if column.charset is None:  # MySQL's JSON
        converted = f"CAST({column.sql} AS CHAR)"
    return replace(
        _payload(column, pl.String(), converted),
        sql=_if_not_null(column, f"LENGTH({converted})", f"{TOO_LONG}"),
        digest_sql=_if_not_null(
            column, f"CRC32({converted})", f"CONCAT('-',CRC32({column.sql}))"
        ),
    )


def _if_not_null(column: CatalogColumn, sql: str, otherwise: str) -> str:
    """Wrap *sql* so that it is *otherwise* if it is NULL, but the column is not."""
    return f"IF({column.sql} IS NULL,NULL,IFNULL({sql},{otherwise}))"


def _binary(column: CatalogColumn, _: DeclaredType) -> Column:
    return _payload(column, pl.Binary(), column.sql)


def _vector(column: CatalogColumn, _: DeclaredType) -> Column:
    # MySQL accepts a VECTOR in few functions, and in no aggregate; none is empty.
    digits = f"HEX({column.sql})"
    return Column(
        column.name,
        pl.Binary(),
        digits,
        pl.String(),
        wire.binary_from_hex,
        digest_sql=f"CRC32({digits})",
    )


def _payload(column: CatalogColumn, dtype: pl.DataType, sql: str) -> Column:
    return Column(
        column.name,
        dtype,
        f"LENGTH({sql})",
        pl.Int64(),
        digest_sql=f"CRC32({sql})",
        payload_sql=sql,
    )


def _plain_text(column: CatalogColumn, _: DeclaredType) -> Column:
    sql = f"CAST({column.sql} AS CHAR)"
    return Column(column.name, pl.String(), sql, pl.String())


def _timestamp(column: CatalogColumn, declared: DeclaredType) -> Column:
    if any(declared.arguments):
        sql = f"CAST(UNIX_TIMESTAMP({column.sql})*1000000 AS SIGNED)"
        decode = wire.instant_from_micros
    else:
        sql = f"UNIX_TIMESTAMP({column.sql})"
        decode = wire.instant_from_seconds
    return Column(
        column.name,
        INSTANT,
        sql,
        pl.Int64(),
        decode,
        null_marker=0,
        digest_sql=column.sql,
        seconds_sql=f"TO_SECONDS({column.sql})",  # the server accepts only valid ones
    )


# Digits instead of functions of the calendar: these take 2023-02-31 for the 3rd of
# March, and on MySQL 2020-00-10 for the 10th of December.


def _datetime(column: CatalogColumn, declared: DeclaredType) -> Column:
    number = f"({column.sql}+0)"
    if any(declared.arguments):
        digits = f"CAST({number}*1000000 AS DECIMAL(20))"
        wire_dtype, decode = pl.Int128(), wire.instant_from_long_digits
        encoded = Column(column.name, INSTANT, digits, wire_dtype, decode)
    else:
        encoded = Column(
            column.name, INSTANT, number, pl.Int64(), wire.instant_from_digits
        )
    return replace(encoded, digest_sql=column.sql, seconds_sql=_seconds(column))


def _seconds(column: CatalogColumn) -> str:
    return f"IF({date_exists(column.sql)},TO_SECONDS({column.sql}),NULL)"


def _date(column: CatalogColumn, _: DeclaredType) -> Column:
    return Column(
        column.name,
        pl.Date(),
        f"({column.sql}+0)",
        pl.Int32(),
        wire.date_from_digits,
        digest_sql=column.sql,
        seconds_sql=_seconds(column),
    )


def _time(column: CatalogColumn, _: DeclaredType) -> Column:
    return Column(
        column.name,
        pl.Duration("us"),
        f"CAST({column.sql}*1000000 AS SIGNED)",
        pl.Int64(),
        wire.duration_from_clock,
        digest_sql=column.sql,
    )


TEXTS = (
    "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set",
    "json",
)  # fmt: skip
BINARIES = (
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob",
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
    "multipolygon", "geometrycollection", "geomcollection",
)  # fmt: skip

# Per type name; the SQL of an encoder may yield NULL only where the column is NULL.
_ENCODERS: Mapping[str, Callable[[CatalogColumn, DeclaredType], Column]] = {
    **dict.fromkeys(INTEGER_TYPES, _integer),
    "decimal": _decimal,
    "float": _float,
    "double": _float,
    "bit": _bit,
    "year": _year,
    **dict.fromkeys(TEXTS, _text),
    **dict.fromkeys(BINARIES, _binary),
    "vector": _vector,
    **dict.fromkeys(("uuid", "inet4", "inet6"), _plain_text),
    "timestamp": _timestamp,
    "datetime": _datetime,
    "date": _date,
    "time": _time,
}
