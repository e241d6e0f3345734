"""`GET /reports/daily`: the daily reports as the updater posted them."""

from datetime import date
from pathlib import Path
from typing import Annotated, Final

from anyio import to_thread
from fastapi import HTTPException, Query, Response
from pydantic import Field

from calculations.results import Daily
from readmodel.store.report_ledger import DailyReport, claimed, read_report
from routers.auth import RequireToken
from routers.dependencies import CurrentSettings
from routers.responses import (
    CACHE_CONTROL,
    JSON,
    PROTECTED_RESPONSES,
)
from routers.strict_query import NoRepeatedParameters, QueryParameters
from util.api_routes import ApiRoutes
from util.errors import StorageError
from util.problems import Error

router = ApiRoutes(tags=["sync"], dependencies=[RequireToken, NoRepeatedParameters])

STATE: Final = "X-Report-State"
"""Header with `sent`, `refused` or `unknown`."""


class DailyReportParameters(QueryParameters):
    """Which report."""

    day: date | None = Field(
        None,
        description="The day, YYYY-MM-DD; without it the newest one.",
        examples=["2026-11-25"],
    )


@router.get(
    "/reports/daily",
    response_model=Daily,
    responses=PROTECTED_RESPONSES
    | {
        404: {"model": Error, "description": "No such report was posted."},
        503: {"model": Error, "description": "The ledger is damaged."},
    },
)
async def get_daily_report(
    query: Annotated[DailyReportParameters, Query()], settings: CurrentSettings
) -> Response:
    """The figures of one day exactly as the updater posted them: the same bytes.

    `X-Report-State` says whether the e-mail service accepted them (`sent`), answered
    with an error (`refused`), or nobody knows (`unknown`). If a report was sent again,
    this is the last one. Only with REPORT_SENDER=updater there are such reports.
    """
    try:
        report = await to_thread.run_sync(_find, settings.data_dir, query.day)
    except StorageError as error:
        raise HTTPException(503, str(error)) from error
    headers = {
        "Cache-Control": CACHE_CONTROL,
        STATE: report.state,
        "Idempotency-Key": report.idempotency_key,
    }
    return Response(report.body, media_type=JSON, headers=headers)


def _find(data_dir: Path, day: date | None) -> DailyReport:
    """The last report of *day*, or of the newest one. Raises HTTPException (404)."""
    days = claimed(data_dir)
    if day is None:
        day = max(days, default=None)
    if day is None:
        raise HTTPException(404, "No daily report was posted yet")
    if day not in days:
        raise HTTPException(404, f"No daily report of {day} was posted")
    return read_report(data_dir, day, days[day])
