"""`GET /rooms`: rooms to search; `GET /rooms/{room_id}`: one room over time."""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Final, Literal

from fastapi import HTTPException, Path, Query, Response
from pydantic import BaseModel, Field

from calculations.analytics import collect, collect_as, engine_for
from calculations.filters import RoomState
from calculations.period import Interval, Period
from calculations.results import QueryEcho, RoomStats, Rounded
from calculations.room_stats import of_room, room_stats
from calculations.rooms import RoomOrder, RoomSearch, room_details, room_list
from calculations.tables import Tables
from readmodel.store.snapshot import Snapshot
from routers.auth import RequireToken
from routers.dependencies import Context, RequireStatistics
from routers.direct_route import DirectRoute
from routers.plan_cache import PlanCache
from routers.query import RangeParameters, describe
from routers.readings import ROOM_DETAILS, ROOM_LIST
from routers.responses import (
    STATISTICS_RESPONSES,
    encode,
    json_response,
    unchanged,
)
from routers.routes.breakdowns import PageParameters
from routers.strict_query import NoRepeatedParameters
from util.api_routes import ApiRoutes
from util.json_types import JsonObject
from util.problems import Error

MAX_ID: Final = 2**32 - 1
"""Ids are unsigned 32-bit integers."""

UnsignedRoomId = Annotated[
    int,
    Path(
        description="The room's id, an unsigned 32-bit integer.",
        ge=1,
        le=MAX_ID,
        examples=[59],
    ),
]

KNOWN_ROOM_RESPONSES: Final = STATISTICS_RESPONSES | {
    404: {
        "model": Error,
        "description": (
            "There is no such room, or TABLES does not mirror the tables that the "
            "statistics need."
        ),
    }
}

router = ApiRoutes(
    tags=["statistics"],
    dependencies=[RequireToken, NoRepeatedParameters, RequireStatistics],
    route_class=DirectRoute,
)


class RoomsParameters(PageParameters, RangeParameters):
    """Parameters of `GET /rooms`."""

    q: str = Field(
        "",
        max_length=200,
        description="Only rooms whose name contains it, in any case, or whose number or id it is.",
        examples=["sprint"],
    )
    order: RoomOrder = Field(
        RoomOrder.LAST_VOTE_DESCENDING,
        description="Ascending, or descending with a minus. Rooms without a value are last.",
    )


class RoomParameters(RangeParameters):
    """Parameters of `GET /rooms/{room_id}`."""

    interval: Literal["day", "week", "month"] = Field(
        "day", description="What one row of the series covers."
    )

    def _row_options(self) -> tuple[Interval, bool]:
        return Interval(self.interval), True


class _NamedRoom(BaseModel, defer_build=True):
    room_id: int = Field(examples=[59])
    name: str | None = Field(description="Null without a name.", examples=["Sprint"])
    number: int | None = Field(
        description="The number in the room's address.", examples=[966031]
    )
    state: RoomState = Field(description="What is known of the room.")


class RoomRow(_NamedRoom):
    """One room, with figures of the range."""

    votes: int = Field(description="Number of votes in the range.", examples=[12])
    members: int = Field(
        description="Distinct users who estimated in the range.", examples=[5]
    )
    avg_spread: Rounded | None = Field(
        description="Mean of highest minus lowest estimation of a vote; null without votes in the range.",
        examples=[2.1],
    )
    unanimous: Rounded | None = Field(
        description="Share of votes, 0 to 1, whose estimations were all equal; null without votes in the range.",
        examples=[0.25],
    )
    last_vote_at: dt.datetime | None = Field(
        description="Instant (UTC) of the last vote of all time; null if the room never voted."
    )


class RoomsAnswer(BaseModel, defer_build=True):
    """Rooms that were found."""

    rows: list[RoomRow]
    total: int = Field(description="Number of rooms that `q` finds.", examples=[63])
    limit: int = Field(description="Rooms in this answer at most.")
    offset: int = Field(description="Rooms skipped.")
    query: QueryEcho = Field(description="The parameters as they were resolved.")
    data_updated_at: dt.datetime = Field(
        description="The instant (UTC) at which the snapshot equals the database."
    )


class RoomStatus(StrEnum):
    """Whether a room voted."""

    NEVER_VOTED = "never_voted"
    NOT_IN_RANGE = "not_in_range"
    VOTED = "voted"


class RoomAgreement(BaseModel, defer_build=True):
    """How far the estimations of a vote are apart; null without votes in the range."""

    avg_spread: Rounded | None = Field(
        description="Mean of highest minus lowest estimation of a vote.", examples=[2.1]
    )
    max_spread: Rounded | None = Field(
        description="Largest difference between two estimations of a vote.",
        examples=[8.0],
    )
    unanimous: Rounded | None = Field(
        description="Share of votes, 0 to 1, whose estimations were all equal.",
        examples=[0.25],
    )


class RoomPace(BaseModel, defer_build=True):
    """How often a room meets. A meeting is a day with a vote."""

    meetings: int = Field(description="Days with a vote.", examples=[4])
    votes_per_meeting: Rounded = Field(
        description="Votes per such day; 0 without any.", examples=[3.0]
    )
    days_between_meetings: Rounded | None = Field(
        description="Mean number of days from one such day to the next; null with fewer than two.",
        examples=[7.0],
    )


