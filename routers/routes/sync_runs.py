"""How the updater's runs went."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from readmodel.store import run_log
from readmodel.store.run_log import Run
from routers.auth import RequireToken
from routers.dependencies import CurrentSettings
from routers.responses import CACHE_CONTROL, PROTECTED_RESPONSES, encode
from routers.strict_query import NoRepeatedParameters, QueryParameters

MOST_RUNS = 1_000

router = APIRouter(tags=["sync"], dependencies=[RequireToken, NoRepeatedParameters])


class SyncRunsParameters(QueryParameters):
    """Which runs are asked for."""

    limit: int = Field(50, ge=1, le=MOST_RUNS, description="How many at most.")


class SyncTable(BaseModel):
    """What one run did to one table."""

    table: str = Field(examples=["fpp_votes"])
    rows_fetched: int = Field(description="Rows that were read from the database.")
    rows_added: int
    rows_changed: int
    rows_removed: int
    parts_rewritten: int = Field(description="Parquet files that were written anew.")


class SyncRun(BaseModel):
    """One run of the updater."""

    started_at: datetime = Field(description="UTC.")
    ended_at: datetime = Field(description="UTC.")
    milliseconds: int
    success: bool
    message: str = Field(description="What was done, or why it failed.")
    tables: list[SyncTable] = Field(description="Empty after a failure.")


class SyncRuns(BaseModel):
    """The newest runs, the newest first."""

    runs: list[SyncRun]
    interval_seconds: int = Field(
        description="SYNC_INTERVAL_SECONDS: the pause between the starts of two runs.",
        examples=[600],
    )


@router.get("/sync/runs", response_model=SyncRuns, responses=PROTECTED_RESPONSES)
def get_sync_runs(
    settings: CurrentSettings,
    asked: Annotated[SyncRunsParameters, Query()],
) -> Response:
    """The updater's newest runs, the newest first; they are kept for 90 days."""
    newest = run_log.recent(settings.data_dir, asked.limit)
    answer = SyncRuns(
        runs=[_told(run) for run in newest],
        interval_seconds=settings.sync_interval_seconds,
    )
    return Response(
        encode(answer),
        media_type="application/json",
        headers={"Cache-Control": CACHE_CONTROL},
    )


def _told(run: Run) -> SyncRun:
    return SyncRun(
        started_at=run.started_at,
        ended_at=run.ended_at,
        milliseconds=round(run.took / timedelta(milliseconds=1)),
        success=run.success,
        message=run.message,
        tables=[
            SyncTable(
                table=name,
                rows_fetched=table.rows_fetched,
                rows_added=table.rows_added,
                rows_changed=table.rows_changed,
                rows_removed=table.rows_removed,
                parts_rewritten=table.parts_rewritten,
            )
            for name, table in run.tables.items()
        ],
    )
