"""One room's statistics."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from calculations.comparison import Change, single_figures
from calculations.results import QueryEcho, RoomStats
from calculations.room_stats import room_stats
from routers.auth import RequireToken
from routers.dependencies import CurrentSettings, CurrentSnapshot, Now
from routers.query import RangeQuery, echo, require_range
from routers.responses import COMMON, Answering, Detail, encode
from routers.strict_query import EachOnce

LARGEST_ID = 2**31 - 1

router = APIRouter(tags=["statistics"], dependencies=[RequireToken, EachOnce])


class RoomAnswer(RoomStats):
    """How one room votes, ever or in the range asked for."""

    data_updated_at: datetime | SkipJsonSchema[None] = Field(
        None, description="UTC instant of the snapshot, where anything was asked for."
    )
    query: QueryEcho | SkipJsonSchema[None] = Field(
        None, description="What was understood, where anything was asked for."
    )
    previous: RoomStats | SkipJsonSchema[None] = Field(
        None, description="With compare: the same of the stretch just before."
    )
    change: Change | SkipJsonSchema[None] = Field(
        None, description="With compare: the change in per cent, null from 0."
    )


@router.get(
    "/room/{room_id}/stats",
    response_model=RoomAnswer,
    responses=COMMON
    | {400: {"model": Detail, "description": "No room can have this id."}},
)
async def get_room_stats(
    room_id: Annotated[
        int,
        # Only told, since beyond these bounds the answer is 400 and not 422.
        Path(examples=[7], json_schema_extra={"minimum": 1, "maximum": LARGEST_ID}),
    ],
    asked: RangeQuery,
    conditional: Answering,
    snapshot: CurrentSnapshot,
    settings: CurrentSettings,
    now: Now,
) -> Response:
    """How one room votes; a room that never voted, or is not there, answers zeros."""
    if not 0 < room_id <= LARGEST_ID:
        raise HTTPException(400, "Invalid room_id")

    period = asked.resolve(settings, now)
    require_range(asked, period)

    def compute() -> bytes:
        votes = snapshot.scan("fpp_votes")
        plan = room_stats(votes, room_id, period)
        before = room_stats(votes, room_id, period.before()) if asked.compare else None
        figures = single_figures(RoomStats, plan, before)
        if asked.given:
            figures |= {"query": echo(asked, period)}
            figures |= {"data_updated_at": snapshot.taken_at}
        return encode(RoomAnswer.model_construct(**figures))

    return await conditional.by_day(period, compute)
