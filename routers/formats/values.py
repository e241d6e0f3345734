"""Values as text: one rule for JSON, NDJSON, CSV and the texts of a workbook.

| type | text |
|---|---|
| integer, decimal | all digits |
| number | the shortest digits that give the same number; NaN, Infinity, -Infinity |
| timestamp | ISO 8601 with Z or the offset; without either if the column has no zone |
| date, time | ISO 8601 |
| duration | ISO 8601, such as PT1.5S |
| binary | Base64 |
| list, object | JSON |
"""

import base64
import datetime as dt
import json
import math
from decimal import Decimal
from typing import Final

import polars as pl

_SECONDS: Final = "%Y-%m-%dT%H:%M:%S%.f"
_UTC_ZONES: Final = ("UTC", "Etc/UTC")


def texts(frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with every column as String, by the rule above; null stays null."""
    return frame.select(_text(column) for column in frame)


def json_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """*frame* with every value as JSON (String); a null is the text ``null``."""
    return frame.select(_json(column).fill_null("null") for column in frame)


def _text(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    match dtype:
        case pl.String():
            return column
        case pl.Float32() | pl.Float64():
            return _float_text(column)
        case pl.Datetime():
            return column.dt.to_string(_SECONDS + _offset_format(dtype))
        case pl.Time():
            return column.dt.to_string("%H:%M:%S%.f")
        case pl.Duration():
            return column.dt.to_string("iso")
        case pl.Binary():
            return column.bin.encode("base64")
        case _ if dtype.is_nested():
            return _nested_json(column)
        case _:
            return column.cast(pl.String)


def _json(column: pl.Series) -> pl.Series:
    """*column* as JSON; null stays null."""
    dtype = column.dtype
    if dtype.is_nested():
        return _nested_json(column)
    if dtype.is_float():
        finite = column.is_finite().fill_null(True)
        return _float_text(column) if finite.all() else _quoted_non_finite(column)
    if isinstance(dtype, pl.Boolean) or dtype.is_integer() or dtype.is_decimal():
        return column.cast(pl.String)
    return _quoted(_text(column))


def _quoted(text: pl.Series) -> pl.Series:
    """*text* (String) as JSON strings; null stays null."""
    # A struct with one field of a known name is the only JSON encoder of Polars.
    encoded = text.rename("v").to_frame().to_struct().struct.json_encode()
    quoted = encoded.str.strip_prefix('{"v":').str.strip_suffix("}")
    return quoted.set(text.is_null(), None).rename(text.name)


def _float_text(column: pl.Series) -> pl.Series:
    text = column.cast(pl.String)
    if column.is_finite().fill_null(True).all():
        return text
    return text.replace({"inf": "Infinity", "-inf": "-Infinity"})


def _quoted_non_finite(column: pl.Series) -> pl.Series:
    text = _float_text(column)
    words = {word: f'"{word}"' for word in ("NaN", "Infinity", "-Infinity")}
    return text.replace(words)


def _offset_format(dtype: pl.Datetime) -> str:
    if dtype.time_zone is None:
        return ""
    return "Z" if dtype.time_zone in _UTC_ZONES else "%:z"


def _nested_json(column: pl.Series) -> pl.Series:
    """Lists and structs as JSON; null stays null."""
    # Polars would write decimals as strings and NaN as null, and fails on binary.
    encoded = (None if value is None else _encode(value) for value in column.to_list())
    return pl.Series(column.name, encoded, pl.String)


def _encode(value: object) -> str:
    """A Python value of Polars as JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _encode_float(value)
        case Decimal():
            return format(value, "f")
        case list():
            return f"[{','.join(map(_encode, value))}]"
        case dict():
            pairs = (f"{_string(name)}:{_encode(v)}" for name, v in value.items())
            return f"{{{','.join(pairs)}}}"
        case _:
            return _string(_scalar_text(value))


def _encode_float(value: float) -> str:
    if math.isnan(value):
        return '"NaN"'
    if value in (float("inf"), float("-inf")):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    return repr(value)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _scalar_text(value: object) -> str:
    match value:
        case dt.datetime():
            return value.isoformat().replace("+00:00", "Z")
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return str(pl.Series([value]).dt.to_string("iso")[0])
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value)
