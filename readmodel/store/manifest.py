"""snapshot.json: the record of a snapshot, as frozen data, to and from JSON.

Others may write to the file, so nothing in it is believed before its shape is checked: a
file name has no folder, a number is possible, an instant has a zone.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    StringConstraints,
    TypeAdapter,
)

from readmodel.dtypes import parse_dtype
from readmodel.store.damage import PARSE_ERRORS, VALUE_ERRORS
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.tables import TABLES

LARGEST: Final = 2**53
"""Of bytes and rows: JSON's readers agree on integers up to here."""

LONGEST_NAME: Final = 255
"""Bytes of a file name."""

type _Count = Annotated[int, Field(ge=0, le=LARGEST)]
type _Crc32 = Annotated[int, Field(ge=0, lt=2**32)]
type _FileName = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Za-z_-][0-9A-Za-z._-]{0,120}$")
]
type _Name = Annotated[
    str, StringConstraints(pattern=r"^[^\x00]+$", max_length=LONGEST_NAME)
]


def _known_zone(name: str) -> str:
    """Return *name* if it is that of a time zone. Raises ValueError."""
    try:
        return ZoneInfo(name).key
    except LookupError:
        raise ValueError("no such time zone") from None


@dataclass(frozen=True, slots=True)
class VisitsFile:
    """The record of a part's visits (see `visits`): its size, checksum and version.

    The version includes the hash function that computed its visitors.
    """

    bytes: _Count
    crc32: _Crc32
    version: Annotated[str, Field(alias="hashing")]


@dataclass(frozen=True, slots=True)
class SideFile:
    """The record of another file beside a part (see `side_files`), in *version* of its format."""

    bytes: _Count
    crc32: _Crc32
    version: str


@dataclass(frozen=True, slots=True)
class ActivityFiles:
    """The record of the sorted activity of a snapshot (see `sorted_activity`).

    `visits` has the checksums of the visits that it is made of, by table.
    """

    files: tuple[SideFile, ...]
    visits: Mapping[_Name, tuple[_Crc32, ...]]


@dataclass(frozen=True, slots=True)
class SourceMark:
    """By what the source can recognise unchanged blocks of a part: `text` is its own.

    `digested_at` is the last time the digests of all of them were compared.
    """

    text: str
    digested_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Part:
    """The record of one immutable Parquet file of a table.

    `crc32` is that of the file. `checked_at` is the last time its rows were known to
    equal the database's, and `mark` describes that instant, if the source can.
    """

    file: _FileName
    rows: _Count
    bytes: _Count
    crc32: _Crc32
    checked_at: AwareDatetime
    visits: VisitsFile | None = None
    mark: Annotated[SourceMark | None, Field(exclude_if=lambda mark: mark is None)] = (
        None
    )
    rooms: Annotated[SideFile | None, Field(exclude_if=lambda file: file is None)] = (
        None
    )
    tallies: Annotated[SideFile | None, Field(exclude_if=lambda file: file is None)] = (
        None
    )
    quarters: Annotated[
        SideFile | None, Field(exclude_if=lambda file: file is None)
    ] = None
    ids: Annotated[SideFile | None, Field(exclude_if=lambda file: file is None)] = None


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One table in a snapshot.

    `columns` maps names to dtypes, in order; `parts` are in key order. `changed_at` is
    when the content last changed.
    """

    columns: Mapping[str, str]
    parts: tuple[Part, ...]
    changed_at: AwareDatetime

    @property
    def schema(self) -> pl.Schema:
        """Column names and dtypes."""
        return pl.Schema({n: parse_dtype(dtype) for n, dtype in self.columns.items()})

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """Bytes of all parts, without their visits."""
        return sum(part.bytes for part in self.parts)

    @property
    def checked_at(self) -> datetime:
        """When all of the table was last known to equal the database's."""
        return min(part.checked_at for part in self.parts)


@dataclass(frozen=True, slots=True)
class TableFailure:
    """Why a table is older than its snapshot, or missing in it.

    `stale_since` is the instant of the first snapshot in which the table could not be
    read, and `failed_because` a sentence. The copy that is kept equals the database at
    the instant `taken_at`; None without a copy.
    """

    stale_since: AwareDatetime
    failed_because: str
    taken_at: AwareDatetime | None = None

    def describe(self, name: str) -> str:
        """Say in one line what is wrong with the table *name*, and what is served."""
        kept = (
            f"its copy of {_seconds(self.taken_at)} is served"
            if self.taken_at
            else "there is no copy of it"
        )
        return (
            f"{name} is stale since {_seconds(self.stale_since)}, {kept}: "
            f"{self.failed_because}"
        )


