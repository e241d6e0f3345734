"""What a query can read, and its limits: the answer of `GET /query/tables`."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel, Field

from config import Settings
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.store.manifest import Manifest, StoredTable
from readmodel.store.snapshot import Snapshot
from routers.formats.table import type_name
from routers.queries.exchange import MAX_RESULT_BYTES
from routers.queries.request import MAX_ROWS, MAX_SQL_BYTES
from routers.views.catalogue import ViewColumn, view_columns
from routers.views.loaded import LoadedViews
from sqlfiles.definition import Definition


class QueryTable(BaseModel, defer_build=True):
    """A table that a query can read."""

    name: str = Field(examples=["fpp_votes"])
    kind: str = Field(
        description="`mirrored` from the database, `derived` by a SQL file, or `events`.",
        examples=["mirrored"],
    )
    rows: int
    columns: list[ViewColumn]


class QueryLimits(BaseModel, defer_build=True):
    """What a query may take."""

    rows: int = Field(description="Rows of an answer.", examples=[MAX_ROWS])
    bytes: int = Field(
        description="Bytes of the rows as JSON lines.", examples=[MAX_RESULT_BYTES]
    )
    sql_bytes: int = Field(
        description="Bytes of the statement.", examples=[MAX_SQL_BYTES]
    )
    seconds: float = Field(description="SQL_SECONDS", examples=[5])
    memory_mb: int = Field(description="SQL_MEMORY_MB", examples=[512])


class QueryCatalogue(BaseModel, defer_build=True):
    """The tables of one snapshot with their columns."""

    snapshot: str = Field(examples=["20261121T231000.123456Z"])
    data_updated_at: datetime = Field(
        description="The instant (UTC) at which the snapshot equals the database."
    )
    limits: QueryLimits
    tables: list[QueryTable]


def describe_tables(
    snapshot: Snapshot, manifest: Manifest, loaded: LoadedViews, settings: Settings
) -> QueryCatalogue:
    """Describe everything that a query of *snapshot* can read."""
    return QueryCatalogue(
        snapshot=snapshot.id,
        data_updated_at=snapshot.taken_at,
        limits=QueryLimits(
            rows=MAX_ROWS,
            bytes=MAX_RESULT_BYTES,
            sql_bytes=MAX_SQL_BYTES,
            seconds=settings.sql_seconds,
            memory_mb=settings.sql_memory_mb,
        ),
        tables=list(_tables(manifest, loaded)),
    )


def _tables(manifest: Manifest, loaded: LoadedViews) -> Iterator[QueryTable]:
    defined = {each.object: each for each in loaded.catalogue.tables}
    for name, table in sorted(manifest.tables.items()):
        yield QueryTable(
            name=name,
            kind=_kind(name, manifest),
            rows=table.rows,
            columns=_columns(table, defined.get(name)),
        )


def _kind(name: str, manifest: Manifest) -> str:
    if name in manifest.derived:
        return "derived"
    return "events" if name in EVENT_TABLES else "mirrored"


def _columns(table: StoredTable, definition: Definition | None) -> list[ViewColumn]:
    """With their units and meanings, if a SQL file defines the table."""
    if definition is not None:
        return view_columns(definition, table.schema)
    return [
        ViewColumn(name=name, type=type_name(dtype), unit="", meaning="")
        for name, dtype in table.schema.items()
    ]
