"""How each column type of PostgreSQL travels in COPY, and which dtype it becomes.

Types that Polars has no exact equivalent for travel as the text of their output
function, which loses nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.source import wire
from readmodel.source.wire import Column

# Polars holds 38 decimal digits, PostgreSQL 1000: wider numbers stay exact as text.
WIDEST_DECIMAL = 38
# One digit more than a value has room for what stands for NaN.
_NAN = "NaN"
_NO_INSTANT = -(2**63)
_NO_DATE = -(2**31)
_NUMERIC_HEADER = 4

OCTAL_CHAR_VERSION = 150_000
"""Since this version the text of a "char" is always ASCII."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A row of pg_attribute, a domain resolved to the type beneath it.

    `type` is the name in pg_type, `builtin` whether it belongs to pg_catalog;
    `modifier` is what the declaration adds, such as precision and scale, or -1.
    """

    name: str
    type: str
    builtin: bool = True
    modifier: int = -1
    money_scale: int = 2


def identifier(name: str) -> str:
    """*name* in double quotes, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def column(row: Attribute, server_version: int = OCTAL_CHAR_VERSION) -> Column:
    """How the column travels; every type can."""
    sql = identifier(row.name)
    if row.builtin and row.type == "char" and server_version < OCTAL_CHAR_VERSION:
        return _as_text(row, _octal_char(sql))
    make = _BUILTIN.get(row.type) if row.builtin else None
    return make(row, sql) if make else _as_text(row, sql)


def _plain(dtype: pl.DataType) -> Callable[[Attribute, str], Column]:
    return lambda row, sql: Column(row.name, dtype, sql, dtype)


def _as_text(row: Attribute, sql: str) -> Column:
    return Column(row.name, pl.String(), sql, pl.String())


def _octal_char(sql: str) -> str:
    r"""The text of a "char" as later servers have it: ``\303`` for the byte 0xC3.

    Servers before send the byte itself, which alone is not UTF-8.
    """
    byte = f"({sql}::int4 + 256)"
    digits = f"{byte} / 64, {byte} / 8 % 8, {byte} % 8"
    return (
        f"CASE WHEN {sql}::int4 < 0 THEN concat(chr(92), {digits}) ELSE {sql}::text END"
    )


def _oid(row: Attribute, sql: str) -> Column:
    # As an int8, or a bound of a block beyond the type would be an error.
    return Column(row.name, pl.UInt32(), f"{sql}::int8", pl.UInt32())


def _boolean(row: Attribute, sql: str) -> Column:
    number = pl.Int8()
    return Column(
        row.name, pl.Boolean(), f"{sql}::int4", number, wire.boolean_from_number
    )


def _numeric(row: Attribute, sql: str) -> Column:
    if row.modifier < _NUMERIC_HEADER:
        return _as_text(row, sql)
    precision, scale = _precision_and_scale(row.modifier)
    if precision > WIDEST_DECIMAL or not 0 <= scale <= precision:
        return _as_text(row, sql)
    dtype = pl.Decimal(precision, scale)
    if precision == WIDEST_DECIMAL:
        # No digit is left for a number that stands for NaN.
        return Column(row.name, dtype, sql, pl.String(), null_marker=_NAN)
    nan = 10 ** (precision - scale)
    # One above the largest value, so that no value is taken for NaN.
    number = f"CASE WHEN {sql} = 'NaN' THEN {nan} ELSE {sql} END"
    return Column(
        row.name, dtype, number, pl.Decimal(precision + 1, scale), null_marker=nan
    )


def _precision_and_scale(modifier: int) -> tuple[int, int]:
    """Both are packed into one number; the scale is signed, of 11 bits."""
    packed = modifier - _NUMERIC_HEADER
    return packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 0x400) - 0x400


def _money(row: Attribute, sql: str) -> Column:
    dtype = pl.Decimal(20, row.money_scale)
    return Column(row.name, dtype, f"{sql}::numeric(20,{row.money_scale})", dtype)


def _instant(row: Attribute, sql: str) -> Column:
    micros = f"(extract(epoch FROM {sql})*1000000)::int8"
    return Column(
        row.name,
        INSTANT,
        _within_calendar(sql, micros, _NO_INSTANT),
        pl.Int64(),
        wire.instant_from_micros,
        null_marker=_NO_INSTANT,
    )


def _date(row: Attribute, sql: str) -> Column:
    days = f"{sql} - date '1970-01-01'"
    return Column(
        row.name,
        pl.Date(),
        _within_calendar(sql, days, _NO_DATE),
        pl.Int32(),
        null_marker=_NO_DATE,
    )


def in_calendar(sql: str) -> str:
    """SQL that is true where a date or a timestamp lies in the years 1 to 9999."""
    return f"{sql} >= '0001-01-01' AND {sql} < '10000-01-01'"


def _within_calendar(sql: str, value: str, otherwise: int) -> str:
    """*value*, or *otherwise* for infinity and for years that Polars cannot hold."""
    return (
        f"CASE WHEN {in_calendar(sql)} THEN {value} "
        f"WHEN {sql} IS NOT NULL THEN {otherwise} END"
    )


def _time(row: Attribute, sql: str) -> Column:
    # A duration, since PostgreSQL has the time 24:00:00.
    micros = f"(extract(epoch FROM {sql})*1000000)::int8"
    return Column(row.name, pl.Duration("us"), micros, pl.Int64())


def _bytes(row: Attribute, sql: str) -> Column:
    hexadecimal = f"encode({sql},'hex')"
    return Column(row.name, pl.Binary(), hexadecimal, pl.String(), wire.binary_from_hex)


_BUILTIN: dict[str, Callable[[Attribute, str], Column]] = {
    "int2": _plain(pl.Int16()),
    "int4": _plain(pl.Int32()),
    "int8": _plain(pl.Int64()),
    "oid": _oid,
    "float4": _plain(pl.Float32()),
    "float8": _plain(pl.Float64()),
    "bool": _boolean,
    "numeric": _numeric,
    "money": _money,
    "timestamp": _instant,
    "timestamptz": _instant,
    "date": _date,
    "time": _time,
    "bytea": _bytes,
}
