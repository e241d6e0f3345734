"""snapshot.json: what a snapshot holds, as frozen data, to and from JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl
from pydantic import TypeAdapter

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


def dtype_named(name: str) -> pl.DataType:
    """The dtype that snapshot.json calls *name*. Raises ValueError for an unknown one."""
    if found := _DECIMAL.fullmatch(name):
        return pl.Decimal(int(found[1]), int(found[2]))
    if name not in _NAMED:
        raise ValueError(f"unknown dtype {name!r}")
    return _NAMED[name]


@dataclass(frozen=True, slots=True)
class Copy:
    """A part's second file, see `visits`; `hashing` tells by which hash it was made."""

    bytes: int
    crc32: int
    hashing: str


@dataclass(frozen=True, slots=True)
class Part:
    """One immutable Parquet file of a table.

    `checked_at` is the last time its rows were known to equal the source's.
    """

    file: str
    rows: int
    bytes: int
    crc32: int
    checked_at: datetime
    visits: Copy | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """One table in a snapshot: its columns in order, and its parts in key order."""

    columns: Mapping[str, str]
    parts: tuple[Part, ...]
    changed_at: datetime

    @property
    def schema(self) -> pl.Schema:
        """Column names and dtypes."""
        return pl.Schema({n: dtype_named(dtype) for n, dtype in self.columns.items()})

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def checked_at(self) -> datetime:
        """When the part that waited longest was compared with the source."""
        return min(part.checked_at for part in self.parts)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of snapshot.json. `taken_at` is the instant whose rows it holds (UTC)."""

    taken_at: datetime
    tables: Mapping[str, Stored] = field(default_factory=dict)
    version: int = 1

    def to_json(self) -> bytes:
        return _FORMAT.dump_json(self, indent=1)

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Raises ValueError when *text* is not a whole manifest of this version."""
        manifest = _FORMAT.validate_json(text)
        if manifest.version != 1:
            raise ValueError(f"snapshot format {manifest.version} is not known")
        for table in manifest.tables.values():
            if not table.parts or not table.schema:
                raise ValueError("a table has neither parts nor columns")
        return manifest


_FORMAT = TypeAdapter(Manifest)
