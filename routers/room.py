"""One room's statistics."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from calculations.analytics import answer
from calculations.results import RoomStats
from calculations.room_stats import room_stats
from routers.answers import COMMON, Answering, Detail, encode
from routers.dependencies import CurrentSnapshot, RequireToken
from routers.parameters import NoParameters

LARGEST_ID = 2**31 - 1

router = APIRouter(tags=["statistics"], dependencies=[RequireToken, NoParameters])


@router.get(
    "/room/{room_id}/stats",
    response_model=RoomStats,
    responses=COMMON
    | {400: {"model": Detail, "description": "No room can have this id."}},
)
def get_room_stats(
    room_id: Annotated[
        int,
        # Only told, since beyond these bounds the answer is 400 and not 422.
        Path(examples=[7], json_schema_extra={"minimum": 1, "maximum": LARGEST_ID}),
    ],
    conditional: Answering,
    snapshot: CurrentSnapshot,
) -> Response:
    """How one room votes; a room that never voted, or is not there, answers zeros."""
    if not 0 < room_id <= LARGEST_ID:
        raise HTTPException(400, "Invalid room_id")

    def compute() -> bytes:
        votes = snapshot.scan("fpp_votes")
        return encode(answer(RoomStats, room_stats(votes, room_id)))

    return conditional.by_day(compute)
