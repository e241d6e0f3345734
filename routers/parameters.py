"""Query parameters that no route knows are refused, so that no misspelling is ignored."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel


class Parameters(BaseModel, extra="forbid"):
    """A route's query parameters; those with any inherit from it."""


def _none(_: Annotated[Parameters, Query()]) -> None:
    """Answers 422, naming what was sent, where anything was."""


NoParameters = Depends(_none)
