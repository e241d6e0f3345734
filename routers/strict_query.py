"""Strict query parameters: unknown and repeated ones are refused, never ignored."""

from collections import Counter
from typing import Any, Final, Self

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

AS_OF: Final = "as_of"
"""The parameter of all answers that are computed from a snapshot, see `as_of`."""


class QueryParameters(BaseModel, extra="forbid"):
    """Base of all models of query parameters."""

    @model_validator(mode="wrap")
    @classmethod
    def _explain_errors(cls, data: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Make each error name the parameter, the value as sent and what is allowed."""
        try:
            return read(data)
        except ValidationError as error:
            details = [cls._explain(problem) for problem in error.errors()]
            raise ValidationError.from_exception_data(cls.__name__, details) from None

    @classmethod
    def _explain(cls, problem: ErrorDetails) -> InitErrorDetails:
        match problem["type"]:
            case "extra_forbidden":
                allowed = cls._known_parameters()
            case "bool_parsing":
                allowed = "use true or false"
            case _:
                allowed = problem["msg"].removeprefix("Value error, ")
        return InitErrorDetails(
            type=PydanticCustomError(problem["type"], allowed),
            loc=problem["loc"],
            input=problem["input"],
        )

    @classmethod
    def _known_parameters(cls) -> str:
        # The one that all answers have comes last.
        fields = sorted(cls.model_fields.items(), key=lambda field: field[0] == AS_OF)
        names = ", ".join(field.alias or name for name, field in fields)
        return f"unknown parameter, use {names}"


async def _refuse_parameters(request: Request) -> None:
    """Answer 422, naming the parameter, if the request has any."""
    names = dict.fromkeys(request.query_params)
    if not names:
        return
    sent = {name: request.query_params.getlist(name) for name in names}
    raise RequestValidationError(
        [
            {
                "type": "extra_forbidden",
                "loc": ("query", name),
                "msg": "there are no parameters",
                "input": values[0] if len(values) == 1 else values,
            }
            for name, values in sent.items()
        ]
    )


NoParameters = Depends(_refuse_parameters)


async def _refuse_repeated(request: Request) -> None:
    """Answer 422 if a parameter is repeated: one of its values would be ignored."""
    names = (name for name, _ in request.query_params.multi_items())
    for name, count in Counter(names).items():
        if count > 1:
            values = request.query_params.getlist(name)
            raise invalid_parameter(name, values, "use it once")


NoRepeatedParameters = Depends(_refuse_repeated)


def invalid_parameter(name: str, value: object, allowed: str) -> RequestValidationError:
    """The error (422) for a parameter's *value* as sent; *allowed* becomes `msg`."""
    return RequestValidationError(
        [
            {
                "type": "value_error",
                "loc": ("query", name),
                "msg": allowed,
                "input": value,
            }
        ]
    )


def no_number(text: Any) -> Any:
    """Refuse a number as an instant, which pydantic takes for seconds since 1970.

    Raises ValueError.
    """
    try:
        float(text)
    except ValueError:
        return text
    raise ValueError("use an instant in ISO 8601, as in 2026-01-31T18:00:00Z")
