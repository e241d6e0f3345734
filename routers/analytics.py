"""All statistics, and those of the last 24 hours."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from calculations.analytics import analytics, answer
from calculations.daily import daily
from calculations.results import Analytics, Daily
from routers.answers import COMMON, Answering, Detail, encode
from routers.dependencies import (
    CurrentPeriod,
    CurrentSettings,
    CurrentSnapshot,
    RequireToken,
    tables,
)
from routers.parameters import NoParameters
from util.http_client import send_daily

router = APIRouter(tags=["statistics"], dependencies=[RequireToken, NoParameters])


class AnalyticsAnswer(BaseModel):
    """All statistics of one snapshot."""

    data: Analytics
    data_updated_at: datetime = Field(
        description="The instant (UTC) at which the snapshot equals the database.",
        examples=["2026-11-21T23:10:00.123456Z"],
    )


@router.get("/", response_model=AnalyticsAnswer, responses=COMMON)
def get_analytics(
    conditional: Answering, snapshot: CurrentSnapshot, period: CurrentPeriod
) -> Response:
    """All statistics: traffic, votes, behaviour, reoccurring, historical, location."""

    def compute() -> bytes:
        data = answer(Analytics, analytics(tables(snapshot), period))
        return encode(
            AnalyticsAnswer.model_construct(
                data=data, data_updated_at=snapshot.taken_at
            )
        )

    return conditional.by_day(compute)


@router.get(
    "/daily-analytics",
    response_model=Daily,
    responses=COMMON
    | {502: {"model": Detail, "description": "The e-mail service did not take it."}},
)
def get_daily_analytics(
    conditional: Answering,
    snapshot: CurrentSnapshot,
    period: CurrentPeriod,
    settings: CurrentSettings,
) -> Response:
    """The last 24 hours.

    When BEA_BASE_URL and BEA_SECRET_KEY are set, the figures are also posted to the
    e-mail service, with every call.
    """

    def compute() -> bytes:
        given = tables(snapshot)
        figures = answer(Daily, daily(given.votes, given.page_views, period))
        if service := settings.email_service:
            send_daily(service.base_url, service.key, figures.model_dump())
        return encode(figures)

    if settings.email_service:
        return conditional.always(compute)
    return conditional.by_minute(compute)
