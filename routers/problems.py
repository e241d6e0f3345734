"""Errors: as `{"detail": …}`, or for those who accept it in one shape, RFC 9457.

Clients of today read `detail`, which is a text or, for invalid parameters, a list. With
`Accept: application/problem+json` every error has the members of `Problem` instead.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

PROBLEM_JSON: Final = "application/problem+json"

_ACCEPTED: Final = re.compile(
    rf"{re.escape(PROBLEM_JSON)}(?!\s*;\s*q=0(?:\.0*)?\s*(,|$))"
)

_WITHOUT_BODY: Final = frozenset({204, 205, 304})


class InvalidParameter(BaseModel):
    """One invalid parameter of a request."""

    parameter: str = Field(description="Its name.", examples=["from"])
    location: str = Field(
        description="Where it was sent.", examples=["query", "path", "body"]
    )
    message: str = Field(description="What is allowed.")
    value: Any = Field(None, description="The value as it was sent.")


class Problem(BaseModel):
    """An error, in the one shape that all have (RFC 9457)."""

    type: str = Field("about:blank", description="The status says what kind it is.")
    title: str = Field(description="Name of the status.", examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What is wrong, and what to do, as a sentence.")
    errors: list[InvalidParameter] = Field(
        description="The invalid parameters; empty for any other error."
    )


def error_response(
    scope: Scope,
    status: int,
    detail: str | Sequence[Mapping[str, Any]],
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response to an error, in the shape that the request accepts."""
    found = {**(headers or {})}
    if not _accepts_problems(scope["headers"]):
        return JSONResponse({"detail": detail}, status, found)
    content = _problem(status, detail).model_dump()
    found["Vary"] = "Accept"
    return JSONResponse(content, status, found, media_type=PROBLEM_JSON)


def _accepts_problems(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(
        _ACCEPTED.search(value.decode("latin-1").lower())
        for name, value in headers
        if name == b"accept"
    )


def _problem(status: int, detail: str | Sequence[Mapping[str, Any]]) -> Problem:
    errors = [] if isinstance(detail, str) else [_parameter(each) for each in detail]
    sentences = (f"{each.parameter}: {each.message}" for each in errors)
    return Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase if status in _STATUSES else "Error",
        status=status,
        detail=detail if isinstance(detail, str) else "; ".join(sentences),
        errors=errors,
    )


_STATUSES: Final = frozenset(map(int, HTTPStatus))


def _parameter(problem: Mapping[str, Any]) -> InvalidParameter:
    location, *names = (str(each) for each in problem["loc"])
    return InvalidParameter(
        parameter=".".join(names) or location,
        location=location,
        message=problem["msg"],
        value=problem.get("input"),
    )


async def respond_http_error(request: Request, error: Exception) -> Response:
    """The response to an HTTPException, as FastAPI's own unless a problem is accepted."""
    assert isinstance(error, HTTPException)
    if error.status_code in _WITHOUT_BODY:
        return Response(status_code=error.status_code, headers=error.headers)
    return error_response(request.scope, error.status_code, error.detail, error.headers)


async def respond_invalid(request: Request, error: Exception) -> Response:
    """The response (422) to invalid parameters."""
    assert isinstance(error, RequestValidationError)
    return error_response(request.scope, 422, jsonable_encoder(error.errors()))
