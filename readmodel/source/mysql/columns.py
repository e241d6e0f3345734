"""How each column type of MySQL and MariaDB travels, and what it becomes.

Nothing depends on the session's sql_mode: all literals are in single quotes and
hold no backslash.
"""

from dataclasses import dataclass

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.source import column_types, wire
from readmodel.source.column_types import Declared
from readmodel.source.wire import QUOTE, Column

_NO_INSTANT = -(2**63)
_TEXTS = {
    "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set",
    "json",
}  # fmt: skip
_NAMES = {"uuid", "inet4", "inet6"}
_BINARIES = {
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector",
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
    "multipolygon", "geometrycollection", "geomcollection",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Catalogued:
    """A row of information_schema.columns."""

    name: str
    type: str
    charset: str | None
    nullable: bool


def identifier(name: str) -> str:
    """*name* in backticks, whatever characters it has."""
    return "`" + name.replace("`", "``") + "`"


def complete(date: str, sql: str) -> str:
    """*sql*, but NULL where *date* lacks its month or its day.

    MariaDB's functions say NULL by themselves. MySQL's do for the zero date only: they
    take 2020-00-10 for the 10th of December 2019.
    """
    return f"IF(MONTH({date}) AND DAYOFMONTH({date}),{sql},NULL)"


def column(row: Catalogued) -> Column | None:
    """How the column travels; None for a type that is not known."""
    made = _typed(row, identifier(row.name), Declared.parse(row.type))
    if made is None or not row.nullable:
        return made
    sql = f"IF({identifier(row.name)} IS NULL,'',{made.sql})"
    return Column(made.name, made.dtype, sql, made.wire, made.decode, made.zero)


def _typed(row: Catalogued, sql: str, kind: Declared) -> Column | None:
    name = row.name
    if dtype := column_types.integer(kind):
        if dtype == pl.Boolean:
            whole = pl.Int8()
            return Column(name, dtype, sql, whole, wire.boolean_from_number)
        return Column(name, dtype, sql, dtype)
    if kind.base == "decimal":
        dtype = column_types.decimal(kind)
        text = _quoted(sql) if dtype == pl.String else sql
        return Column(name, dtype, text, dtype)
    if kind.base in ("float", "double"):
        dtype = pl.Float32() if kind.base == "float" else pl.Float64()
        # As text, a FLOAT is cut to six digits; as a double it is exact.
        return Column(name, dtype, f"({sql}+0e0)", pl.Float64())
    if kind.base in ("bit", "year"):
        dtype = column_types.bits(kind) if kind.base == "bit" else pl.Int16()
        return Column(name, dtype, f"({sql}+0)", dtype)
    if kind.base in _TEXTS | _NAMES:
        return Column(name, pl.String(), _quoted(_utf8(row, sql)), pl.String())
    if kind.base in _BINARIES:
        text = f"CONCAT('{QUOTE}',HEX({sql}),'{QUOTE}')"
        return Column(name, pl.Binary(), text, pl.String(), wire.binary_from_hex)
    return _temporal(name, sql, kind)


def _quoted(sql: str) -> str:
    return f"CONCAT('{QUOTE}',REPLACE({sql},'{QUOTE}','{QUOTE}{QUOTE}'),'{QUOTE}')"


def _utf8(row: Catalogued, sql: str) -> str:
    if row.charset is None:
        return f"CAST({sql} AS CHAR)"
    return sql if row.charset == "utf8mb4" else f"CONVERT({sql} USING utf8mb4)"


def _temporal(name: str, sql: str, kind: Declared) -> Column | None:
    match kind.base:
        case "timestamp" if not any(kind.numbers):
            return Column(
                name,
                INSTANT,
                f"UNIX_TIMESTAMP({sql})",
                pl.Int64(),
                wire.instant_from_seconds,
                zero=0,
            )
        case "timestamp":
            micros = f"CAST(UNIX_TIMESTAMP({sql})*1000000 AS SIGNED)"
            return Column(
                name, INSTANT, micros, pl.Int64(), wire.instant_from_micros, zero=0
            )
        case "datetime":
            micros = f"TIMESTAMPDIFF(MICROSECOND,'1970-01-01',{sql})"
            return Column(
                name,
                INSTANT,
                f"IFNULL({complete(sql, micros)},{_NO_INSTANT})",
                pl.Int64(),
                wire.instant_from_micros,
                zero=_NO_INSTANT,
            )
        case "date":
            return Column(
                name,
                pl.Date(),
                f"IFNULL({complete(sql, f'TO_DAYS({sql})')},-1)",
                pl.Int32(),
                wire.date_from_days,
                zero=-1,
            )
        case "time":
            clock = f"CAST({sql}*1000000 AS SIGNED)"
            return Column(
                name,
                pl.Duration("us"),
                clock,
                pl.Int64(),
                wire.duration_from_clock,
            )
    return None
