"""Dependencies of the handlers: settings, clock, snapshot, plan cache, capacity."""

from datetime import UTC, datetime
from typing import Annotated, Final

from anyio import CapacityLimiter
from fastapi import Depends, HTTPException, Request

from config import Settings
from readmodel.store import snapshot
from readmodel.store.snapshot import Snapshot
from readmodel.tables import TABLES
from routers.plan_cache import PlanCache

NO_STATISTICS: Final = (
    "Free Planning Poker's statistics are not served here, since the setting TABLES "
    "does not mirror all tables that they need; missing"
)

# All of them are async functions: FastAPI runs others, and classes, on a thread, and
# waiting for one takes longer than these functions.


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


CurrentSettings = Annotated[Settings, Depends(_settings)]


async def now() -> datetime:
    """The only clock; tests override it."""
    return datetime.now(UTC)


Now = Annotated[datetime, Depends(now)]


async def _snapshot(request: Request, settings: CurrentSettings) -> Snapshot:
    current = snapshot.current(settings.data_dir)
    request.state.snapshot = current.id  # for the request's log line
    if not current.serves_statistics:
        missing = [name for name in TABLES if name not in current.configured]
        raise HTTPException(404, f"{NO_STATISTICS}: {', '.join(missing)}")
    return current


CurrentSnapshot = Annotated[Snapshot, Depends(_snapshot)]
"""The snapshot to answer from, for routes of Free Planning Poker's statistics.

404 where its tables are not mirrored.
"""


async def _plan_cache(request: Request) -> PlanCache:
    plans: PlanCache = request.app.state.plans
    return plans


Plans = Annotated[PlanCache, Depends(_plan_cache)]


async def _whole_answers(request: Request) -> CapacityLimiter:
    limiter: CapacityLimiter = request.app.state.whole_answers
    return limiter


WholeAnswers = Annotated[CapacityLimiter, Depends(_whole_answers)]
"""Capacity for answers that read most of the tables: one at a time.

Each takes all cores and the memory of its tables, so two at once gain nothing, and
eight would keep the interpreter from requests for /health. They wait as coroutines,
without occupying a thread.
"""
