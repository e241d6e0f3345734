"""Floating-point numbers in arrays: as texts, with integers that prove the texts.

SQLite writes 17 digits of a number, which mostly are the right ones, though not always. To
compare each with its number in Python takes six times as long as to write it. A number
of usual size is a whole number and a fraction of 62 bits, both of which SQLite writes
exactly: if the text is read as their sum, it is right. Zero may have a sign, which SQL does
not show, and other numbers are too small or too large: `exact` writes them.
"""

from typing import Final

import polars as pl

_LEAST: Final = 2.0**-9
"""The last of 53 bits is worth 2 ** -61 then: a fraction of 62 bits has it."""
_MOST: Final = 2.0**53
_FRACTION_BITS: Final = 62


def array_sql(sql: str, others: str) -> str:
    """SQL for a floating-point number as text; *others* is that for values of any type."""
    return (
        f"CASE WHEN {_is_usual(sql)} THEN printf('%!.17g', {sql}) "
        f"ELSE CAST({others} AS TEXT) END"
    )


def proof_sql(sql: str) -> tuple[str, str]:
    """SQL for the whole number of a usual number, and for its fraction; else NULL."""
    whole = f"CAST({sql} AS INTEGER)"
    fraction = f"CAST(({sql} - {whole}) * {2.0**_FRACTION_BITS!r} AS INTEGER)"
    condition = _is_usual(sql)
    return _if(condition, whole), _if(condition, fraction)


def are_proven(texts: pl.Series, whole: pl.Series, fraction: pl.Series) -> bool:
    """Whether all *texts* (String) are read as the sum of *whole* and *fraction* (Int64).

    Those that have no such numbers were written by `exact`.
    """
    # No rounding: a number of 53 bits is the sum of two that have no more.
    numbers = whole.cast(pl.Float64) + fraction.cast(pl.Float64) * 2.0**-_FRACTION_BITS
    try:
        return (texts.cast(pl.Float64) == numbers).fill_null(True).all()
    except pl.exceptions.InvalidOperationError:
        return False  # no number at all


def _is_usual(sql: str) -> str:
    size = f"abs({sql})"
    return f"typeof({sql}) = 'real' AND {size} BETWEEN {_LEAST!r} AND {_MOST!r}"


def _if(condition: str, value: str) -> str:
    return f"CASE WHEN {condition} THEN {value} END"
