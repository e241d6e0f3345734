"""`GET /health`: completeness, size and age of the read model."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from config import Settings
from readmodel.store import snapshot
from readmodel.store.snapshot import NO_FILES, Snapshot
from readmodel.tables import TABLES
from routers.dependencies import CurrentSettings, Now
from routers.responses import PUBLIC_RESPONSES
from routers.strict_query import NoParameters
from util.errors import ReadModelMissing

MEGABYTE: Final = 1024 * 1024

router = APIRouter(tags=["health"], dependencies=[NoParameters])


class HealthStatus(StrEnum):
    """From best to worst."""

    OK = "ok"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


class ParquetFilesHealth(BaseModel):
    """Completeness of the read model."""

    status: HealthStatus
    files: dict[str, bool] = Field(
        description="Per table, whether all of its files exist.",
        examples=[{"fpp_votes.parquet": True}],
    )


class StorageHealth(BaseModel):
    """Size of the read model."""

    status: HealthStatus
    data_size_mb: float = Field(description="Megabytes (2^20 bytes).", examples=[2.1])


class FreshnessHealth(BaseModel):
    """Age of the read model."""

    status: HealthStatus
    data_updated_at: datetime | None = Field(
        description="The instant (UTC) of the snapshot; null without one."
    )
    age_seconds: float | None = Field(
        description="Seconds since then; null without a snapshot.", examples=[181.5]
    )


class HealthComponents(BaseModel):
    """Health of each component."""

    parquet_files: ParquetFilesHealth
    storage: StorageHealth
    freshness: FreshnessHealth


class Health(BaseModel):
    """Health of the service; its status is the worst of its components."""

    status: HealthStatus
    components: HealthComponents


@router.get(
    "/health",
    responses=PUBLIC_RESPONSES
    | {503: {"model": Health, "description": "A table is missing."}},
)
async def get_health(settings: CurrentSettings, now: Now, response: Response) -> Health:
    """Completeness, size and age of the data, without a token.

    503 if a table is missing. Stale data is 200 with status "degraded".
    """
    # Not on a thread: looking at a few files takes less time than waiting for one.
    latest = _latest(settings)
    tables = latest.table_files() if latest else dict.fromkeys(TABLES, NO_FILES)
    files = {snapshot.table_folder(name): tables[name].complete for name in TABLES}
    complete = all(files.values())
    freshness = _freshness(latest, settings, now) if latest and complete else _unknown()
    if not complete:
        response.status_code = 503
    response.headers["Cache-Control"] = "no-store"
    size = sum(table.bytes for table in tables.values()) / MEGABYTE
    presence = HealthStatus.OK if complete else HealthStatus.UNAVAILABLE
    return Health(
        status=freshness.status,
        components=HealthComponents(
            parquet_files=ParquetFilesHealth(status=presence, files=files),
            storage=StorageHealth(status=HealthStatus.OK, data_size_mb=round(size, 2)),
            freshness=freshness,
        ),
    )


def _latest(settings: Settings) -> Snapshot | None:
    """The latest snapshot, complete or not; None before the first sync."""
    try:
        return snapshot.latest(settings.data_dir)
    except (ReadModelMissing, OSError):
        return None


def _freshness(latest: Snapshot, settings: Settings, now: datetime) -> FreshnessHealth:
    age = now - latest.taken_at
    stale = age > settings.stale_after
    return FreshnessHealth(
        status=HealthStatus.DEGRADED if stale else HealthStatus.OK,
        data_updated_at=latest.taken_at,
        age_seconds=round(age.total_seconds(), 1),
    )


def _unknown() -> FreshnessHealth:
    return FreshnessHealth(
        status=HealthStatus.UNAVAILABLE, data_updated_at=None, age_seconds=None
    )
