"""Errors: `{"detail": …}` with a text, and `errors` if parameters are invalid.

With `Accept: application/problem+json` the same, with the other members of RFC 9457.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from util.json_types import JsonMapping, JsonObject

PROBLEM_JSON: Final = "application/problem+json"

_ACCEPTED: Final = re.compile(
    rf"{re.escape(PROBLEM_JSON)}(?!\s*;\s*q=0(?:\.0*)?\s*(,|$))"
)

_WITHOUT_BODY: Final = frozenset({204, 205, 304})


class InvalidParameter(BaseModel, defer_build=True):
    """One invalid parameter of a request."""

    parameter: str = Field(
        description="Its name; `body` for the whole body.", examples=["from"]
    )
    location: str = Field(
        description="Where it was sent.", examples=["query", "path", "body"]
    )
    message: str = Field(description="What is allowed.")
    value: Any = Field(
        None, description="The value as it was sent; null for an object of a body."
    )


class Error(BaseModel, defer_build=True):
    """An error."""

    detail: str = Field(description="What is wrong, and what to do, as a sentence.")
    errors: list[InvalidParameter] = Field(
        [], description="The invalid parameters; only if there are any."
    )


class Problem(BaseModel, defer_build=True):
    """An error with all members of RFC 9457, for those who accept it."""

    type: str = Field("about:blank", description="The status says what kind it is.")
    title: str = Field(description="Name of the status.", examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What is wrong, and what to do, as a sentence.")
    errors: list[InvalidParameter] = Field(
        description="The invalid parameters; empty for any other error."
    )


class _ErrorBody(JSONResponse):
    """JSON of an error, which may quote any text that was sent."""

    def render(self, content: object) -> bytes:
        """See JSONResponse. UTF-8 has no lone surrogates, but JSON has an escape."""
        text = json.dumps(
            content, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode("utf-8", "backslashreplace")


def error_response(
    scope: Scope,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[InvalidParameter] = (),
) -> JSONResponse:
    """The response to an error, with the members that the request accepts."""
    found = {**(headers or {})}
    body: JsonObject = {"detail": detail}
    listed = [each.model_dump() for each in errors]
    if not _accepts_problems(scope["headers"]):
        return _ErrorBody(body | {"errors": listed} if listed else body, status, found)
    title = HTTPStatus(status).phrase if status in _STATUSES else "Error"
    problem = {"type": "about:blank", "title": title, "status": status}
    found["Vary"] = "Accept"
    content = problem | body | {"errors": listed}
    return _ErrorBody(content, status, found, media_type=PROBLEM_JSON)


_STATUSES: Final = frozenset(map(int, HTTPStatus))


def _accepts_problems(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    accepted = (value.decode("latin-1") for name, value in headers if name == b"accept")
    return any(_ACCEPTED.search(each.lower()) for each in accepted)


def handle_errors(app: FastAPI) -> None:
    """Let *app* answer the errors of FastAPI and Starlette in this shape."""
    app.add_exception_handler(HTTPException, _respond_http_error)
    app.add_exception_handler(RequestValidationError, _respond_invalid)


async def _respond_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in _WITHOUT_BODY:
        return Response(status_code=error.status_code, headers=error.headers)
    return error_response(request.scope, error.status_code, error.detail, error.headers)


async def _respond_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_parameter(each) for each in error.errors()]
    detail = "; ".join(f"{each.parameter}: {each.message}" for each in errors)
    return error_response(request.scope, 422, detail, errors=errors)


def _parameter(problem: JsonMapping) -> InvalidParameter:
    location, *names = (str(each) for each in problem["loc"])
    if problem["type"] == "json_invalid":  # The name is a position in the text.
        names = []
    return InvalidParameter(
        parameter=".".join(names) or location,
        location=location,
        message=problem["msg"],
        value=_sent(problem.get("input")),
    )


def _sent(value: object) -> object:
    """A value as JSON has it. Objects of a body may be deep, so they are None."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case str() | int() | float():
            return value
        case list() if all(isinstance(each, str) for each in value):
            return value
    return None
