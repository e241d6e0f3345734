"""`GET /health` and `/v1/health`: completeness, size and age of the read model."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from fastapi import Request, Response
from pydantic import BaseModel, Field

from config import Settings
from readmodel.store import snapshot
from readmodel.store.intact import IntactFiles
from readmodel.store.snapshot import NO_FILES, Snapshot, TableFiles
from readmodel.tables import TABLES, select_tables, serve_statistics
from routers.direct_route import DirectRoute
from routers.request_state import now_of, settings_of
from routers.responses import JSON, PUBLIC_RESPONSES
from routers.strict_query import NoParameters
from util.api_routes import ApiRoutes
from util.errors import ReadModelMissing
from util.json_types import JsonObject

MEGABYTE: Final = 1024 * 1024

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far the clocks of updater and API may be apart."""

router = ApiRoutes(
    tags=["health"], dependencies=[NoParameters], route_class=DirectRoute
)


class HealthStatus(StrEnum):
    """From best to worst."""

    OK = "ok"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


class ParquetFilesHealth(BaseModel, defer_build=True):
    """Completeness of the read model."""

    status: HealthStatus
    files: dict[str, bool] = Field(
        description="Per configured table, whether all of its files are there and none "
        "is known to be damaged.",
        examples=[{"fpp_votes.parquet": True}],
    )


class StorageHealth(BaseModel, defer_build=True):
    """Size of the read model."""

    status: HealthStatus
    data_size_mb: float = Field(description="Megabytes (2^20 bytes).", examples=[2.1])


class FreshnessHealth(BaseModel, defer_build=True):
    """Age of the read model."""

    status: HealthStatus
    data_updated_at: datetime | None = Field(
        description="The instant (UTC) of the snapshot; null without one."
    )
    age_seconds: float | None = Field(
        description="Seconds since then; null without a snapshot.", examples=[181.5]
    )


class EventsHealth(BaseModel, defer_build=True):
    """Completeness of the tables of events."""

    status: HealthStatus


class StorageBytesHealth(BaseModel, defer_build=True):
    """Size of the read model in bytes."""

    status: HealthStatus
    data_size_bytes: int = Field(description="Bytes.", examples=[2202010])


class _Components(BaseModel, defer_build=True):
    parquet_files: ParquetFilesHealth
    storage: StorageHealth | StorageBytesHealth
    freshness: FreshnessHealth
    events: EventsHealth | None = Field(
        None,
        description="Absent unless events are collected.",
        exclude_if=lambda events: events is None,
    )


class HealthComponents(_Components):
    """Health of each component."""

    storage: StorageHealth


class HealthComponentsInBytes(_Components):
    """Health of each component, with the size in bytes."""

    storage: StorageBytesHealth


class Health(BaseModel, defer_build=True):
    """Health of the service; its status is the worst of its components."""

    status: HealthStatus
    components: HealthComponents


class HealthInBytes(BaseModel, defer_build=True):
    """Health of the service, as `GET /health` has it, with the size in bytes."""

    status: HealthStatus
    components: HealthComponentsInBytes


_MISSING: Final = "A table that is needed is missing."


@router.get(
    "/health",
    response_model=Health,
    responses=PUBLIC_RESPONSES | {503: {"model": Health, "description": _MISSING}},
)
async def get_health(request: Request) -> Response:
    """Completeness, size and age of the data, without a token.

    503 if a table that the statistics need is missing, or if there is none at all. Stale
    data, and another table that is missing or could not be read, are 200 with status
    "degraded".
    """
    status, components, size = _state(request)
    storage = StorageHealth(
        status=HealthStatus.OK, data_size_mb=round(size / MEGABYTE, 2)
    )
    named = HealthComponents(storage=storage, **components)
    return _respond(Health(status=status, components=named))


