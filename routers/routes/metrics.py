"""`GET /metrics`: the API's metrics for Prometheus, or the state of the jobs as JSON."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from fastapi import Request, Response
from pydantic import BaseModel, Field

from config import Settings
from readmodel.store.manifest import Manifest
from readmodel.store.metrics import current_manifest, run_summary
from readmodel.store.run_log import RunSummary
from routers.auth import RequireMetrics
from routers.formats.media import prefers_json
from routers.request_state import settings_of
from routers.responses import JSON, PROTECTED_RESPONSES, DocumentedResponses, encode
from routers.strict_query import NoParameters
from util.api_routes import ApiRoutes
from util.metrics import ApiMetrics

router = ApiRoutes(tags=["health"], dependencies=[RequireMetrics, NoParameters])

SYNC_JOB: Final = "sync"
VARY: Final = {"Vary": "Accept"}


class JobState(BaseModel, defer_build=True):
    """A sync, or a derived table that syncs build."""

    id: str = Field(examples=["sync"])
    trigger: str = Field(description="When it runs.", examples=["interval[0:10:00]"])
    next_run_time: datetime | None = Field(
        description="When the next sync is due, if they repeat; null before the first."
    )
    last_run_time: datetime | None = Field(
        description="The end of the last sync; of a table the instant of its rows."
    )
    success: bool | None = Field(description="Of the last run; null before the first.")
    message: str | None = Field(description="What was done, or why it failed.")


class Scheduler(BaseModel, defer_build=True):
    """The jobs of the updater."""

    jobs: list[JobState]


class MetricsState(BaseModel, defer_build=True):
    """The state of the jobs, for `Accept: application/json`."""

    log_level: str = Field(examples=["INFO"])
    scheduler: Scheduler


METRICS: Final[DocumentedResponses] = {
    200: {
        "model": MetricsState,
        "description": "The metrics.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


# Not a response class of text/plain: its errors would be documented as text, too.
@router.get(
    "/metrics", response_class=Response, responses=PROTECTED_RESPONSES | METRICS
)
def get_metrics(request: Request) -> Response:
    """Metrics of requests, of the snapshot and of syncs, in Prometheus text format.

    With `Accept: application/json`, the state of the sync and of each derived table.
    """
    if prefers_json(request.headers.getlist("accept")):
        state = encode(_state(settings_of(request)))
        return Response(state, media_type=JSON, headers=VARY)
    metrics: ApiMetrics = request.app.state.metrics
    text, content_type = metrics.render(request.headers.get("accept", ""))
    return Response(text, media_type=content_type, headers=VARY)


def _state(settings: Settings) -> MetricsState:
    runs = run_summary(settings.data_dir)
    interval = timedelta(seconds=settings.sync_interval_seconds)
    sync = _sync_job(runs, interval)
    manifest = current_manifest(settings.data_dir)
    views = _view_jobs(manifest, sync.next_run_time) if manifest else ()
    scheduler = Scheduler(jobs=[sync, *views])
    return MetricsState(log_level=settings.log_level, scheduler=scheduler)


def _sync_job(runs: RunSummary | None, interval: timedelta) -> JobState:
    last = runs.last if runs else None
    return JobState(
        id=SYNC_JOB,
        trigger=f"interval[{interval}]",
        next_run_time=last.started_at + interval if last else None,
        last_run_time=last.ended_at if last else None,
        success=last.success if last else None,
        message=last.message if last else None,
    )


def _view_jobs(manifest: Manifest, next_sync: datetime | None) -> Iterator[JobState]:
    for state in manifest.derived.values():
        yield JobState(
            id=state.name,
            trigger=SYNC_JOB,
            next_run_time=next_sync,
            last_run_time=state.built_at,
            success=not state.is_stale,
            message=state.failed_because,
        )
