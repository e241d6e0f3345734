"""GET /events/rejected: the dead letters of the collector."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

import polars as pl
from fastapi import HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, Field
from starlette.datastructures import URL

from config import VERSION, Settings
from readmodel.store import snapshot
from readmodel.store.event_tables import REJECTED, REJECTED_SCHEMA
from readmodel.store.snapshot import Snapshot
from routers.as_of import SnapshotParameters
from routers.auth import RequireToken
from routers.computations import Computations
from routers.dependencies import (
    AcceptedFormat,
    CurrentExports,
    CurrentSettings,
    FormatExtension,
    snapshot_of,
)
from routers.formats.documents import also_as_table, columns_of, table_responses
from routers.formats.media import TableFormat
from routers.formats.table import TableAnswer
from routers.readings import reading_of_table
from routers.responses import (
    ACCEPT,
    READ_MODEL_RESPONSES,
    DocumentedResponses,
    cache_headers,
    encode,
    json_response,
    make_etag,
    unchanged,
)
from routers.strict_query import AS_OF, NoRepeatedParameters, no_number
from routers.views.page import Page, PageRequest, parse_token, select_page
from sqlfiles.definition import OrderTerm
from util.api_routes import ApiRoutes
from util.json_types import JsonObject
from util.problems import Error

MAX_LIMIT: Final = 1_000
FILENAME: Final = "fpp-events-rejected"

router = ApiRoutes(tags=["events"], dependencies=[RequireToken, NoRepeatedParameters])


class DeadLettersParameters(SnapshotParameters):
    """Which dead letters to list."""

    code: str | None = Field(
        None, max_length=50, description="Only those with this code, such as `schema`."
    )
    sender: str | None = Field(None, description="Only those that this sender sent.")
    since: Annotated[datetime | None, BeforeValidator(no_number)] = Field(
        None, description="Only those that arrived then or later; without offset UTC."
    )
    until: Annotated[datetime | None, BeforeValidator(no_number)] = Field(
        None, description="Only those that arrived before; without offset UTC."
    )
    limit: int = Field(100, ge=1, le=MAX_LIMIT, description="How many at most.")
    after: str | None = Field(None, description="Token of the next page, as in `next`.")

    def page(self) -> PageRequest:
        """The rows to select. Raises RequestValidationError (422) for a wrong token."""
        start = None
        if self.after is not None:
            try:
                start = parse_token(self.after, ORDER, REJECTED_SCHEMA)
            except ValueError as error:
                raise RequestValidationError(
                    [
                        {
                            "type": "value_error",
                            "loc": ("query", "after"),
                            "msg": str(error),
                            "input": self.after,
                        }
                    ]
                ) from None
        return PageRequest(tuple(self._filters()), ORDER, limit=self.limit, start=start)

    def _filters(self) -> Iterator[pl.Expr]:
        for name in ("code", "sender"):
            value = getattr(self, name)
            if value is not None:
                yield pl.col(name) == pl.lit(value)
        arrived = pl.col("received_at")
        if self.since is not None:
            yield arrived >= pl.lit(_in_utc(self.since))
        if self.until is not None:
            yield arrived < pl.lit(_in_utc(self.until))


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
    next: str | None = Field(
        None, description="Address of the next page; null on the last one."
    )


ORDER: Final = (
    OrderTerm("received_at", descending=True),
    OrderTerm("rejection_id", descending=True),
)
COLUMNS: Final = columns_of(DeadLetter)

DeadLettersQuery = Annotated[DeadLettersParameters, Query()]

NO_EVENTS: Final[DocumentedResponses] = {
    404: {"model": Error, "description": "Events are not set up."}
}


@router.get(
    "/events/rejected",
    response_model=DeadLetters,
    responses=READ_MODEL_RESPONSES | also_as_table() | NO_EVENTS,
)
async def get_rejected_events(
    accepted: AcceptedFormat,
    query: DeadLettersQuery,
    request: Request,
    settings: CurrentSettings,
    exports: CurrentExports,
) -> Response:
    """Events that the collector rejected, or that are in conflict with a stored one."""
    current, page = _with_events(request, settings), query.page()
    etag = _etag(request, current, accepted)
    if response := unchanged(request, etag, ACCEPT):
        return response
    if accepted is TableFormat.JSON:
        body = await _computed(request, current, _dead_letters, page)
        return json_response(body, etag, ACCEPT)
    table = await _computed(request, current, _table, page)
    headers = cache_headers(etag, ACCEPT)
    return await exports.respond(table, accepted, headers, FILENAME)


@router.get(
    "/events/rejected.{extension}",
    response_class=Response,
    responses=READ_MODEL_RESPONSES | table_responses() | NO_EVENTS,
)
async def get_rejected_events_file(
    extension: FormatExtension,
    query: DeadLettersQuery,
    request: Request,
    settings: CurrentSettings,
    exports: CurrentExports,
) -> Response:
    """Events that were rejected as a table, the newest first."""
    current, page = _with_events(request, settings), query.page()
    etag = _etag(request, current, extension)
    if response := unchanged(request, etag):
        return response
    table = await _computed(request, current, _table, page)
    return await exports.respond(table, extension, cache_headers(etag), FILENAME)


def _etag(request: Request, current: Snapshot, table_format: TableFormat) -> str:
    url = request.url
    return make_etag(VERSION, current.id, url.path, url.query, table_format)


async def _computed[T](
    request: Request,
    current: Snapshot,
    compute: Callable[[Snapshot, PageRequest, URL], T],
    page: PageRequest,
) -> T:
    """What *compute* makes of the dead letters. Raises Overloaded, ReadModelDamaged."""
    computations: Computations = request.app.state.computations
    reading = reading_of_table(current, REJECTED)
    return await computations.run(reading, current, compute, current, page, request.url)


def _with_events(request: Request, settings: Settings) -> Snapshot:
    """The snapshot. Raises HTTPException (404) if it has no events."""
    if AS_OF in request.query_params:
        current = snapshot_of(request)
    else:
        # Complete or not: events may be there before the first sync.
        current = snapshot.latest(settings.data_dir)
        request.state.snapshot = current.id  # for the request's log line
    if current.manifest is None or current.manifest.consumed is None:
        raise HTTPException(404, "There are no events: set SPOOL_DIR for the updater")
    return current


def _dead_letters(current: Snapshot, request: PageRequest, url: URL) -> bytes:
    letters = current.scan(REJECTED)
    counts = _counts(letters.select("code").collect())
    page = select_page(letters, request)
    rows: list[JsonObject] = page.rows.lazy().collect().to_dicts()
    rejected = [DeadLetter.model_validate(row) for row in rows]
    total = sum(counts.values())
    following = _next_url(page, url)
    return encode(
        DeadLetters(total=total, counts=counts, rejected=rejected, next=following)
    )


def _table(current: Snapshot, request: PageRequest, url: URL) -> TableAnswer:
    page = select_page(current.scan(REJECTED), request)
    return TableAnswer(
        title="events-rejected",
        rows=page.rows,
        columns=COLUMNS,
        description="A row per event that was rejected, the newest first.",
        data_updated_at=current.taken_at,
        truncated=page.token is not None,
        next=_next_url(page, url),
    )


def _next_url(page: Page, url: URL) -> str | None:
    if page.token is None:
        return None
    following = url.include_query_params(after=page.token)
    return f"{following.path}?{following.query}"


def _counts(codes: pl.DataFrame) -> dict[str, int]:
    """Number by code, most first; equal numbers by code."""
    counted = codes.group_by("code").len()
    ordered = counted.sort("len", "code", descending=[True, False])
    return dict(ordered.iter_rows())