class RoomSeriesRow(BaseModel, defer_build=True):
    """Votes of one day, week or month with a vote."""

    date: dt.date = Field(description="First day of the interval.")
    votes: int = Field(description="Number of votes.")
    estimations: int = Field(description="Sum of the votes' numbers of estimations.")
    avg_spread: Rounded | None = Field(
        description="Mean of highest minus lowest estimation of a vote."
    )
    unanimous: Rounded | None = Field(
        description="Share of votes, 0 to 1, whose estimations were all equal."
    )
    duration: Rounded = Field(description="Mean duration of a vote in seconds.")


class RoomDetails(_NamedRoom):
    """One room, and its votes in the range."""

    status: RoomStatus = Field(
        description="Whether it voted in the range, only outside of it, or never."
    )
    first_used_at: dt.datetime | None = Field(description="UTC; null if it is deleted.")
    first_vote_at: dt.datetime | None = Field(
        description="First vote of all time, UTC; null if it never voted."
    )
    last_vote_at: dt.datetime | None = Field(
        description="Last vote of all time, UTC; null if it never voted."
    )
    stats: RoomStats = Field(description="As `GET /room/{room_id}/stats`.")
    agreement: RoomAgreement
    pace: RoomPace
    members: int = Field(
        description="Distinct users who estimated in the room in the range."
    )
    series: list[RoomSeriesRow] = Field(
        description="Ascending; intervals without a vote are left out."
    )
    query: QueryEcho = Field(description="The parameters as they were resolved.")
    data_updated_at: dt.datetime = Field(
        description="The instant (UTC) at which the snapshot equals the database."
    )


@router.get("/rooms", response_model=RoomsAnswer, responses=STATISTICS_RESPONSES)
async def get_rooms(
    query: Annotated[RoomsParameters, Query()],
    context: Context,
) -> Response:
    """Rooms by name, number or id, those with the latest vote first.

    Rooms without votes in the range are listed with 0; deleted rooms if they voted.
    """
    period = context.resolve(query)
    etag = context.etag_by_day(period)
    if response := unchanged(context.request, etag):
        return response
    body = await context.computations.run(
        ROOM_LIST,
        context.snapshot,
        _rooms_json,
        query,
        period,
        context.snapshot,
        context.plans,
    )
    return json_response(body, etag)


@router.get(
    "/rooms/{room_id}",
    response_model=RoomDetails,
    responses=KNOWN_ROOM_RESPONSES,
)
async def get_room(
    room_id: UnsignedRoomId, query: Annotated[RoomParameters, Query()], context: Context
) -> Response:
    """One room: its votes over time, agreement, pace and members.

    404 if it is in no table. `status` says whether it voted in the range.
    """
    period = context.resolve(query)
    etag = context.etag_by_day(period)
    if response := unchanged(context.request, etag):
        return response
    body = await context.computations.run(
        ROOM_DETAILS,
        context.snapshot,
        _room_json,
        room_id,
        query,
        period,
        context.snapshot,
        context.plans,
    )
    return json_response(body, etag)


def _rooms_json(
    query: RoomsParameters, period: Period, snapshot: Snapshot, plans: PlanCache
) -> bytes:
    search = RoomSearch(query.q, query.order, query.limit, query.offset)
    plan = room_list(plans.tables(snapshot), period, search)
    found = collect(plan, engine_for(snapshot.rows)).row(0, named=True)
    return encode(
        RoomsAnswer(
            rows=found["rows"],
            total=found["total"],
            limit=query.limit,
            offset=query.offset,
            query=describe(query, period, snapshot.taken_at),
            data_updated_at=snapshot.taken_at,
        )
    )


def _room_json(
    room_id: int,
    query: RoomParameters,
    period: Period,
    snapshot: Snapshot,
    plans: PlanCache,
) -> bytes:
    """Raises HTTPException (404) for a room that is in no table."""
    tables = plans.tables(snapshot)
    found = find_room(room_id, period, tables)
    votes = of_room(tables.votes, room_id)
    figures = {name: found[name] for name in RoomDetails.model_fields if name in found}
    return encode(
        RoomDetails(
            room_id=room_id,
            state=_state(found),
            status=_status(found),
            stats=collect_as(RoomStats, room_stats(votes, period)),
            query=describe(query, period, snapshot.taken_at),
            data_updated_at=snapshot.taken_at,
            **figures,
        )
    )


def find_room(room_id: int, period: Period, tables: Tables) -> JsonObject:
    """The row of `room_details`. Raises HTTPException (404) if it is in no table."""
    found = collect(room_details(tables, room_id, period)).row(0, named=True)
    if not (found["in_rooms"] or found["all_votes"] or found["all_estimations"]):
        raise HTTPException(404, f"There is no room {room_id}")
    return found


def _state(found: JsonObject) -> RoomState:
    if not found["in_rooms"]:
        return RoomState.DELETED
    return RoomState.UNNAMED if found["name"] is None else RoomState.NAMED


def _status(found: JsonObject) -> RoomStatus:
    if not found["all_votes"]:
        return RoomStatus.NEVER_VOTED
    in_range = found["pace"]["meetings"] > 0
    return RoomStatus.VOTED if in_range else RoomStatus.NOT_IN_RANGE
