"""Responses: revalidation by ETag, bodies of bytes, and the documented errors."""

import hashlib
from collections.abc import Mapping
from datetime import UTC
from typing import Final

from fastapi import Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

from calculations.period import Interval, Period
from config import VERSION, Settings
from readmodel.store.snapshot import Snapshot
from util.json_types import JsonObject
from util.problems import Error

CACHE_CONTROL: Final = "private, no-cache"
JSON: Final = "application/json"
ACCEPT: Final = "Accept"
"""For Vary, if Accept decides on the format."""


type DocumentedResponses = dict[int | str, JsonObject]
"""Status to response object, for the OpenAPI document."""

PUBLIC_RESPONSES: Final[DocumentedResponses] = {
    422: {
        "model": Error,
        "description": "A parameter is unknown or malformed.",
    },
}
"""Errors of every route."""

PROTECTED_RESPONSES: Final = PUBLIC_RESPONSES | {
    401: {"model": Error, "description": "The token is missing or wrong."},
    403: {
        "model": Error,
        "description": "The token does not have the right, or is a link to another view.",
    },
    429: {"model": Error, "description": "Too many requests; see Retry-After."},
}
"""Errors of every route that requires the token."""

UNCHANGED: Final[DocumentedResponses] = {
    304: {"description": "Unchanged since the answer whose ETag is in If-None-Match."},
}

READ_MODEL_RESPONSES: Final = (
    PROTECTED_RESPONSES
    | UNCHANGED
    | {
        503: {"model": Error, "description": "There is no read model yet."},
    }
)
"""Errors of every route that answers from the read model, and 304."""

SNAPSHOT_RESPONSES: Final = READ_MODEL_RESPONSES | {
    404: {
        "model": Error,
        "description": "No snapshot of the instant `as_of` is kept.",
    },
}
"""The same for routes that take `as_of` and have no other reason for a 404."""

STATISTICS_RESPONSES: Final = READ_MODEL_RESPONSES | {
    404: {
        "model": Error,
        "description": "TABLES does not mirror the tables that the statistics need.",
    },
}
"""The same for routes of Free Planning Poker's statistics."""


def etag_by_day(
    request: Request,
    snapshot: Snapshot,
    settings: Settings,
    period: Period,
    variant: str = "",
) -> str:
    """ETag of an answer that changes with the snapshot and at the zone's midnight.

    With rows of hours, it changes at each hour. *variant* tells answers of one URL
    apart, such as formats chosen by Accept.
    """
    hourly = period.interval is Interval.HOUR
    moment = period.at_midnight().now if hourly else period.today
    inputs = _inputs(request, snapshot, settings)
    return make_etag(*inputs, moment.isoformat(), variant)


def etag_by_minute(
    request: Request,
    snapshot: Snapshot,
    settings: Settings,
    period: Period,
    variant: str = "",
) -> str:
    """ETag of an answer that changes as time passes; up to a minute late."""
    minute = period.now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    return make_etag(*_inputs(request, snapshot, settings), minute, variant)


def make_etag(*inputs: str) -> str:
    """ETag of an answer that depends on *inputs* only."""
    # Weak, since compression changes the bytes on their way.
    digest = hashlib.sha256("\n".join(inputs).encode()).hexdigest()
    return f'W/"{digest[:32]}"'


def unchanged(request: Request, etag: str, vary: str | None = None) -> Response | None:
    """304 if If-None-Match contains *etag*, by weak comparison (RFC 9110); else None.

    *vary* are the request headers on which the answer depends, except Accept-Encoding,
    which is always named: a 304 has the Vary of the answer that it stands for.
    """
    sent = ",".join(request.headers.getlist("if-none-match"))
    tags = {tag.strip().removeprefix("W/") for tag in sent.split(",")}
    if "*" in tags or etag.removeprefix("W/") in tags:
        headers = cache_headers(etag)
        headers["Vary"] = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"
        return Response(status_code=304, headers=headers)
    return None


def json_response(body: bytes, etag: str, vary: str | None = None) -> Response:
    """A JSON response that clients keep and revalidate."""
    return Response(body, media_type=JSON, headers=cache_headers(etag, vary))


def uncached_json_response(body: bytes) -> Response:
    """A JSON response that must not be kept, because the request has an effect."""
    return Response(body, media_type=JSON, headers={"Cache-Control": "no-store"})


def encode(answer: BaseModel) -> bytes:
    """JSON of a validated model, without its unset fields, encoded straight to bytes."""
    return answer.__pydantic_serializer__.to_json(answer, exclude_unset=True)


def json_object(members: Mapping[str, bytes]) -> bytes:
    """A JSON object whose *members* are already encoded."""
    pairs = (to_json(name) + b":" + value for name, value in members.items())
    return b"{" + b",".join(pairs) + b"}"


def cache_headers(etag: str, vary: str | None = None) -> dict[str, str]:
    """Headers of an answer that clients keep and revalidate."""
    headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL}
    return headers | {"Vary": vary} if vary else headers


def _inputs(
    request: Request, snapshot: Snapshot, settings: Settings
) -> tuple[str, ...]:
    return (
        VERSION,
        snapshot.mirror_id,
        settings.start_date.isoformat(),
        settings.timezone.key,
        request.scope["path"],
        request.scope["query_string"].decode("latin-1"),
    )
