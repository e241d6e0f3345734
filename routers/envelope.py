"""Envelope of the answers: instant of the data, query, previous figures, change."""

from datetime import datetime

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from calculations.applicability import Reasons
from calculations.period import Period
from calculations.results import QueryEcho
from readmodel.store.snapshot import Snapshot
from routers.query import ComparisonParameters, describe
from routers.responses import encode
from util.json_types import JsonObject


class FilteredAnswer(BaseModel, defer_build=True):
    """The member of answers that a filter may not apply to as a whole."""

    not_applicable: Reasons | SkipJsonSchema[None] = Field(
        None,
        description=(
            "Sections and figures to which a filter does not apply, with the reason; "
            "absent if there are none. Sections are absent, breakdowns empty, other "
            "figures null."
        ),
        examples=[{"votes": "A vote has no user: country does not apply."}],
    )


class RangeAnswer[Figures, Changes](BaseModel, defer_build=True):
    """Members beside the figures. Without query parameters they are absent."""

    data_updated_at: datetime | SkipJsonSchema[None] = Field(
        None,
        description="The instant (UTC) at which the snapshot equals the database.",
        examples=["2026-11-21T23:10:00.123456Z"],
    )
    query: QueryEcho | SkipJsonSchema[None] = Field(
        None, description="The parameters as they were resolved."
    )
    previous: Figures | SkipJsonSchema[None] = Field(
        None, description="With `compare`: the figures of the period before."
    )
    change: Changes | SkipJsonSchema[None] = Field(
        None,
        description=(
            "With `compare`: per figure, on `GET /` per section and figure, the change "
            "from `previous` in percent; null where the previous figure is 0."
        ),
    )


def encode_figures(
    answer: type[BaseModel],
    figures: JsonObject,
    query: ComparisonParameters,
    period: Period,
    snapshot: Snapshot,
    not_applicable: Reasons | None = None,
) -> bytes:
    """JSON of *figures*, validated before, as *answer*; enveloped if customised."""
    envelope: JsonObject = {"not_applicable": not_applicable} if not_applicable else {}
    if query.is_customised:
        envelope["query"] = describe(query, period, snapshot.taken_at)
        envelope["data_updated_at"] = snapshot.taken_at
    return encode(answer.model_construct(**figures, **envelope))