def _seconds(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class DerivedState:
    """How a derived table was built, and whether its last build failed.

    `name`, `type` and `file` are those of its definition. `fingerprint` stands for
    everything that its rows depend on, `built_at` is the instant of the snapshot that
    it was built in. Both are None for a table that was never built: the snapshot then
    has a state without a table. After a failed build `stale_since` is the instant of
    the first snapshot that the table is older than, and `failed_because` a sentence;
    `failed_fingerprint` is that of the failed build.
    """

    name: str
    type: str
    file: str
    inputs: tuple[str, ...] = ()
    zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    sql_sha256: str = ""
    fingerprint: str | None = None
    built_at: AwareDatetime | None = None
    stale_since: AwareDatetime | None = None
    failed_because: str | None = None
    outcome: str = "built"
    failed_fingerprint: str | None = None

    @property
    def is_stale(self) -> bool:
        """True if the last build failed."""
        return self.stale_since is not None


@dataclass(frozen=True, slots=True)
class PartitionPosition:
    """The next offset to read of a Kafka partition.

    `epoch` is the leader epoch of the message before it, by which the broker recognises
    that it has lost that message since; None if it is not known.
    """

    offset: int
    epoch: Annotated[int | None, Field(exclude_if=lambda it: it is None)] = None


@dataclass(frozen=True, slots=True)
class TopicPosition:
    """How far a Kafka topic was read. A topic that is created again has another id."""

    topic_id: str
    partitions: Mapping[int, PartitionPosition]


@dataclass(frozen=True, slots=True)
class Consumed:
    """How far the tables of events have read what they are made of.

    `spool` maps each collector's instance to the last of its files that was taken,
    `checksums` to the SHA-256 of that file, unless an earlier version took it, and
    `kafka` the cluster's id and the name of a topic, as in ``Zk3…/octane.events``, to
    the position in it.
    """

    spool: Mapping[str, str] = field(default_factory=dict)
    checksums: Annotated[
        Mapping[str, str], Field(exclude_if=lambda checksums: not checksums)
    ] = field(default_factory=dict)
    kafka: Annotated[
        Mapping[str, TopicPosition], Field(exclude_if=lambda topics: not topics)
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of snapshot.json.

    `taken_at` is the instant (UTC) that the rows are of, except those of tables in
    `failed`. `configured` names the tables that the settings mirror, whether or not the
    snapshot has them; None for those of the statistics alone. Derived tables are in
    `tables` like all others, and have a state in `derived`. So are the tables of events;
    `consumed` belongs to them, and is None without them.
    """

    taken_at: AwareDatetime
    tables: Mapping[_Name, StoredTable] = field(default_factory=dict)
    version: int = 1
    derived: Annotated[
        Mapping[_Name, DerivedState], Field(exclude_if=lambda derived: not derived)
    ] = field(default_factory=dict)
    failed: Annotated[
        Mapping[_Name, TableFailure], Field(exclude_if=lambda failed: not failed)
    ] = field(default_factory=dict)
    configured: Annotated[
        tuple[_Name, ...] | None, Field(exclude_if=lambda names: names is None)
    ] = None
    consumed: Annotated[Consumed | None, Field(exclude_if=lambda it: it is None)] = None
    activity: Annotated[
        ActivityFiles | None, Field(exclude_if=lambda it: it is None)
    ] = None

    @property
    def mirrored(self) -> tuple[str, ...]:
        """The names of the configured tables."""
        return tuple(TABLES) if self.configured is None else self.configured

    @property
    def event_tables(self) -> tuple[str, ...]:
        """The names of the tables of events, which no database has."""
        return tuple(EVENT_TABLES) if self.consumed else ()

    def to_json(self) -> bytes:
        """Serialise as indented JSON that ends with a checksum of what is before it."""
        body = _ADAPTER.dump_json(self, indent=1, by_alias=True).removesuffix(b"\n}")
        return body + _checksum_member(body)

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Parse *text*. Raises ValueError unless it is a whole manifest of version 1.

        One without a checksum is of an earlier build.
        """
        found = _CHECKSUM.search(text)
        if found and found[0] != _checksum_member(text[: found.start()]):
            raise ValueError("the checksum differs")
        manifest = _ADAPTER.validate_json(text)
        if manifest.version != 1:
            raise ValueError(f"snapshot format {manifest.version} is not known")
        for table in manifest.tables.values():
            if not table.parts or not _has_columns(table):
                raise ValueError("a table has neither parts nor columns")
        return manifest


_CHECKSUM: Final = re.compile(rb',\n "crc32": \d+\n}$')


def _checksum_member(body: bytes) -> bytes:
    """The end of the JSON object that begins with *body*."""
    return b',\n "crc32": %d\n}' % zlib.crc32(body)


def _has_columns(table: StoredTable) -> bool:
    """True if the table has columns. Raises ValueError for a dtype that is none."""
    try:
        return bool(table.schema)
    except (*VALUE_ERRORS, RecursionError, *PARSE_ERRORS) as error:
        raise ValueError(f"a column has no dtype: {error}") from error


_ADAPTER = TypeAdapter(Manifest)
