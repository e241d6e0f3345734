"""Rows of a result of DuckDB, as they are stored and sent."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from readmodel.dtypes import parse_dtype
from sqlfiles.result_types import ResultColumn

_INT64: Final = (-(2**63), 2**63 - 1)


def as_stored(rows: pl.DataFrame, columns: Sequence[ResultColumn]) -> pl.DataFrame:
    """*rows* with the dtypes of *columns*; a wide one is Int64 if all its values fit."""
    schema = {column.name: parse_dtype(column.dtype) for column in columns}
    rows = rows.cast(pl.Schema(schema))
    narrowed = (rows[c.name] for c in columns if c.wide and _fits(rows, c))
    return rows.with_columns(column.cast(pl.Int64) for column in narrowed)


def _fits(rows: pl.DataFrame, column: ResultColumn) -> bool:
    return bool(rows[column.name].is_between(*_INT64).fill_null(True).all())
