"""`/v1`: the statistics under better names, in one unit, and more exact.

See docs/decisions/names.md.
"""

from datetime import datetime
from typing import Annotated, Final

from fastapi import Query, Response
from pydantic import AfterValidator, Field

from calculations.analytics import SECTIONS
from calculations.comparison import PercentChanges
from calculations.results import QueryEcho
from calculations.results_v1 import RoomStatistics, Statistics
from routers.auth import RequireToken
from routers.dependencies import Context, RequireStatistics
from routers.direct_route import DirectRoute
from routers.envelope import FilteredAnswer, RangeAnswer, encode_figures
from routers.query import AnalyticsParameters, ComparisonParameters, require_range
from routers.readings import ROOM_DETAILS
from routers.responses import STATISTICS_RESPONSES, json_response, unchanged
from routers.routes.room import room_figures
from routers.routes.rooms import KNOWN_ROOM_RESPONSES, UnsignedRoomId, find_room
from routers.sections import STATISTICS, respond_sections
from routers.strict_query import NoRepeatedParameters
from util.api_routes import ApiRoutes

router = ApiRoutes(
    tags=["statistics"],
    dependencies=[RequireToken, NoRepeatedParameters, RequireStatistics],
    route_class=DirectRoute,
)

_COLUMNS: Final = {STATISTICS.section(name): name for name in SECTIONS}


def _validate_sections(text: str) -> str:
    unknown = [name for name in text.split(",") if name not in _COLUMNS]
    if unknown:
        raise ValueError(f"unknown section {unknown[0]!r}, use {', '.join(_COLUMNS)}")
    return text


class StatisticsParameters(AnalyticsParameters):
    """Parameters of `GET /v1/statistics`: those of `GET /`, with other sections."""

    sections: Annotated[str, AfterValidator(_validate_sections)] = Field(
        ",".join(_COLUMNS),
        description=f"The sections to compute, separated by commas: {', '.join(_COLUMNS)}.",
        examples=["traffic,votes"],
    )

    @property
    def requested_sections(self) -> frozenset[str]:
        """The names of the sections to compute, as plans call them."""
        return frozenset(_COLUMNS[name] for name in self.sections.split(","))

    @property
    def is_customised(self) -> bool:
        """True, so every answer has `query`."""
        return True


class RoomStatisticsParameters(ComparisonParameters):
    """Parameters of `GET /v1/rooms/{room_id}/statistics`: days, and a comparison."""

    @property
    def is_customised(self) -> bool:
        """True, so every answer has `query`."""
        return True


_QUERY: Final = Field(description="The parameters as they were resolved.")
_DATA_UPDATED_AT: Final = Field(
    description="The instant (UTC) at which the snapshot equals the database.",
    examples=["2026-11-21T23:10:00.123456Z"],
)


class _StatisticsData(FilteredAnswer):
    data: Statistics


class StatisticsAnswer(
    RangeAnswer[Statistics, dict[str, PercentChanges]], _StatisticsData
):
    """All statistics of one snapshot."""

    data_updated_at: datetime = _DATA_UPDATED_AT
    query: QueryEcho = _QUERY


class RoomStatisticsAnswer(RangeAnswer[RoomStatistics, PercentChanges], RoomStatistics):
    """One room's statistics, over all its votes or those of the range."""

    data_updated_at: datetime = _DATA_UPDATED_AT
    query: QueryEcho = _QUERY


@router.get(
    "/v1/statistics", response_model=StatisticsAnswer, responses=STATISTICS_RESPONSES
)
async def get_statistics(
    query: Annotated[StatisticsParameters, Query()], context: Context
) -> Response:
    """All statistics, as `GET /` in other names: seconds, ordered lists, four decimals.

    Without a range they cover all rows of the database; series begin at START_DATE.
    """
    return await respond_sections(query, context, STATISTICS)


@router.get(
    "/v1/rooms/{room_id}/statistics",
    response_model=RoomStatisticsAnswer,
    responses=KNOWN_ROOM_RESPONSES,
)
async def get_room_statistics(
    room_id: UnsignedRoomId,
    query: Annotated[RoomStatisticsParameters, Query()],
    context: Context,
) -> Response:
    """Statistics of one room, in the names and units of `/v1`.

    Zeros if it has no votes in the range; 404 if it is in no table.
    """
    period = context.resolve(query)
    require_range(query, period)
    etag = context.etag_by_day(period)
    if response := unchanged(context.request, etag):
        return response
    figures = await room_figures(RoomStatistics, room_id, query, period, context)
    if not figures["votes"]:
        tables = context.plans.tables(context.snapshot)
        await context.compute(ROOM_DETAILS, find_room, room_id, period, tables)
    body = encode_figures(
        RoomStatisticsAnswer, figures, query, period, context.snapshot
    )
    return json_response(body, etag)