@router.get(
    "/v1/health",
    response_model=HealthInBytes,
    responses=PUBLIC_RESPONSES
    | {503: {"model": HealthInBytes, "description": _MISSING}},
)
async def get_health_in_bytes(request: Request) -> Response:
    """Completeness, size and age of the data, as `GET /health` with the size in bytes."""
    status, components, size = _state(request)
    storage = StorageBytesHealth(status=HealthStatus.OK, data_size_bytes=size)
    named = HealthComponentsInBytes(storage=storage, **components)
    return _respond(HealthInBytes(status=status, components=named))


def _state(request: Request) -> tuple[HealthStatus, JsonObject, int]:
    """The status, the components but the storage, and the bytes of all tables."""
    # Not on a thread: looking at a few files takes less time than waiting for one.
    settings, now = settings_of(request), now_of(request)
    intact: IntactFiles = request.app.state.intact
    latest = _latest(settings)
    tables = latest.table_files() if latest else {}
    names = latest.configured if latest and latest.manifest else _names(settings)
    complete = {
        name: tables.get(name, NO_FILES).complete
        and not (latest and intact.damage(latest, name))
        for name in names
    }
    files = {snapshot.table_folder(name): there for name, there in complete.items()}
    presence = _presence(complete, latest)
    usable = presence is not HealthStatus.UNAVAILABLE
    freshness = _freshness(latest, settings, now) if latest and usable else _unknown()
    components = {
        "parquet_files": ParquetFilesHealth(status=presence, files=files),
        "freshness": freshness,
        "events": _events(latest, tables),
    }
    status = max(presence, freshness.status, key=list(HealthStatus).index)
    return status, components, sum(table.bytes for table in tables.values())


def _respond(health: Health | HealthInBytes) -> Response:
    usable = health.components.parquet_files.status is not HealthStatus.UNAVAILABLE
    return Response(
        health.model_dump_json(),
        200 if usable else 503,
        {"Cache-Control": "no-store"},
        JSON,
    )


def _events(
    latest: Snapshot | None, tables: Mapping[str, TableFiles]
) -> EventsHealth | None:
    """Completeness of the tables of events; None without events."""
    names = latest.manifest.event_tables if latest and latest.manifest else ()
    if not names:
        return None
    complete = all(tables.get(name, NO_FILES).complete for name in names)
    return EventsHealth(status=HealthStatus.OK if complete else HealthStatus.DEGRADED)


def _latest(settings: Settings) -> Snapshot | None:
    """The latest snapshot, complete or not; None before the first sync."""
    try:
        return snapshot.latest(settings.data_dir)
    except (ReadModelMissing, OSError):
        return None


def _names(settings: Settings) -> list[str]:
    """The tables that the first sync will mirror."""
    tables = select_tables(settings.table_keys, settings.further_table_keys)
    return [table.name for table in tables]


def _presence(complete: Mapping[str, bool], latest: Snapshot | None) -> HealthStatus:
    """Completeness of the tables: each one that the statistics need has to be there.

    Without statistics, any table is enough, and so is a snapshot that has to have none.
    """
    needed = TABLES if serve_statistics(complete) else ()
    nothing = bool(complete) and not any(complete.values())
    unsynced = latest is None or (latest.manifest is None and not needed)
    if unsynced or nothing or not all(complete[name] for name in needed):
        return HealthStatus.UNAVAILABLE
    whole = all(complete.values()) and not (latest and latest.failed)
    return HealthStatus.OK if whole else HealthStatus.DEGRADED


def _freshness(latest: Snapshot, settings: Settings, now: datetime) -> FreshnessHealth:
    age = now - latest.taken_at
    # A snapshot of the future hides how old it is: some clock was wrong.
    stale = age > settings.stale_after or age < -CLOCK_TOLERANCE
    return FreshnessHealth(
        status=HealthStatus.DEGRADED if stale else HealthStatus.OK,
        data_updated_at=latest.taken_at,
        age_seconds=round(age.total_seconds(), 1),
    )


def _unknown() -> FreshnessHealth:
    return FreshnessHealth(
        status=HealthStatus.UNAVAILABLE, data_updated_at=None, age_seconds=None
    )
