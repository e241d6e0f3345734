"""How an answer travels: bytes with an ETag, or 304 without computing."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from pydantic_core import to_json

from calculations.period import Period
from config import VERSION, Settings
from readmodel.store.snapshot import Snapshot
from routers.dependencies import CurrentSettings, CurrentSnapshot

CACHE_CONTROL = "private, no-cache"
CSV = "text/csv; charset=utf-8; header=present"


class Detail(BaseModel):
    """What went wrong."""

    detail: str


class Problem(BaseModel):
    """One part of a request that is not valid."""

    type: str
    loc: list[str | int] = Field(
        description="Where it was sent, and the parameter's name.",
        examples=[["query", "limt"]],
    )
    msg: str = Field(description="What is allowed.")
    input: Any = Field(None, description="The value as it was sent.")


class Invalid(BaseModel):
    """What is not valid in a request."""

    detail: list[Problem]


ANY: dict[int | str, dict[str, Any]] = {
    422: {"model": Invalid, "description": "A parameter is unknown or malformed."},
}
"""What every answer may be instead, for the OpenAPI document."""

PROTECTED = ANY | {
    401: {"model": Detail, "description": "The token is missing or wrong."},
    429: {"model": Detail, "description": "Too many requests; see Retry-After."},
}
"""What every answer to the bearer of a token may be instead."""

COMMON = PROTECTED | {
    304: {"description": "Unchanged since the answer with this If-None-Match."},
    503: {"model": Detail, "description": "There is no read model yet."},
}
"""What every answer from the read model may be instead."""

type Compute = Callable[[], bytes]


class Conditional:
    """One request's answer, known by its ETag before anything is computed.

    The tag is made of the snapshot, the period as resolved, the request and this
    program's version. It is weak, since compression may change the bytes on their way.

    What has to be computed is computed on a thread, so that others are answered
    meanwhile. Whole answers wait for each other, and not on threads: each takes all
    cores and the memory of its tables, so two at once gain nothing, and eight would
    keep the interpreter from whoever asks for /health.
    """

    def __init__(
        self, request: Request, snapshot: Snapshot, settings: Settings
    ) -> None:
        self._request = request
        self._whole: CapacityLimiter = request.app.state.whole_answers
        self._known = (
            VERSION,
            snapshot.id,
            settings.start_date.isoformat(),
            settings.timezone.key,
            request.url.path,
            request.url.query,
        )

    async def by_day(
        self, period: Period, compute: Compute, *, whole: bool = False
    ) -> Response:
        """Answer what changes with the snapshot and at the period's midnight only.

        *whole* is for what reads most of the tables.
        """
        return await self._answer(_day(period), compute, _json, whole)

    async def csv_by_day(
        self,
        period: Period,
        name: str,
        compute: Callable[[], Iterator[bytes]],
        *,
        whole: bool = False,
    ) -> Response:
        """Answer `by_day` with a CSV file called *name*, in the chunks it comes in."""

        def respond(chunks: Iterator[bytes], headers: dict[str, str]) -> Response:
            headers |= {"Content-Disposition": f'attachment; filename="{name}"'}
            return StreamingResponse(chunks, media_type=CSV, headers=headers)

        return await self._answer(_day(period), compute, respond, whole)

    async def by_minute(self, period: Period, compute: Compute) -> Response:
        """Answer what changes as time passes; at most a minute is overlooked."""
        minute = period.now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
        return await self._answer(minute, compute, _json, whole=False)

    async def always(self, compute: Compute) -> Response:
        """Answer with each call, whatever the client has: calling has an effect."""
        return _json(await to_thread.run_sync(compute), {"Cache-Control": "no-store"})

    async def _answer[T](
        self,
        moment: str,
        compute: Callable[[], T],
        respond: Callable[[T, dict[str, str]], Response],
        whole: bool,
    ) -> Response:
        made_of = "\n".join((*self._known, moment))
        etag = f'W/"{hashlib.sha256(made_of.encode()).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL}
        if self._has(etag):
            return Response(status_code=304, headers=headers)
        limiter = self._whole if whole else None
        return respond(await to_thread.run_sync(compute, limiter=limiter), headers)

    def _has(self, etag: str) -> bool:
        """Whether the client's If-None-Match names *etag*; weak comparison, RFC 9110."""
        given = ",".join(self._request.headers.getlist("if-none-match"))
        tags = {tag.strip().removeprefix("W/") for tag in given.split(",")}
        return "*" in tags or etag.removeprefix("W/") in tags


async def _conditional(
    request: Request, snapshot: CurrentSnapshot, settings: CurrentSettings
) -> Conditional:
    # Async, and not the class itself, for which FastAPI would wait for a thread.
    return Conditional(request, snapshot, settings)


Answering = Annotated[Conditional, Depends(_conditional)]


def encode(answer: BaseModel) -> bytes:
    """JSON of a validated answer, encoded once, straight to bytes; what is unset is not in it."""
    return answer.__pydantic_serializer__.to_json(answer, exclude_unset=True)


def json_object(members: Mapping[str, bytes]) -> bytes:
    """A JSON object of *members*, which are JSON already."""
    pairs = (to_json(name) + b":" + value for name, value in members.items())
    return b"{" + b",".join(pairs) + b"}"


def _day(period: Period) -> str:
    return period.today.isoformat()


def _json(body: bytes, headers: dict[str, str]) -> Response:
    return Response(body, media_type="application/json", headers=headers)
