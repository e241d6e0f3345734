"""snapshot.json: what a snapshot holds, as frozen data, to and from JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl
from pydantic import TypeAdapter

from readmodel.dtypes import parse_dtype


@dataclass(frozen=True, slots=True)
class VisitsFile:
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
    visits: VisitsFile | None = None


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One table in a snapshot: its columns in order, and its parts in key order."""

    columns: Mapping[str, str]
    parts: tuple[Part, ...]
    changed_at: datetime

    @property
    def schema(self) -> pl.Schema:
        """Column names and dtypes."""
        return pl.Schema({n: parse_dtype(dtype) for n, dtype in self.columns.items()})

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
    tables: Mapping[str, StoredTable] = field(default_factory=dict)
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
