"""The body of `POST /query`: a statement, the values of its parameters, and limits."""

from typing import Annotated, Final

from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from routers.request_state import settings_of
from util.json_types import JsonObject

MAX_ROWS: Final = 10_000

MAX_SQL_BYTES: Final = 65_536

MAX_BODY_BYTES: Final = 262_144
"""With the values of parameters, and the escapes of JSON."""

_Value = StrictBool | StrictInt | StrictFloat | StrictStr | None


def _require_short(sql: str) -> str:
    if len(sql.encode()) > MAX_SQL_BYTES:
        raise ValueError(f"at most {MAX_SQL_BYTES:,} bytes are allowed")
    if "\0" in sql:
        raise ValueError("the character NUL is not allowed")
    return sql


class QueryRequest(BaseModel):
    """A query."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    sql: Annotated[StrictStr, AfterValidator(_require_short)] = Field(
        description="One SELECT of tables of the catalogue; at most 65,536 bytes.",
        examples=["SELECT count(*) AS votes FROM fpp_votes WHERE duration > $least"],
    )
    params: dict[str, _Value] | list[_Value] = Field(
        default_factory=dict,
        description="Values of `$name` as an object, or of `?` and `$1` as an array.",
        examples=[{"least": 60}],
    )
    limit: StrictInt = Field(
        default=MAX_ROWS,
        ge=1,
        le=MAX_ROWS,
        description="Rows to return; `truncated` tells if there are more.",
    )
    timeout_ms: StrictInt | None = Field(
        default=None,
        ge=1,
        description="Time until the query is stopped, at most SQL_SECONDS.",
    )


QUERY_BODY: Final[JsonObject] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": QueryRequest.model_json_schema(
                    ref_template="#/components/schemas/{model}"
                )
            }
        },
    }
}
"""The body in the OpenAPI document, since FastAPI does not parse it."""


async def _body(request: Request) -> QueryRequest:
    """The body, of which no more than MAX_BODY_BYTES are read.

    Raises HTTPException (413), and RequestValidationError (422).
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"The body has more than {MAX_BODY_BYTES:,} bytes")
    try:
        query = QueryRequest.model_validate_json(bytes(body))
    except ValidationError as error:
        raise RequestValidationError(_problems(error)) from None
    _require_time(query, settings_of(request).sql_seconds)
    return query


def _problems(error: ValidationError) -> list[JsonObject]:
    """The problems, without the values that were sent."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [{**each, "loc": ("body", *each["loc"])} for each in found]


def _require_time(query: QueryRequest, seconds: float) -> None:
    if query.timeout_ms is not None and query.timeout_ms > seconds * 1000:
        message = f"at most {seconds * 1000:g} are allowed"
        place = ("body", "timeout_ms")
        problem = {"type": "less_than_equal", "loc": place, "msg": message}
        raise RequestValidationError([{**problem, "input": query.timeout_ms}])


QueryBody = Annotated[QueryRequest, Depends(_body)]
