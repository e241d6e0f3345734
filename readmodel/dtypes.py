"""Convert Polars dtypes to and from the names in snapshot.json."""

import json
import re
from collections.abc import Mapping

import polars as pl
from polars.datatypes import DataTypeClass

INSTANT = pl.Datetime("us", "UTC")
"""The dtype of every mirrored timestamp."""

MOST_DIGITS = 38

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
    "NaiveDatetime": pl.Datetime("us"),
    "String": pl.String(),
    "Time": pl.Time(),
    "UInt8": pl.UInt8(),
    "UInt16": pl.UInt16(),
    "UInt32": pl.UInt32(),
    "UInt64": pl.UInt64(),
}
_NAMES = {dtype: name for name, dtype in _NAMED.items()}
_DECIMAL = re.compile(r"Decimal\((\d+),(\d+)\)")
_LIST = re.compile(r"List\((.+)\)")
_STRUCT = re.compile(r"Struct\((\{.+\})\)")


def dtype_name(dtype: pl.DataType) -> str:
    """Name *dtype*, for example ``Int32`` or ``Decimal(4,2)``.

    Raises KeyError for a dtype that no source yields.
    """
    if isinstance(dtype, pl.Decimal):
        return f"Decimal({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.List):
        return f"List({dtype_name(_instance(dtype.inner))})"
    if isinstance(dtype, pl.Struct):
        fields = {f.name: dtype_name(_instance(f.dtype)) for f in dtype.fields}
        return f"Struct({json.dumps(fields, ensure_ascii=False)})"
    return _NAMES[dtype]


def parse_dtype(name: str) -> pl.DataType:
    """Parse a name made by `dtype_name`. Raises ValueError for an unknown one."""
    if found := _DECIMAL.fullmatch(name):
        return _decimal(int(found[1]), int(found[2]))
    if found := _LIST.fullmatch(name):
        return pl.List(parse_dtype(found[1]))
    if found := _STRUCT.fullmatch(name):
        fields = json.loads(found[1]).items()
        return pl.Struct({field: parse_dtype(inner) for field, inner in fields})
    if name not in _NAMED:
        raise ValueError(f"unknown dtype {name!r}")
    return _NAMED[name]


def _decimal(precision: int, scale: int) -> pl.Decimal:
    if not 1 <= precision <= MOST_DIGITS or scale > precision:
        raise ValueError(
            f"no decimal has {precision} digits, {scale} of them fractional"
        )
    return pl.Decimal(precision, scale)


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()
