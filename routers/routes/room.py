"""`GET /room/{room_id}/stats`: one room's statistics."""

from typing import Annotated, Final

import polars as pl
from anyio import to_thread
from fastapi import APIRouter, HTTPException, Path, Request, Response

from calculations.comparison import PercentChanges, collect_figures
from calculations.period import Period
from calculations.results import RoomStats
from calculations.room_stats import room_stats
from readmodel.store.snapshot import Snapshot
from routers.auth import RequireToken
from routers.dependencies import CurrentSettings, CurrentSnapshot, Now
from routers.envelope import RangeAnswer, encode_figures
from routers.query import ComparisonParameters, ComparisonQuery, require_range
from routers.responses import (
    READ_MODEL_RESPONSES,
    ErrorResponse,
    etag_by_day,
    json_response,
    unchanged,
)
from routers.strict_query import NoRepeatedParameters

MAX_ROOM_ID: Final = 2**31 - 1
"""Largest id if the mirror's column is not wider."""

MAX_WIDE_ROOM_ID: Final = 2**32 - 1
"""Largest id if the source declares ids as unsigned 32-bit integers, or wider."""

router = APIRouter(
    tags=["statistics"], dependencies=[RequireToken, NoRepeatedParameters]
)


class RoomAnswer(RangeAnswer[RoomStats, PercentChanges], RoomStats):
    """One room's statistics, over all its votes or those of the range."""


@router.get(
    "/room/{room_id}/stats",
    response_model=RoomAnswer,
    responses=READ_MODEL_RESPONSES
    | {400: {"model": ErrorResponse, "description": "No room can have this id."}},
)
async def get_room_stats(
    room_id: Annotated[
        int,
        # Documented but not validated: out of these bounds the answer is 400, not 422.
        Path(
            description=(
                "The room's id, a signed 32-bit integer; an unsigned one if the "
                "database has such ids."
            ),
            examples=[7],
            json_schema_extra={"minimum": 1, "maximum": MAX_WIDE_ROOM_ID},
        ),
    ],
    query: ComparisonQuery,
    request: Request,
    snapshot: CurrentSnapshot,
    settings: CurrentSettings,
    now: Now,
) -> Response:
    """Statistics of one room; zeros if it never voted or does not exist."""
    if not 0 < room_id <= _largest_id(snapshot):
        raise HTTPException(400, "Invalid room_id")
    period = query.resolve(settings, now)
    require_range(query, period)
    etag = etag_by_day(request, snapshot, settings, period)
    if response := unchanged(request, etag):
        return response
    body = await to_thread.run_sync(_room_json, room_id, query, period, snapshot)
    return json_response(body, etag)


def _largest_id(snapshot: Snapshot) -> int:
    dtype = snapshot.scan("fpp_votes").collect_schema()["room_id"]
    wide = dtype in (pl.UInt32, pl.Int64, pl.UInt64)
    return MAX_WIDE_ROOM_ID if wide else MAX_ROOM_ID


def _room_json(
    room_id: int, query: ComparisonParameters, period: Period, snapshot: Snapshot
) -> bytes:
    votes = snapshot.scan("fpp_votes")
    plan = room_stats(votes, room_id, period)
    earlier = query.compared(period)
    before = room_stats(votes, room_id, earlier) if earlier else None
    figures = collect_figures(RoomStats, plan, before)
    return encode_figures(RoomAnswer, figures, query, period, snapshot)
