"""`GET /snapshots`: the instants as at which questions can be answered."""

from datetime import datetime

from fastapi import Response
from pydantic import BaseModel, Field

from readmodel.store.history import kept_snapshots
from routers.auth import RequireToken
from routers.dependencies import CurrentSettings
from routers.responses import CACHE_CONTROL, JSON, PROTECTED_RESPONSES, encode
from routers.strict_query import NoParameters
from util.api_routes import ApiRoutes

router = ApiRoutes(tags=["sync"], dependencies=[RequireToken, NoParameters])


class SnapshotEntry(BaseModel):
    """One snapshot."""

    id: str = Field(examples=["20261121T231000.123456Z"])
    instant: datetime = Field(
        description="UTC: `as_of` from this instant until the next one answers from it."
    )
    own_bytes: int = Field(
        description="Bytes of its files that no other snapshot shares.",
        examples=[81_920],
    )


class SnapshotList(BaseModel):
    """All snapshots that are kept, the newest first."""

    snapshots: list[SnapshotEntry]
    retention_seconds: float = Field(
        description="SNAPSHOT_RETENTION in seconds: how long they are kept, thinned out.",
        examples=[600],
    )


@router.get("/snapshots", response_model=SnapshotList, responses=PROTECTED_RESPONSES)
def get_snapshots(settings: CurrentSettings) -> Response:
    """The snapshots as at which `as_of` can answer, the newest first.

    All of the last hour are kept, then one of each hour, then one of each day, for as
    long as SNAPSHOT_RETENTION says.
    """
    found = kept_snapshots(settings.data_dir)
    answer = SnapshotList(
        snapshots=[
            SnapshotEntry(id=one.id, instant=one.instant, own_bytes=one.own_bytes)
            for one in reversed(found)
        ],
        retention_seconds=settings.snapshot_retention.total_seconds(),
    )
    headers = {"Cache-Control": CACHE_CONTROL}
    return Response(encode(answer), media_type=JSON, headers=headers)
