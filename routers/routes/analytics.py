"""All statistics, and those of the last 24 hours."""

from datetime import datetime

import polars as pl
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import to_json

from calculations.analytics import (
    SECTIONS,
    SERIES,
    analytics,
    engine_for,
    read,
    rows,
)
from calculations.comparison import Change, change, compared, single_figures
from calculations.daily import daily
from calculations.results import Analytics, Daily, QueryEcho
from calculations.shapes import rows_of
from routers.auth import RequireToken
from routers.dependencies import CurrentSettings, CurrentSnapshot, Now
from routers.query import AnalyticsQuery, RangeQuery, echo, require_range
from routers.responses import COMMON, Answering, Detail, encode, json_object
from routers.strict_query import EachOnce
from routers.tables import tables
from util.http_client import send_daily

COMPARED_SECTIONS = ("traffic", "votes")
"""The sections that are single figures."""

router = APIRouter(tags=["statistics"], dependencies=[RequireToken, EachOnce])


class AnalyticsAnswer(BaseModel):
    """All statistics of one snapshot."""

    data: Analytics
    data_updated_at: datetime = Field(
        description="The instant (UTC) at which the snapshot equals the database.",
        examples=["2026-11-21T23:10:00.123456Z"],
    )
    query: QueryEcho | SkipJsonSchema[None] = Field(
        None, description="What was understood, where anything was asked for."
    )
    previous: Analytics | SkipJsonSchema[None] = Field(
        None, description="With compare: the same of the stretch just before."
    )
    change: dict[str, Change] | SkipJsonSchema[None] = Field(
        None,
        description=(
            "With compare: per section and figure the change in per cent, null where "
            "the earlier one is 0."
        ),
        examples=[{"traffic": {"page_views": 12.5}}],
    )


class DailyAnswer(Daily):
    """The last 24 hours, or the range asked for."""

    data_updated_at: datetime | SkipJsonSchema[None] = Field(
        None, description="UTC instant of the snapshot, where anything was asked for."
    )
    query: QueryEcho | SkipJsonSchema[None] = Field(
        None, description="What was understood, where anything was asked for."
    )
    previous: Daily | SkipJsonSchema[None] = Field(
        None, description="With compare: the same of the stretch just before."
    )
    change: Change | SkipJsonSchema[None] = Field(
        None, description="With compare: the change in per cent, null from 0."
    )


@router.get("/", response_model=AnalyticsAnswer, responses=COMMON)
async def get_analytics(
    asked: AnalyticsQuery,
    conditional: Answering,
    snapshot: CurrentSnapshot,
    settings: CurrentSettings,
    now: Now,
) -> Response:
    """All statistics: traffic, votes, behaviour, reoccurring, historical, location.

    Without parameters about everything there is, series since START_DATE.
    """
    period = asked.resolve(settings, now)
    require_range(asked, period)

    def compute() -> bytes:
        given, wanted = tables(snapshot), asked.wanted
        engine = engine_for(snapshot.rows, period.fraction)
        plan = analytics(given, period, wanted)
        told = {"data_updated_at": to_json(snapshot.taken_at)}
        if asked.given:
            told["query"] = encode(echo(asked, period))
        if not asked.compare:
            _, data = _sections(rows(plan, engine))
            return json_object({"data": data} | told)
        both = rows(compared(plan, analytics(given, period.before(), wanted)), engine)
        later, data = _sections(both["now"].struct.unnest())
        earlier, told["previous"] = _sections(both["before"].struct.unnest())
        changes = {
            name: change(getattr(later, name), getattr(earlier, name))
            for name in COMPARED_SECTIONS
            if name in wanted
        }
        return json_object({"data": data} | told | {"change": to_json(changes)})

    return await conditional.by_day(period, compute, whole=True)


def _sections(row: pl.DataFrame) -> tuple[Analytics, bytes]:
    """The sections of *row* but for series, and all of them as JSON.

    Series are most of the answer. Polars writes them as JSON itself: to make objects
    of them first kept the interpreter from /health several times as long. Their plan's
    columns are those of their model, in its order.
    """
    figures = read(Analytics, row.drop(SERIES, strict=False))
    told = {
        name: rows_of(row[name]).write_json().encode()
        if name in SERIES
        else encode(getattr(figures, name))
        for name in SECTIONS
        if name in row.columns
    }
    return figures, json_object(told)


@router.get(
    "/daily-analytics",
    response_model=DailyAnswer,
    responses=COMMON
    | {502: {"model": Detail, "description": "The e-mail service did not take it."}},
)
async def get_daily_analytics(
    asked: RangeQuery,
    conditional: Answering,
    snapshot: CurrentSnapshot,
    settings: CurrentSettings,
    now: Now,
) -> Response:
    """The last 24 hours, or the range asked for.

    When BEA_BASE_URL and BEA_SECRET_KEY are set, every call without parameters also
    posts the figures to the e-mail service.
    """
    period = asked.resolve(settings, now)

    def compute() -> bytes:
        given = tables(snapshot)
        plan = daily(given.votes, given.page_views, period)
        before = None
        if asked.compare:
            earlier = period.before() if period.range else period
            before = daily(given.votes, given.page_views, earlier, day_before=True)
        figures = single_figures(Daily, plan, before)
        if service:
            send_daily(service.base_url, service.key, figures)
        if asked.given:
            figures |= {"query": echo(asked, period)}
            figures |= {"data_updated_at": snapshot.taken_at}
        return encode(DailyAnswer.model_construct(**figures))

    service = None if asked.given else settings.email_service
    if service:
        return await conditional.always(compute)
    if period.range:
        return await conditional.by_day(period, compute)
    return await conditional.by_minute(period, compute)
