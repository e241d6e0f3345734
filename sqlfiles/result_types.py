"""How the columns of a result are stored: DuckDB's types, and the dtypes of parts."""

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from sqlfiles.definition import quoted

_SCALARS: Final[Mapping[str, tuple[str, str]]] = {
    "bigint": ("BIGINT", "Int64"),
    "blob": ("BLOB", "Binary"),
    "boolean": ("BOOLEAN", "Boolean"),
    "date": ("DATE", "Date"),
    "double": ("DOUBLE", "Float64"),
    "enum": ("VARCHAR", "String"),
    "float": ("FLOAT", "Float32"),
    "hugeint": ("DECIMAL(38,0)", "Decimal(38,0)"),
    "integer": ("INTEGER", "Int32"),
    "smallint": ("SMALLINT", "Int16"),
    "time": ("TIME", "Time"),
    "timestamp": ("TIMESTAMP", "NaiveDatetime"),
    "timestamp with time zone": ("TIMESTAMP WITH TIME ZONE", "Datetime"),
    "timestamp_ms": ("TIMESTAMP", "NaiveDatetime"),
    "timestamp_ns": ("TIMESTAMP", "NaiveDatetime"),
    "timestamp_s": ("TIMESTAMP", "NaiveDatetime"),
    "tinyint": ("TINYINT", "Int8"),
    "ubigint": ("UBIGINT", "UInt64"),
    "uhugeint": ("DECIMAL(38,0)", "Decimal(38,0)"),
    "uinteger": ("UINTEGER", "UInt32"),
    "usmallint": ("USMALLINT", "UInt16"),
    "utinyint": ("UTINYINT", "UInt8"),
    "uuid": ("VARCHAR", "String"),
    "varchar": ("VARCHAR", "String"),
}
"""DuckDB's type: the type that it is cast to, and the dtype as `dtypes` spells it."""

_ADVICE: Final[Mapping[str, str]] = {
    "interval": "use epoch(x), a number of seconds",
    "null": "give it a type, as in NULL::INTEGER",
    "map": "use map_entries(x), a list of structs",
    "bit": "cast it to VARCHAR",
    "bignum": "cast it to VARCHAR or DECIMAL",
    "time with time zone": "cast it to TIME",
    "variant": "cast it to JSON",
}


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result: the type to cast it to, and the dtype it is stored as.

    A `wide` column is a HUGEINT, which is stored as Int64 if all its values fit.
    """

    name: str
    cast: str
    dtype: str
    wide: bool = False

    @property
    def sql(self) -> str:
        """The expression that selects the column."""
        return f"CAST({quoted(self.name)} AS {self.cast}) AS {quoted(self.name)}"

    def narrow(self) -> "ResultColumn":
        """The column as Int64."""
        return ResultColumn(self.name, "BIGINT", "Int64")


def result_columns(columns: Iterable[tuple[str, Any]]) -> tuple[ResultColumn, ...]:
    """How to store *columns*, names with their DuckDBPyType.

    Raises ValueError, which names every column whose type cannot be stored.
    """
    found, refused = [], []
    for name, kind in columns:
        try:
            cast, dtype = _stored(kind)
        except ValueError as error:
            refused.append(f"column {name} is {kind}, which cannot be stored: {error}")
        else:
            wide = kind.id in ("hugeint", "uhugeint")
            found.append(ResultColumn(name, cast, dtype, wide))
    if refused:
        raise ValueError("; ".join(refused))
    return tuple(found)


def shown_columns(columns: Iterable[tuple[str, Any]]) -> tuple[ResultColumn, ...]:
    """How to show *columns*, names with their DuckDBPyType, to whoever asked for them.

    What cannot be stored, such as an INTERVAL, is shown as text. Equal names, whatever
    their case, get numbers: ``a, a`` becomes ``a, a_1``.
    """
    found: list[ResultColumn] = []
    taken: set[str] = set()
    for name, kind in columns:
        try:
            cast, dtype = _stored(kind)
        except ValueError:
            cast, dtype = "VARCHAR", "String"
        unique = _unique(name, taken)
        taken.add(unique.lower())
        wide = kind.id in ("hugeint", "uhugeint")
        found.append(ResultColumn(unique, cast, dtype, wide))
    return tuple(found)


def _unique(name: str, taken: Container[str]) -> str:
    candidates = (f"{name}_{number}" if number else name for number in count())
    return next(each for each in candidates if each.lower() not in taken)


def _stored(kind: Any) -> tuple[str, str]:
    """The type to cast *kind* to, and the dtype. Raises ValueError, what to do instead."""
    if kind.id in _SCALARS:
        return _SCALARS[kind.id]
    match kind.id:
        case "decimal":
            (_, precision), (_, scale) = kind.children
            return f"DECIMAL({precision},{scale})", f"Decimal({precision},{scale})"
        case "list" | "array":
            cast, dtype = _stored(kind.children[0][1])
            return f"{cast}[]", f"List({dtype})"
        case "struct":
            return _struct(kind.children)
    raise ValueError(_ADVICE.get(kind.id, "cast it to another type"))


def _struct(fields: Iterable[tuple[str, Any]]) -> tuple[str, str]:
    stored = {name: _stored(kind) for name, kind in fields}
    casts = ", ".join(f"{quoted(name)} {cast}" for name, (cast, _) in stored.items())
    dtypes = {name: dtype for name, (_, dtype) in stored.items()}
    return f"STRUCT({casts})", f"Struct({json.dumps(dtypes, ensure_ascii=False)})"


_DUCKDB_TYPES: Final[Mapping[str, str]] = {
    "Binary": "BLOB",
    "Boolean": "BOOLEAN",
    "Date": "DATE",
    "Datetime": "TIMESTAMP WITH TIME ZONE",
    "Duration": "BIGINT",  # as DuckDB reads it from Parquet
    "Float32": "FLOAT",
    "Float64": "DOUBLE",
    "Int16": "SMALLINT",
    "Int32": "INTEGER",
    "Int64": "BIGINT",
    "Int8": "TINYINT",
    "NaiveDatetime": "TIMESTAMP",
    "String": "VARCHAR",
    "Time": "TIME",
    "UInt16": "USMALLINT",
    "UInt32": "UINTEGER",
    "UInt64": "UBIGINT",
    "UInt8": "UTINYINT",
}


def duckdb_type(dtype: str) -> str:
    """The DuckDB type of a stored column. Raises ValueError for an unknown *dtype*."""
    if dtype.startswith("Decimal("):
        return dtype.upper()
    if dtype.startswith("List("):
        return f"{duckdb_type(dtype[5:-1])}[]"
    if dtype.startswith("Struct("):
        fields = json.loads(dtype[7:-1]).items()
        listed = ", ".join(
            f"{quoted(name)} {duckdb_type(kind)}" for name, kind in fields
        )
        return f"STRUCT({listed})"
    if dtype not in _DUCKDB_TYPES:
        raise ValueError(f"unknown dtype {dtype!r}")
    return _DUCKDB_TYPES[dtype]
