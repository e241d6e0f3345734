"""The routes that take events, in the forms of four kinds of clients."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter
from starlette.types import Receive, Scope, Send

from collector import bodies
from collector.direct_posts import Endpoint
from collector.models import (
    AnalyticsEvent,
    IngestReceipt,
    Receipt,
    SegmentBatch,
    SegmentReceipt,
    SentEvent,
)
from collector.receiving import receive
from util.api_routes import ApiRoutes
from util.problems import Error

JSON: Final = "application/json"


class BodyRoute(APIRoute):
    """A route that FastAPI documents, and whose function takes the request only.

    FastAPI's solver of dependencies, and what it prepares for dependencies with an end,
    are a third of the work of a small request.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See APIRoute."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        response: Response = await self.endpoint(Request(scope, receive))
        await response(scope, receive, send)


router = ApiRoutes(tags=["events"], route_class=BodyRoute)

ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Error, "description": "The body is not JSON."},
    401: {"model": Error, "description": "The token is missing or not valid."},
    403: {"model": Error, "description": "An event is of another user."},
    413: {"model": Error, "description": "Too many events, or too many bytes."},
    415: {"model": Error, "description": "The body is compressed."},
    422: {"model": Error, "description": "The body has another form."},
    429: {"model": Error, "description": "Too many requests; see Retry-After."},
    503: {"model": Error, "description": "Not stored; see Retry-After."},
}


_SCHEMA: Final = "#/components/schemas/{model}"


def _documented(body: Any) -> dict[str, Any]:
    """The parts of an operation that FastAPI cannot derive, since bodies are bytes."""
    schema = TypeAdapter(body).json_schema(ref_template=_SCHEMA)
    schema.pop("$defs", None)
    if isinstance(body, type) and issubclass(body, BaseModel):
        schema = {"$ref": _SCHEMA.format(model=body.__name__)}
    return {
        "requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
                "description": "Makes repeating the same body harmless for events "
                "without an id of their own.",
            }
        ],
        "security": [{"token": []}],
    }


REQUEST_MODELS: Final = (SentEvent, AnalyticsEvent, SegmentBatch)
"""Their schemas belong into the document's components."""


@router.post(
    "/events",
    status_code=202,
    response_model=Receipt,
    responses=ERRORS,
    openapi_extra=_documented(SentEvent | list[SentEvent]),
)
async def post_events(request: Request) -> Response:
    """Take an event or a list of events; each gets a verdict.

    All events are on the disk, accepted or as dead letters, when this answers.
    """
    return ReceiptResponse(await receive(request, bodies.one_or_more), 202)


@router.post(
    "/api/analytics/ingest",
    response_model=IngestReceipt,
    responses=ERRORS,
    openapi_extra=_documented(list[AnalyticsEvent]),
)
async def post_ingest(request: Request) -> Response:
    """Take a list of events from clients of the AI platform."""
    receipt = await receive(request, bodies.listing)
    return ReceiptResponse({**receipt, "ingested": receipt["accepted"]}, 200)


@router.post(
    "/v1/batch",
    response_model=SegmentReceipt,
    responses=ERRORS,
    openapi_extra=_documented(SegmentBatch),
)
async def post_batch(request: Request) -> Response:
    """Take a batch from Segment's libraries; their write key is one of INGEST_TOKENS."""
    receipt = await receive(request, bodies.segment)
    return ReceiptResponse({**receipt, "success": True}, 200)


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "/events": post_events,
    "/api/analytics/ingest": post_ingest,
    "/v1/batch": post_batch,
}
"""The functions of all routes, by path."""

QUIET: Final = tuple(ENDPOINTS)
"""Routes whose successful requests are counted and not logged."""


class ReceiptResponse(Response):
    """A receipt as JSON. Its headers are known, so they are not put together each time."""

    def __init__(self, receipt: Mapping[str, Any], status: int) -> None:
        self.status_code = status
        self.background = None
        self.body = orjson.dumps(receipt)
        self.raw_headers = [
            (b"cache-control", b"no-store"),
            (b"content-length", str(len(self.body)).encode()),
            (b"content-type", JSON.encode()),
        ]
