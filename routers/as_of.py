"""The parameter `as_of`: answer as at an earlier instant, from the snapshot of that time."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import Query
from pydantic import BeforeValidator, Field

from routers.strict_query import AS_OF, QueryParameters, invalid_parameter

AS_OF_MEANING: Final = (
    "Answer as at this instant, from the last snapshot that existed then. 404 if it is "
    "not kept any more, see SNAPSHOT_RETENTION and `/snapshots`."
)


def parse_instant(text: str) -> datetime:
    """Parse an instant in ISO 8601. Raises RequestValidationError (422)."""
    try:
        return _instant(text)
    except ValueError as error:
        raise invalid_parameter(AS_OF, text, str(error)) from None


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError(
            "use an instant with its offset, as in 2026-01-31T18:00:00Z (write + as %2B)"
        )
    return instant


class SnapshotParameters(QueryParameters):
    """Base of the parameters of all answers that are computed from a snapshot."""

    as_of: Annotated[datetime | None, BeforeValidator(_instant)] = Field(
        None,
        description=AS_OF_MEANING,
        examples=["2026-01-31T18:00:00Z"],
    )


Instant = Annotated[SnapshotParameters, Query()]
"""Checks and documents `as_of` for a handler without further parameters.

It need not read it: `dependencies.snapshot_of` does.
"""
