"""The declared types: the dtype of each column, and SQL for its values as packed text."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.source import wire
from readmodel.source.column_types import INTEGER_TYPES, DeclaredType, decimal_dtype
from readmodel.source.sqlite import floats
from readmodel.source.sqlite.sql import MISFIT, identifier, is_date
from readmodel.source.wire import QUOTE, Column


def mirrored_column(name: str, text: str) -> Column:
    """The column *name*, whose type is declared as *text*."""
    declared = DeclaredType.parse(text)
    encoded = _ENCODERS.get(declared.name, _text)(name, declared)
    return replace(
        encoded,
        sql=f"COALESCE({encoded.sql}, '')",
        array_sql=encoded.array_sql or identifier(name),
    )


_NO_DATE = "no date"


_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"


INTEGER = pl.Int64()
"""Integers have up to 64 bits, whatever the declared type is called."""


def _integer(name: str, _: DeclaredType) -> Column:
    sql = identifier(name)
    integer = (
        f"CASE WHEN typeof({sql}) IN ('integer', 'null') THEN {sql} ELSE '{MISFIT}' END"
    )
    return Column(name, INTEGER, integer, INTEGER)


def _boolean(name: str, _: DeclaredType) -> Column:
    sql = identifier(name)
    digit = f"CASE WHEN {sql} IN (0, 1) OR {sql} IS NULL THEN {sql} ELSE '{MISFIT}' END"
    return Column(name, pl.Boolean(), digit, pl.Int8(), wire.boolean_from_number)


def _decimal(name: str, declared: DeclaredType) -> Column:
    dtype, sql = decimal_dtype(declared), identifier(name)
    if not declared.arguments or not isinstance(dtype, pl.Decimal):
        # Without digits, NUMERIC is SQLite's word for a number of any kind.
        return _text(name, declared)
    real = f"exact_decimal({sql}, printf('%.{dtype.scale}f', {sql}))"
    scaled = _scaled(sql, dtype.scale)
    return Column(name, dtype, _number(sql, real), dtype, array_sql=scaled)


def _scaled(sql: str, scale: int) -> str:
    """SQL for an integer: the value times the power of ten of its *scale*.

    It is exact if dividing it gives the value again: numbers of up to 15 digits have
    distinct floating-point numbers, and a quotient is the one nearest to the result.
    """
    power = f"{10**scale}.0"
    integer = f"CAST(round({sql} * {power}) AS INTEGER)"
    limit = f"1e{15 - scale}"
    # With the plus, a text is not taken for a number.
    return (
        f"CASE WHEN +{sql} BETWEEN -{limit} AND {limit} AND {integer} / {power} = {sql} "
        f"THEN {integer} WHEN {sql} IS NOT NULL THEN '{MISFIT}' END"
    )


def _float(name: str, _: DeclaredType) -> Column:
    sql = identifier(name)
    real = f"exact({sql}, printf('%!.17g', {sql}))"
    number = _number(sql, real)
    return Column(
        name,
        pl.Float64(),
        number,
        pl.Float64(),
        array_sql=floats.array_sql(sql, number),
        proof_sql=floats.proof_sql(sql),
    )


def _number(sql: str, real: str) -> str:
    """SQL for a number, where *real* writes a floating-point number."""
    return (
        f"CASE typeof({sql}) WHEN 'real' THEN {real} WHEN 'integer' THEN {sql} "
        f"WHEN 'null' THEN NULL ELSE '{MISFIT}' END"
    )


def _text(name: str, declared: DeclaredType) -> Column:
    sql = identifier(name)
    element = "" if _has_only_texts(declared) else _as_text(sql)
    is_usual = f"typeof({sql}) = 'text' AND instr({sql}, '{QUOTE}') = 0"
    plain = f"'{QUOTE}'||{sql}||'{QUOTE}'"
    text = _if(is_usual, plain, _quoted(_as_text(sql)))
    return Column(name, pl.String(), text, pl.String(), array_sql=element)


def _has_only_texts(declared: DeclaredType) -> bool:
    """Whether SQLite stores numbers as texts in such a column."""
    is_text = any(word in declared.name for word in ("char", "clob", "text"))
    return is_text and "int" not in declared.name


def _if(is_usual: str, usual: str, any_value: str) -> str:
    """SQL for *any_value*, which is *usual* for usual values and takes longer."""
    return f"CASE WHEN {is_usual} THEN {usual} ELSE {any_value} END"


def _binary(name: str, _: DeclaredType) -> Column:
    sql = identifier(name)
    digits = f"CASE WHEN {sql} IS NOT NULL THEN hex({_as_is(sql)}) END"
    return Column(
        name,
        pl.Binary(),
        _quoted(digits),
        pl.String(),
        wire.binary_from_hex,
        array_sql=digits,
    )


def _as_text(sql: str) -> str:
    """SQL for the text of any value."""
    return f"CAST({_as_is(sql)} AS TEXT)"


def _as_is(sql: str) -> str:
    """SQL for a value; a floating-point number as its text, with all of its digits."""
    real = f"exact({sql}, CAST({sql} AS TEXT))"
    return f"CASE typeof({sql}) WHEN 'real' THEN {real} ELSE {sql} END"


def _date(name: str, _: DeclaredType) -> Column:
    sql = identifier(name)
    return _calendar(name, pl.Date(), sql, _parse_date, "date")


def _instant(name: str, _: DeclaredType) -> Column:
    sql = identifier(name)
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
    sql = identifier(name)
    text = (
        f"CASE WHEN {sql} IS NULL THEN NULL "
        f"WHEN typeof({sql}) <> 'text' OR {sql} NOT GLOB '{_DAY}' "
        f"OR {sql} GLOB '*[^-0-9 :.TZ]*' THEN '{MISFIT}' "
        f"WHEN NOT COALESCE({is_date(sql)}, FALSE) THEN '{_NO_DATE}' "
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
        .otherwise(pl.when(field.is_not_null()).then(pl.lit(MISFIT)))
    )
    return checked.str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC"
    )


def _quoted(sql: str) -> str:
    return f"'{QUOTE}'||replace({sql},'{QUOTE}','{QUOTE}{QUOTE}')||'{QUOTE}'"


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
