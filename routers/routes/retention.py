"""`GET /retention`: weekly cohorts of users or rooms, and how many return."""

import datetime as dt
from collections.abc import Iterable
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, Field

from calculations.analytics import collect, engine_for
from calculations.period import ONE_DAY, Period
from calculations.results import QueryEcho
from calculations.retention import CohortOf, retention
from readmodel.store.snapshot import Snapshot
from routers.auth import RequireToken
from routers.dependencies import Context, RequireStatistics
from routers.direct_route import DirectRoute
from routers.plan_cache import PlanCache
from routers.query import RangeParameters, describe
from routers.readings import RETENTION
from routers.responses import (
    STATISTICS_RESPONSES,
    encode,
    json_response,
    unchanged,
)
from routers.strict_query import NoRepeatedParameters
from util.api_routes import ApiRoutes
from util.json_types import JsonObject

ONE_WEEK = 7 * ONE_DAY

router = ApiRoutes(
    tags=["statistics"],
    dependencies=[RequireToken, NoRepeatedParameters, RequireStatistics],
    route_class=DirectRoute,
)


class RetentionParameters(RangeParameters):
    """Parameters of `GET /retention`."""

    of: CohortOf = Field(CohortOf.USERS, description="What returns.")


class Cohort(BaseModel, defer_build=True):
    """Those who estimated for the first time in one week."""

    week: dt.date = Field(description="Monday of the week.")
    size: int = Field(description="Number of members.", examples=[110])
    returned: list[int] = Field(
        description=(
            "Members who estimated 1, 2, … weeks later, up to the present week, which "
            "is unfinished."
        ),
        examples=[[31, 28, 27]],
    )


class RetentionAnswer(BaseModel, defer_build=True):
    """Cohorts of the range, ascending; weeks without first estimations have size 0."""

    rows: list[Cohort]
    query: QueryEcho = Field(description="The parameters as they were resolved.")
    data_updated_at: dt.datetime = Field(
        description="The instant (UTC) at which the snapshot equals the database."
    )


@router.get(
    "/retention", response_model=RetentionAnswer, responses=STATISTICS_RESPONSES
)
async def get_retention(
    query: Annotated[RetentionParameters, Query()], context: Context
) -> Response:
    """Weekly cohorts: who estimated for the first time, and how many returned.

    The first estimation is that of the whole history; cohorts are those whose week
    begins in the range.
    """
    period = context.resolve(query)
    etag = context.etag_by_day(period)
    if response := unchanged(context.request, etag):
        return response
    body = await context.compute(
        RETENTION, _retention_json, query, period, context.snapshot, context.plans
    )
    return json_response(body, etag)


def _retention_json(
    query: RetentionParameters, period: Period, snapshot: Snapshot, plans: PlanCache
) -> bytes:
    plan = retention(plans.tables(snapshot).estimated, period, query.of)
    found = collect(plan, engine_for(snapshot.rows)).row(0, named=True)
    return encode(
        RetentionAnswer(
            rows=list(cohorts(found["cohorts"], period)),
            query=describe(query, period, snapshot.taken_at),
            data_updated_at=snapshot.taken_at,
        )
    )


def cohorts(counts: list[JsonObject], period: Period) -> Iterable[Cohort]:
    """Fill *counts*, of ``week``, ``after`` and ``count``, with zeros into cohorts."""
    count_of = {(each["week"], each["after"]): each["count"] for each in counts}
    week = period.first + (-period.first.weekday() % 7) * ONE_DAY
    while week <= period.last:
        weeks_after = max(period.today - week, 0 * ONE_DAY) // ONE_WEEK
        yield Cohort(
            week=week,
            size=count_of.get((week, 0), 0),
            returned=[count_of.get((week, 1 + i), 0) for i in range(weeks_after)],
        )
        week += ONE_WEEK
