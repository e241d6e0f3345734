"""GET /events/rejected: the dead letters of the collector."""

from datetime import datetime
from typing import Annotated, Any, Final

import polars as pl
from fastapi import HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from config import VERSION
from readmodel.store import snapshot
from readmodel.store.event_tables import REJECTED
from readmodel.store.snapshot import Snapshot
from routers.as_of import SnapshotParameters
from routers.auth import RequireToken
from routers.computations import Computations
from routers.dependencies import CurrentSettings
from routers.readings import reading_of_table
from routers.responses import (
    READ_MODEL_RESPONSES,
    ErrorResponse,
    encode,
    json_response,
    make_etag,
    unchanged,
)
from routers.strict_query import NoRepeatedParameters
from util.api_routes import ApiRoutes

MAX_LIMIT: Final = 1_000

router = ApiRoutes(tags=["events"], dependencies=[RequireToken, NoRepeatedParameters])


class DeadLettersParameters(SnapshotParameters):
    """Which dead letters to list."""

    code: str | None = Field(
        None, max_length=50, description="Only those with this code, such as `schema`."
    )
    limit: int = Field(100, ge=1, le=MAX_LIMIT, description="How many at most.")


class DeadLetter(BaseModel, serialize_by_alias=True):
    """An event that was rejected, and why."""

    rejection_id: str
    event_id: str | None = Field(description="The id that the client gave it, if any.")
    code: str = Field(description="Why, as one word.", examples=["schema"])
    message: str = Field(description="Why, as a sentence.")
    raw: str = Field(description="The event as sent, up to 16,000 characters.")
    schema_file: str | None = Field(
        alias="schema", description="File of the JSON Schema that it breaks."
    )
    sender: str | None = Field(description="Who sent it.")
    received_at: datetime = Field(description="When it arrived (UTC).")
    batch: str | None = Field(description="Id of the request.")


class DeadLetters(BaseModel, serialize_by_alias=True):
    """The newest dead letters, the newest first."""

    total: int = Field(description="How many there are, whatever is listed.")
    counts: dict[str, int] = Field(
        description="How many there are by code.", examples=[{"schema": 2, "clock": 1}]
    )
    rejected: list[DeadLetter]


@router.get(
    "/events/rejected",
    response_model=DeadLetters,
    responses=READ_MODEL_RESPONSES
    | {404: {"model": ErrorResponse, "description": "Events are not set up."}},
)
async def get_rejected_events(
    query: Annotated[DeadLettersParameters, Query()],
    request: Request,
    settings: CurrentSettings,
) -> Response:
    """Events that the collector rejected, or that are in conflict with a stored one."""
    current = snapshot.latest(settings.data_dir)
    request.state.snapshot = current.id  # for the request's log line
    if current.manifest is None or current.manifest.consumed is None:
        raise HTTPException(404, "There are no events: set SPOOL_DIR for the updater")
    url = request.url
    etag = make_etag(VERSION, current.id, url.path, url.query)
    if response := unchanged(request, etag):
        return response
    reading = reading_of_table(current, REJECTED)
    computations: Computations = request.app.state.computations
    body = await computations.run(reading, current, _dead_letters, current, query)
    return json_response(body, etag)


def _dead_letters(current: Snapshot, query: DeadLettersParameters) -> bytes:
    letters = current.scan(REJECTED)
    counts = _counts(letters.select("code").collect())
    listed = letters if query.code is None else letters.filter(code=query.code)
    newest = listed.sort("received_at", "rejection_id", descending=True)
    rows: list[dict[str, Any]] = newest.head(query.limit).collect().to_dicts()
    rejected = [DeadLetter.model_validate(row) for row in rows]
    total = sum(counts.values())
    return encode(DeadLetters(total=total, counts=counts, rejected=rejected))


def _counts(codes: pl.DataFrame) -> dict[str, int]:
    """Number by code, most first; equal numbers by code."""
    counted = codes.group_by("code").len()
    ordered = counted.sort("len", "code", descending=[True, False])
    return dict(ordered.iter_rows())
