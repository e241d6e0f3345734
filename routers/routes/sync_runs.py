"""GET /sync/runs: the updater's newest runs."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from readmodel.store import run_log, view_log
from readmodel.store.run_log import Run
from routers.auth import RequireToken
from routers.dependencies import CurrentSettings
from routers.responses import CACHE_CONTROL, PROTECTED_RESPONSES, encode
from routers.strict_query import NoRepeatedParameters, QueryParameters

MAX_LIMIT = 1_000

router = APIRouter(tags=["sync"], dependencies=[RequireToken, NoRepeatedParameters])


class SyncRunsParameters(QueryParameters):
    """Which runs to list."""

    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="How many at most.")


class SyncTable(BaseModel):
    """What one run did to one table."""

    # The fields of TableRun, which fills them, in the API's own words.
    table: str = Field(examples=["fpp_votes"])
    rows_fetched: int = Field(description="Rows that were read from the database.")
    rows_added: int
    rows_changed: int
    rows_removed: int
    parts_rewritten: int = Field(description="Parquet files that were rewritten.")


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


class SyncViewRun(BaseModel):
    """One build of a derived table, or an error in a SQL file."""

    name: str = Field(description="Name of the definition; empty if it has none.")
    type: str = Field(examples=["materialized_view"])
    object: str = Field(description="The table; empty if it is unknown.")
    file: str = Field(examples=["retention.sql"])
    started_at: datetime = Field(description="UTC.")
    ended_at: datetime = Field(description="UTC.")
    milliseconds: int
    rows: int = Field(description="Rows of the table; 0 after a failure.")
    success: bool
    outcome: str = Field(
        description="built, invalid, error, test_failed, memory, deadline, killed, disk "
        "or input_stale.",
    )
    message: str = Field(description="Why it failed; empty after a success.")
    sql_sha256: str = Field(description="Hash of the statement's parse tree.")


class SyncViewRuns(BaseModel):
    """The newest builds of derived tables, the newest first."""

    runs: list[SyncViewRun]


@router.get(
    "/sync/runs/views", response_model=SyncViewRuns, responses=PROTECTED_RESPONSES
)
def get_sync_view_runs(
    settings: CurrentSettings,
    parameters: Annotated[SyncRunsParameters, Query()],
) -> Response:
    """The newest builds of derived tables, the newest first; they are kept for 90 days.

    A table whose inputs and definition did not change is not built.
    """
    found = view_log.recent_view_runs(settings.data_dir, parameters.limit)
    runs = [SyncViewRun(success=run.success, **asdict(run)) for run in found]
    return Response(
        encode(SyncViewRuns(runs=runs)),
        media_type="application/json",
        headers={"Cache-Control": CACHE_CONTROL},
    )


@router.get("/sync/runs", response_model=SyncRuns, responses=PROTECTED_RESPONSES)
def get_sync_runs(
    settings: CurrentSettings,
    parameters: Annotated[SyncRunsParameters, Query()],
) -> Response:
    """The updater's newest runs, the newest first; they are kept for 90 days."""
    runs = run_log.recent_runs(settings.data_dir, parameters.limit)
    answer = SyncRuns(
        runs=[_sync_run(run) for run in runs],
        interval_seconds=settings.sync_interval_seconds,
    )
    return Response(
        encode(answer),
        media_type="application/json",
        headers={"Cache-Control": CACHE_CONTROL},
    )


def _sync_run(run: Run) -> SyncRun:
    return SyncRun(
        started_at=run.started_at,
        ended_at=run.ended_at,
        milliseconds=round(run.took / timedelta(milliseconds=1)),
        success=run.success,
        message=run.message,
        tables=[
            SyncTable(table=name, **asdict(counts))
            for name, counts in run.tables.items()
        ],
    )
