"""Spell Polars dtypes as text, as snapshot.json and the parts' footers store them."""

import re
from collections.abc import Mapping

import polars as pl

INSTANT = pl.Datetime("us", "UTC")

_NAMED: Mapping[str, pl.DataType] = {
    "Binary": pl.Binary(),
    "Boolean": pl.Boolean(),
    "Date": pl.Date(),
    "Datetime": INSTANT,
    "Duration": pl.Duration("us"),
    "Float32": pl.Float32(),
    "Float64": pl.Float64(),
    "Int8": pl.Int8(),
    "Int16": pl.Int16(),
    "Int32": pl.Int32(),
    "Int64": pl.Int64(),
    "String": pl.String(),
    "UInt8": pl.UInt8(),
    "UInt16": pl.UInt16(),
    "UInt32": pl.UInt32(),
    "UInt64": pl.UInt64(),
}
_NAMES = {dtype: name for name, dtype in _NAMED.items()}
_DECIMAL = re.compile(r"Decimal\((\d+),(\d+)\)")


def dtype_name(dtype: pl.DataType) -> str:
    """How snapshot.json writes *dtype*. Raises KeyError for one that no mirror holds."""
    if isinstance(dtype, pl.Decimal):
        return f"Decimal({dtype.precision},{dtype.scale})"
    return _NAMES[dtype]


def parse_dtype(name: str) -> pl.DataType:
    """The dtype that snapshot.json calls *name*. Raises ValueError for an unknown one."""
    if found := _DECIMAL.fullmatch(name):
        return pl.Decimal(int(found[1]), int(found[2]))
    if name not in _NAMED:
        raise ValueError(f"unknown dtype {name!r}")
    return _NAMED[name]
