"""How the column types of MySQL and MariaDB are packed, and the dtypes they become.

The SQL does not depend on the session's sql_mode: its literals are in single quotes and
contain no backslash.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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
from readmodel.source.wire import QUOTE, Column

# No DATETIME is so early.
_ZERO_DATETIME = -(2**63)


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A row of information_schema.columns."""

    name: str
    type: str
    charset: str | None
    nullable: bool

    @property
    def sql(self) -> str:
        """The column as SQL."""
        return identifier(self.name)


def identifier(name: str) -> str:
    """Quote *name* in backticks, whatever characters it contains."""
    return "`" + name.replace("`", "``") + "`"


def null_if_incomplete(date: str, sql: str) -> str:
    """Wrap *sql* so that it is NULL where *date* has no month or no day.

    MariaDB's functions return NULL by themselves. MySQL's do so only for the zero date:
    they take 2020-00-10 for the 10th of December 2019.
    """
    return f"IF(MONTH({date}) AND DAYOFMONTH({date}),{sql},NULL)"


def encode(column: CatalogColumn) -> Column | None:
    """Choose how *column* is packed and parsed; None if its type is not supported."""
    declared = DeclaredType.parse(column.type)
    encoder = _ENCODERS.get(declared.name)
    if encoder is None:
        return None
    encoded = encoder(column, declared)
    if not column.nullable:
        return encoded
    return replace(encoded, sql=f"IF({column.sql} IS NULL,'',{encoded.sql})")


def _integer(column: CatalogColumn, declared: DeclaredType) -> Column:
    dtype = integer_dtype(declared)
    if dtype == pl.Boolean:
        number = pl.Int8()
        return Column(column.name, dtype, column.sql, number, wire.boolean_from_number)
    return Column(column.name, dtype, column.sql, dtype)


def _decimal(column: CatalogColumn, declared: DeclaredType) -> Column:
    dtype = decimal_dtype(declared)
    sql = _quoted(column.sql) if dtype == pl.String else column.sql
    return Column(column.name, dtype, sql, dtype)


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
    if column.charset is None:
        sql = f"CAST({column.sql} AS CHAR)"
    elif column.charset == "utf8mb4":
        sql = column.sql
    else:
        sql = f"CONVERT({column.sql} USING utf8mb4)"
    return Column(column.name, pl.String(), _quoted(sql), pl.String())


def _binary(column: CatalogColumn, _: DeclaredType) -> Column:
    sql = f"CONCAT('{QUOTE}',HEX({column.sql}),'{QUOTE}')"
    return Column(column.name, pl.Binary(), sql, pl.String(), wire.binary_from_hex)


def _timestamp(column: CatalogColumn, declared: DeclaredType) -> Column:
    if any(declared.arguments):
        sql = f"CAST(UNIX_TIMESTAMP({column.sql})*1000000 AS SIGNED)"
        decode = wire.instant_from_micros
    else:
        sql = f"UNIX_TIMESTAMP({column.sql})"
        decode = wire.instant_from_seconds
    return Column(column.name, INSTANT, sql, pl.Int64(), decode, null_marker=0)


def _datetime(column: CatalogColumn, _: DeclaredType) -> Column:
    micros = f"TIMESTAMPDIFF(MICROSECOND,'1970-01-01',{column.sql})"
    return Column(
        column.name,
        INSTANT,
        f"IFNULL({null_if_incomplete(column.sql, micros)},{_ZERO_DATETIME})",
        pl.Int64(),
        wire.instant_from_micros,
        null_marker=_ZERO_DATETIME,
    )


def _date(column: CatalogColumn, _: DeclaredType) -> Column:
    days = null_if_incomplete(column.sql, f"TO_DAYS({column.sql})")
    return Column(
        column.name,
        pl.Date(),
        f"IFNULL({days},-1)",
        pl.Int32(),
        wire.date_from_days,
        null_marker=-1,
    )


def _time(column: CatalogColumn, _: DeclaredType) -> Column:
    clock = f"CAST({column.sql}*1000000 AS SIGNED)"
    duration = pl.Duration("us")
    return Column(column.name, duration, clock, pl.Int64(), wire.duration_from_clock)


def _quoted(sql: str) -> str:
    return f"CONCAT('{QUOTE}',REPLACE({sql},'{QUOTE}','{QUOTE}{QUOTE}'),'{QUOTE}')"


_TEXTS = (
    "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set",
    "json", "uuid", "inet4", "inet6",
)  # fmt: skip
_BINARIES = (
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector",
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
    **dict.fromkeys(_TEXTS, _text),
    **dict.fromkeys(_BINARIES, _binary),
    "timestamp": _timestamp,
    "datetime": _datetime,
    "date": _date,
    "time": _time,
}
