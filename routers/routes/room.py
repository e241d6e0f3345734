"""`GET /room/{room_id}/stats`: one room's statistics."""

from functools import partial
from typing import Annotated, Final

import polars as pl
from fastapi import HTTPException, Path, Response
from pydantic import BaseModel

from calculations.comparison import PercentChanges, collect_figures
from calculations.period import Period
from calculations.results import RoomStats
from calculations.room_stats import room_stats
from routers.auth import RequireToken
from routers.dependencies import (
    AcceptedFormat,
    Context,
    FormatExtension,
    RequestContext,
    RequireStatistics,
)
from routers.direct_route import DirectRoute
from routers.envelope import RangeAnswer, encode_figures
from routers.formats.answer import file_stem
from routers.formats.documents import also_as_table, table_responses
from routers.formats.figures import figures_table
from routers.formats.media import TableFormat
from routers.query import ComparisonParameters, ComparisonQuery, require_range
from routers.readings import ROOM_STATS
from routers.responses import (
    ACCEPT,
    STATISTICS_RESPONSES,
    cache_headers,
    json_response,
    unchanged,
)
from routers.strict_query import NoRepeatedParameters
from util.api_routes import ApiRoutes
from util.json_types import JsonObject
from util.problems import Error

MAX_ROOM_ID: Final = 2**31 - 1
"""Largest id if the mirror's column is not wider."""

MAX_WIDE_ROOM_ID: Final = 2**32 - 1
"""Largest id if the source declares ids as unsigned 32-bit integers, or wider."""

WIDE_DTYPES: Final = frozenset({"UInt32", "Int64", "UInt64"})

router = ApiRoutes(
    tags=["statistics"],
    dependencies=[RequireToken, NoRepeatedParameters, RequireStatistics],
    route_class=DirectRoute,
)


class RoomAnswer(RangeAnswer[RoomStats, PercentChanges], RoomStats):
    """One room's statistics, over all its votes or those of the range."""


# Documented but not validated: out of these bounds the answer is 400, not 422.
RoomId = Annotated[
    int,
    Path(
        description=(
            "The room's id, a signed 32-bit integer; an unsigned one if the "
            "database has such ids."
        ),
        examples=[7],
        json_schema_extra={"minimum": 1, "maximum": MAX_WIDE_ROOM_ID},
    ),
]

ROOM_RESPONSES: Final = STATISTICS_RESPONSES | {
    400: {"model": Error, "description": "No room can have this id."}
}


@router.get(
    "/room/{room_id}/stats",
    response_model=RoomAnswer,
    responses=ROOM_RESPONSES | also_as_table(),
)
async def get_room_stats(
    room_id: RoomId, accepted: AcceptedFormat, query: ComparisonQuery, context: Context
) -> Response:
    """Statistics of one room; zeros if it never voted or does not exist."""
    period = resolve_for_room(room_id, query, context)
    etag = context.etag_by_day(period, accepted)
    if response := unchanged(context.request, etag, ACCEPT):
        return response
    figures = await room_figures(RoomStats, room_id, query, period, context)
    if accepted is TableFormat.JSON:
        snapshot = context.snapshot
        body = encode_figures(RoomAnswer, figures, query, period, snapshot)
        return json_response(body, etag, ACCEPT)
    return await _respond_table(room_id, figures, period, context, accepted, etag)


@router.get(
    "/room/{room_id}/stats.{extension}",
    response_class=Response,
    responses=ROOM_RESPONSES | table_responses(),
)
async def get_room_stats_file(
    room_id: RoomId,
    extension: FormatExtension,
    query: ComparisonQuery,
    context: Context,
) -> Response:
    """Statistics of one room as a table of one row."""
    period = resolve_for_room(room_id, query, context)
    etag = context.etag_by_day(period, extension)
    if response := unchanged(context.request, etag):
        return response
    figures = await room_figures(RoomStats, room_id, query, period, context)
    return await _respond_table(
        room_id, figures, period, context, extension, etag, vary=None
    )


def resolve_for_room(
    room_id: int, query: ComparisonParameters, context: RequestContext
) -> Period:
    """The period. Raises HTTPException (400) and RequestValidationError (422)."""
    if not 0 < room_id <= _largest_id(context):
        raise HTTPException(400, "Invalid room_id")
    period = context.resolve(query)
    require_range(query, period)
    return period


def _largest_id(context: RequestContext) -> int:
    manifest = context.snapshot.manifest
    if manifest is None:
        votes = context.plans.votes(context.snapshot)
        dtype = str(votes.collect_schema()["room_id"])
    else:
        dtype = manifest.tables["fpp_votes"].columns["room_id"]
    return MAX_WIDE_ROOM_ID if dtype in WIDE_DTYPES else MAX_ROOM_ID


async def room_figures(
    model: type[BaseModel],
    room_id: int,
    query: ComparisonParameters,
    period: Period,
    context: RequestContext,
) -> JsonObject:
    """The fields of *model*, which has the figures of a room; and of the comparison."""
    snapshot = context.snapshot
    earlier = query.compared(period, snapshot.taken_at)

    def figures(votes: pl.LazyFrame) -> JsonObject:
        plan = room_stats(votes, period)
        before = room_stats(votes, earlier) if earlier else None
        return collect_figures(model, plan, before)

    computations, plans = context.computations, context.plans
    if computations.can_run_at_once(ROOM_STATS, snapshot):
        votes = plans.votes_of_room_in_memory(snapshot, room_id)
        if votes is not None:
            return computations.run_at_once(
                ROOM_STATS, snapshot, partial(figures, votes)
            )
    return await context.compute(
        ROOM_STATS, lambda: figures(plans.votes_of_room(snapshot, room_id))
    )


async def _respond_table(
    room_id: int,
    figures: JsonObject,
    period: Period,
    context: RequestContext,
    table_format: TableFormat,
    etag: str,
    vary: str | None = ACCEPT,
) -> Response:
    title = f"room-{room_id}"
    table = figures_table(title, RoomStats, figures, period, context.snapshot)
    headers, filename = cache_headers(etag, vary), file_stem(title, period)
    return await context.exports.respond(table, table_format, headers, filename)
