"""Whether the read model is there, and how old it is."""

from datetime import datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from config import Settings
from readmodel.store import snapshot
from readmodel.store.snapshot import NOTHING, Snapshot
from readmodel.tables import TABLES
from routers.dependencies import CurrentSettings, Now
from routers.responses import ANY
from routers.strict_query import NoParameters
from util.errors import ReadModelMissing

LATE_INTERVALS = 3
"""Data is stale when it is older than this many sync intervals."""

MEGABYTE = 1024 * 1024

type Status = Literal["ok", "degraded", "unavailable"]

router = APIRouter(tags=["health"], dependencies=[NoParameters])


class ParquetFiles(BaseModel):
    """Whether each table is there."""

    status: Status
    files: dict[str, bool] = Field(examples=[{"fpp_votes.parquet": True}])


class Storage(BaseModel):
    """How much room the read model takes."""

    status: Status
    data_size_mb: float = Field(description="Megabytes (2^20 bytes).", examples=[2.1])


class Freshness(BaseModel):
    """How old the read model is."""

    status: Status
    data_updated_at: datetime | None = Field(
        description="The instant (UTC) of the snapshot; null without one."
    )
    age_seconds: float | None = Field(
        description="Seconds since then; null without a snapshot.", examples=[181.5]
    )


class Components(BaseModel):
    """The parts that make up health."""

    parquet_files: ParquetFiles
    storage: Storage
    freshness: Freshness


class Health(BaseModel):
    """The worst of the components."""

    status: Status
    components: Components


@router.get(
    "/health",
    responses=ANY | {503: {"model": Health, "description": "A table is missing."}},
)
async def get_health(settings: CurrentSettings, now: Now, response: Response) -> Health:
    """Public. 503 while a table is missing; degraded (200) when data is stale."""
    # Not on a thread: it looks at a few files, and would wait for a thread longer.
    latest = _latest(settings)
    held = latest.held() if latest else dict.fromkeys(TABLES, NOTHING)
    files = {snapshot.folder(name): held[name].complete for name in TABLES}
    complete = all(files.values())
    freshness = _freshness(latest, settings, now) if latest and complete else _unknown()
    if not complete:
        response.status_code = 503
    response.headers["Cache-Control"] = "no-store"
    size = sum(table.bytes for table in held.values()) / MEGABYTE
    present: Status = "ok" if complete else "unavailable"
    return Health(
        status=freshness.status,
        components=Components(
            parquet_files=ParquetFiles(status=present, files=files),
            storage=Storage(status="ok", data_size_mb=round(size, 2)),
            freshness=freshness,
        ),
    )


def _latest(settings: Settings) -> Snapshot | None:
    """The snapshot, complete or not; read once, since /health is asked often."""
    try:
        return snapshot.latest(settings.data_dir)
    except (ReadModelMissing, OSError):
        return None


def _freshness(held: Snapshot, settings: Settings, now: datetime) -> Freshness:
    age = now - held.taken_at
    late = age > timedelta(seconds=settings.sync_interval_seconds) * LATE_INTERVALS
    return Freshness(
        status="degraded" if late else "ok",
        data_updated_at=held.taken_at,
        age_seconds=round(age.total_seconds(), 1),
    )


def _unknown() -> Freshness:
    return Freshness(status="unavailable", data_updated_at=None, age_seconds=None)
