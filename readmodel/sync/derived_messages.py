"""What the updater and the process that builds derived tables tell each other.

Each message is one line of JSON. The updater sends a `CatalogueRequest` or a
`BuildRequest`; the process answers with a `CatalogueReply` or a `BuildReply`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import TypeAdapter

from readmodel.store.manifest import StoredTable


class BuildOutcome(StrEnum):
    """How the build of a derived table ended."""

    BUILT = "built"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    ERROR = "error"
    TEST_FAILED = "test_failed"
    MEMORY = "memory"
    DEADLINE = "deadline"
    KILLED = "killed"
    DISK = "disk"
    INPUT_STALE = "input_stale"

    @property
    def is_good(self) -> bool:
        """True if the table is of the snapshot's instant."""
        return self in (BuildOutcome.BUILT, BuildOutcome.UNCHANGED)

    @property
    def is_repeatable(self) -> bool:
        """True if the same build would fail in the same way."""
        return self in (BuildOutcome.ERROR, BuildOutcome.TEST_FAILED)


@dataclass(frozen=True, slots=True)
class DerivedTest:
    """A test as written, and the query whose rows are failures."""

    text: str
    sql: str


@dataclass(frozen=True, slots=True)
class DerivedSpec:
    """What to build, and what the fingerprint of its rows is made of.

    `order` are the terms of an ORDER BY clause; `notes` are warnings about the SQL.
    `is_order_unique` if no two rows have the same place in the order.
    """

    name: str
    type: str
    object: str
    file: str
    line: int
    zone: str
    inputs: tuple[str, ...]
    sql: str
    order: tuple[str, ...]
    tests: tuple[DerivedTest, ...]
    sql_sha256: str
    header_sha256: str
    uses_clock: bool
    every_sync: bool = False
    notes: tuple[str, ...] = ()
    is_order_unique: bool = False


@dataclass(frozen=True, slots=True)
class DefinitionFault:
    """An error in a file; `name` and `object` as far as they could be read."""

    file: str
    text: str
    name: str | None
    object: str | None


@dataclass(frozen=True, slots=True)
class CatalogueRequest:
    """Load the folder of SQL files."""

    views_dir: str
    tables: tuple[str, ...]
    zone: str


@dataclass(frozen=True, slots=True)
class CatalogueReply:
    """The derived tables in build order, the errors, and DuckDB's version."""

    specs: tuple[DerivedSpec, ...]
    faults: tuple[DefinitionFault, ...]
    duckdb_version: str


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Build one derived table from Parquet files.

    `files` are those of its inputs. The parts are written into the staged snapshot of
    `data_dir` at `taken_at`, which is also what the clock says.
    """

    spec: DerivedSpec
    files: Mapping[str, tuple[str, ...]]
    data_dir: str
    taken_at: datetime
    memory_mb: int
    disk_mb: int


@dataclass(frozen=True, slots=True)
class BuildReply:
    """How a build ended, and the table if it is good.

    `detail` shows rows that fail a test; they may hold personal data, so it is neither
    logged nor stored.
    """

    outcome: BuildOutcome
    message: str = ""
    table: StoredTable | None = None
    rows: int = 0
    rows_read: int = 0
    detail: str = ""


type WorkerRequest = CatalogueRequest | BuildRequest

CATALOGUE_REPLY = TypeAdapter(CatalogueReply)
BUILD_REPLY = TypeAdapter(BuildReply)
REQUEST: TypeAdapter[WorkerRequest] = TypeAdapter(CatalogueRequest | BuildRequest)
