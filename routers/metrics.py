"""The API's metrics for Prometheus."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from readmodel import runs, snapshot
from routers.answers import PROTECTED
from routers.dependencies import RequireToken
from routers.parameters import NoParameters
from util.errors import ReadModelMissing, StorageError
from util.metrics import ApiMetrics, SnapshotFigures, SyncFigures, TableFigures

router = APIRouter(tags=["health"], dependencies=[RequireToken, NoParameters])


TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The metrics.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


# With a class of one media type, errors would be documented in it as well.
@router.get("/metrics", response_class=Response, responses=PROTECTED | TEXT)
def get_metrics(request: Request) -> Response:
    """Requests, the snapshot and the runs, in Prometheus' text form."""
    metrics: ApiMetrics = request.app.state.metrics
    text, content_type = metrics.render(request.headers.get("accept", ""))
    return Response(text, media_type=content_type)


def snapshot_figures(data_dir: Path) -> SnapshotFigures | None:
    """Figures of the current snapshot; None while there is none."""
    try:
        current = snapshot.current(data_dir)
    except ReadModelMissing:
        return None
    tables = current.manifest.tables if current.manifest else {}
    return SnapshotFigures(
        current.taken_at,
        {
            name: TableFigures(
                rows=table.rows,
                parts=len(table.parts),
                size_bytes=table.bytes,
                verified_at=table.checked_at,
            )
            for name, table in tables.items()
        },
    )


def sync_figures(data_dir: Path) -> SyncFigures | None:
    """Figures of the run log; None while there is none, or it cannot be read."""
    try:
        told = runs.summary(data_dir)
    except StorageError:  # GET /sync/runs reports it; metrics must go on
        return None
    if told is None:
        return None
    return SyncFigures(
        last_run_at=told.last.ended_at,
        last_success_at=told.last_success_at,
        duration=told.last.took,
        rows_fetched={
            name: table.rows_fetched for name, table in told.last.tables.items()
        },
        failures_in_a_row=told.failures_in_a_row,
    )
