"""`GET /breakdown/{dimension}`: all rows of a breakdown, page by page."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import Path, Query, Response
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from calculations.analytics import collect, engine_for
from calculations.applicability import not_applicable_breakdown
from calculations.breakdown import Dimension
from calculations.filters import FilterDimension, RoomState
from calculations.period import Period
from calculations.ranking import PLACES, BreakdownOrder, BreakdownSearch, ranking
from calculations.results import QueryEcho
from readmodel.store.snapshot import Snapshot
from routers.as_of import SnapshotParameters
from routers.auth import RequireToken
from routers.dependencies import Context, RequireStatistics
from routers.direct_route import DirectRoute
from routers.filter_syntax import format_term
from routers.plan_cache import PlanCache
from routers.query import FilteredRangeParameters, describe, inapplicable_filter
from routers.readings import reading_of_dimension
from routers.responses import (
    STATISTICS_RESPONSES,
    encode,
    json_response,
    unchanged,
)
from routers.strict_query import NoRepeatedParameters
from util.api_routes import ApiRoutes
from util.json_types import JsonObject

MAX_ROWS: Final = 1_000

router = ApiRoutes(
    tags=["statistics"],
    dependencies=[RequireToken, NoRepeatedParameters, RequireStatistics],
    route_class=DirectRoute,
)


class PageParameters(SnapshotParameters):
    """Parameters that select some of many rows."""

    limit: int = Field(40, ge=1, le=MAX_ROWS, description="Rows at most.")
    offset: int = Field(0, ge=0, le=2**31 - 1, description="Rows to skip.")


class BreakdownParameters(PageParameters, FilteredRangeParameters):
    """Parameters of `GET /breakdown/{dimension}`."""

    order: BreakdownOrder | None = Field(
        None,
        description=(
            "Ascending, or descending with a minus. Default: the order of the CSV file."
        ),
    )
    q: str = Field(
        "",
        max_length=200,
        description="Only rows whose name, value or country contains it, in any case.",
        examples=["ger"],
    )


class BreakdownRow(BaseModel, defer_build=True):
    """One value of a dimension and its count."""

    value: str | None = Field(
        description="The value in the database; null if it is missing.", examples=["DE"]
    )
    name: str = Field(
        description="A text for people; Unknown for a missing value.", examples=["DE"]
    )
    country: str | None = Field(
        None,
        description="Only for regions and cities: the country, null if it is missing.",
        examples=["DE"],
    )
    state: RoomState | SkipJsonSchema[None] = Field(
        None, description="Only for rooms: what is known of the room."
    )
    count: int = Field(description="Number of rows.", examples=[120])
    filter: str | None = Field(
        description="The `filter` that selects these rows; null if there is none.",
        examples=["country:DE"],
    )


class BreakdownAnswer(BaseModel, defer_build=True):
    """Rows of a breakdown."""

    dimension: Dimension
    rows: list[BreakdownRow]
    total: int = Field(description="Number of rows that `q` finds.", examples=[63])
    total_count: int = Field(description="Sum of their counts.", examples=[5120])
    limit: int = Field(description="Rows in this answer at most.")
    offset: int = Field(description="Rows skipped.")
    query: QueryEcho = Field(description="The parameters as they were resolved.")
    data_updated_at: datetime = Field(
        description="The instant (UTC) at which the snapshot equals the database."
    )


@router.get(
    "/breakdown/{dimension}",
    response_model=BreakdownAnswer,
    responses=STATISTICS_RESPONSES,
)
async def get_breakdown(
    dimension: Annotated[Dimension, Path(description="The attribute to count by.")],
    query: Annotated[BreakdownParameters, Query()],
    context: Context,
) -> Response:
    """Rows of one dimension with their counts, all of them page by page.

    Rooms without a name and deleted rooms are two rows at the end.
    """
    period = context.resolve(query)
    etag = context.etag_by_day(period)
    if response := unchanged(context.request, etag):
        return response
    body = await context.computations.run(
        reading_of_dimension(dimension, period, query.filters),
        context.snapshot,
        _breakdown_json,
        dimension,
        query,
        period,
        context.snapshot,
        context.plans,
    )
    return json_response(body, etag)


def _breakdown_json(
    dimension: Dimension,
    query: BreakdownParameters,
    period: Period,
    snapshot: Snapshot,
    plans: PlanCache,
) -> bytes:
    tables = plans.tables(snapshot)
    if reason := not_applicable_breakdown(query.filters, tables, dimension):
        raise inapplicable_filter(query.filters, reason)
    search = BreakdownSearch(query.limit, query.offset, query.order, query.q)
    plan = ranking(tables, dimension, period, search, query.filters)
    found = collect(plan, engine_for(snapshot.rows, period.fraction)).row(0, named=True)
    return encode(
        BreakdownAnswer(
            dimension=dimension,
            rows=[_row(dimension, row) for row in found["rows"]],
            total=found["total"],
            total_count=found["total_count"],
            limit=query.limit,
            offset=query.offset,
            query=describe(query, period, snapshot.taken_at),
            data_updated_at=snapshot.taken_at,
        )
    )


def _row(dimension: Dimension, row: JsonObject) -> BreakdownRow:
    optional = {}
    if dimension in PLACES:
        optional["country"] = row["country"]
    if dimension is Dimension.ROOM:
        optional["state"] = row["state"]
    return BreakdownRow(
        value=row["value"],
        name=row["name"],
        count=row["count"],
        filter=_filter_of(dimension, row),
        **optional,
    )


def _filter_of(dimension: Dimension, row: JsonObject) -> str | None:
    """The filter that selects the rows that *row* counts; None if there is none."""
    if dimension in (Dimension.WEEKDAY, Dimension.ESTIMATION):
        return None
    if dimension is Dimension.ROOM and row["state"] != RoomState.NAMED:
        return format_term(FilterDimension.ROOM_STATE, row["state"])
    term = format_term(FilterDimension(dimension), row["value"])
    if dimension in PLACES:
        return f"{format_term(FilterDimension.COUNTRY, row['country'])},{term}"
    return term
