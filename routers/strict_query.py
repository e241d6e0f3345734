"""Query parameters: what no route knows, or is sent twice, is refused, not ignored."""

from collections import Counter
from typing import Annotated, Any, Self

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError


class Parameters(BaseModel, extra="forbid"):
    """A route's query parameters; those with any inherit from it."""

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Errors name the parameter, the value as sent, and what is allowed."""
        try:
            return read(given)
        except ValidationError as error:
            details = [cls._explain(problem) for problem in error.errors()]
            raise ValidationError.from_exception_data(cls.__name__, details) from None

    @classmethod
    def _explain(cls, problem: ErrorDetails) -> InitErrorDetails:
        match problem["type"]:
            case "extra_forbidden":
                allowed = cls._allowed()
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
    def _allowed(cls) -> str:
        fields = cls.model_fields.items()
        names = ", ".join(field.alias or name for name, field in fields)
        return f"unknown parameter, use {names}" if names else "there are no parameters"


async def _none(_: Annotated[Parameters, Query()]) -> None:
    """Answers 422, naming what was sent, where anything was."""


NoParameters = Depends(_none)


async def _each_once(request: Request) -> None:
    """Answers 422 where a parameter comes twice: one of the two would be ignored."""
    names = (name for name, _ in request.query_params.multi_items())
    for name, times in Counter(names).items():
        if times > 1:
            given = request.query_params.getlist(name)
            raise wrong(name, given, "use it once")


EachOnce = Depends(_each_once)


def wrong(name: str, given: Any, allowed: str) -> RequestValidationError:
    """The error (422) that parameter *name* was sent as *given*; what is *allowed*."""
    return RequestValidationError(
        [
            {
                "type": "value_error",
                "loc": ("query", name),
                "msg": allowed,
                "input": given,
            }
        ]
    )
