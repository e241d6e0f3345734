"""What the calculations answer: one frozen model per section, with units and meaning."""

from collections.abc import Iterable
from datetime import date as Date
from typing import Annotated, Any, Literal, TypedDict

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    with_config,
)
from pydantic.json_schema import SkipJsonSchema

from calculations.period import Interval


def _two_decimals(value: float) -> float:
    return round(value, 2)


def _whole(value: float) -> float:
    return round(value, 0)


type Rounded = Annotated[float, AfterValidator(_two_decimals)]
"""Two decimals, as Python's round() gives them: correctly rounded from the float.

Polars rounds the product with 100 instead, and so differs at ties such as 2.675.
"""


def _as_mapping(count_by: Any) -> Any:
    """Read a list of key and count as the mapping it stands for."""
    if isinstance(count_by, Iterable) and not isinstance(count_by, dict):
        return {row["key"]: row["count"] for row in count_by}
    return count_by


type Counts = Annotated[dict[str, int], BeforeValidator(_as_mapping)]
"""How many there are of each name, in the order of the plan's list."""

type ValueCounts = Annotated[
    dict[int | float, int],
    BeforeValidator(_as_mapping),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "integer"}}),
]


EXACT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Result(BaseModel):
    """A validated answer: exactly the fields of its plan's row."""

    model_config = ConfigDict(frozen=True, **EXACT)


class QueryEcho(Result):
    """What was understood of the parameters."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    from_: Date | None = Field(alias="from", examples=["2026-11-16"])
    """First day, included; null where no range was asked for."""
    to: Date | None = Field(examples=["2026-11-22"])
    """Last day, included; null where no range was asked for."""
    tz: str = Field(examples=["Europe/Berlin"])
    """IANA time zone in which days are cut."""
    interval: Interval
    """What one row of a series is."""
    weekends: bool
    """Whether series list Saturdays and Sundays."""
    compare: Literal["previous"] | None
    """Whether the stretch before is in the answer."""


class Traffic(Result):
    """Visitors, page views, bounces and time spent."""

    unique_users: int = Field(examples=[9012])
    """Different users over all page views."""
    page_views: int = Field(examples=[42100])
    """All page views."""
    bounce_rate: Rounded = Field(examples=[0.42], ge=0, le=1)
    """Share (0 to 1) of the unique users who never estimated after START_DATE."""
    average_duration: Rounded = Field(examples=[7.31], ge=0)
    """Mean length of a session in minutes, since START_DATE. A session ends where more than 10 minutes pass without page view or estimation; 10 seconds are added for the last sight."""


class Votes(Result):
    """How many votes there were, how long they took, how far apart estimates lie."""

    total_votes: int = Field(examples=[12010])
    """All votes."""
    total_estimations: int = Field(examples=[45020])
    """Sum of the votes' estimations."""
    avg_estimations_per_vote: Rounded = Field(examples=[3.75])
    """Mean number of estimations in a vote."""
    avg_spectators_per_vote: Rounded = Field(examples=[0.31])
    """Mean number of spectators in a vote."""
    avg_duration_per_vote: Rounded = Field(examples=[1.9])
    """Mean duration of a vote in minutes."""
    avg_estimation: Rounded = Field(examples=[6.02])
    """Mean of the votes' average estimation."""
    avg_min_estimation: Rounded = Field(examples=[4.1])
    """Mean of the votes' lowest estimation."""
    avg_max_estimation: Rounded = Field(examples=[8.7])
    """Mean of the votes' highest estimation."""
    weekday_counts: Counts = Field(examples=[{"Monday": 2103, "Tuesday": 2544}])
    """Votes per weekday name, Monday first; only days that occur."""
    estimation_counts: ValueCounts = Field(examples=[{"1": 3120, "2": 5012, "3": 7100}])
    """Estimations per value, ascending; spectators are left out."""


class Behaviour(Result):
    """Where visitors go, what they do, where they come from, which rooms vote."""

    routes: Counts = Field(examples=[{"HOME": 20100, "ROOM": 18010}])
    """Page views per route, by name."""
    events: Counts = Field(examples=[{"ENTERED_NEW_ROOM": 2400}])
    """Events per kind, top first."""
    sources: Counts = Field(examples=[{"Google Search": 8000, "Other": 1200}])
    """Page views per source category, top first; Other is always there. Page views without a source are not counted."""
    rooms: Counts = Field(examples=[{"daily": 310, "Unknown": 12}])
    """Votes per room name, the 40 top; Unknown stands for rooms that are gone."""


# The rows of a series are no models: they travel as the plan makes them.
@with_config(EXACT)
class ReoccurringRow(TypedDict):
    """Who had come back by the end of one listed day."""

    date: Date
    """A Monday to Friday."""
    reoccurring_users: int
    """Users who estimated on at least two listed days so far."""
    reoccurring_rooms: int
    """Rooms that estimated on at least two listed days so far."""
    adjusted_reoccurring_users: int
    """Those of them last seen at most 30 calendar days ago."""
    adjusted_reoccurring_rooms: int
    """Those of them last seen at most 30 calendar days ago."""


@with_config(EXACT)
class HistoricalRow(TypedDict):
    """One listed day: its counts, running sums (acc_) and moving averages (ma_).

    Moving averages are means over the last 30 listed days, to two decimals, and null
    until there are 30.
    """

    date: Date
    """A Monday to Friday."""
    new_users: int
    """Users created on this day."""
    page_views: int
    """Page views on this day."""
    rooms: int
    """Rooms first used on this day."""
    estimations: int
    """Estimations on this day."""
    votes: int
    """Votes on this day."""
    acc_new_users: int
    acc_page_views: int
    acc_rooms: int
    acc_estimations: int
    acc_votes: int
    ma_new_users: float | None
    ma_page_views: float | None
    ma_rooms: float | None
    ma_estimations: float | None
    ma_votes: float | None


class Region(Result):
    """How many users are in one region."""

    country: str | None = Field(examples=["DE"])
    region: str | None = Field(examples=["Bavaria"])
    count: int


class City(Result):
    """How many users are in one city."""

    country: str | None = Field(examples=["DE"])
    city: str | None = Field(examples=["München"])
    count: int


class LocationAndUserAgent(Result):
    """Where users are, and what they use: numbers of users, top first."""

    device: Counts = Field(examples=[{"desktop": 7000, "Unknown": 20}])
    """Users per device."""
    os: Counts = Field(examples=[{"Windows": 4000, "Mac OS": 2500}])
    """Users per operating system."""
    browser: Counts = Field(examples=[{"Chrome": 6000}])
    """Users per browser."""
    country: Counts = Field(examples=[{"DE": 3000, "US": 1200}])
    """Users per country, the 40 top."""
    country_region: list[Region]
    """Users per country and region, the 40 top."""
    country_city: list[City]
    """Users per country and city, the 40 top."""


class Analytics(Result):
    """All statistics side by side, or those of them that were asked for."""

    traffic: Traffic | SkipJsonSchema[None] = None
    votes: Votes | SkipJsonSchema[None] = None
    behaviour: Behaviour | SkipJsonSchema[None] = None
    reoccurring: list[ReoccurringRow] | SkipJsonSchema[None] = None
    historical: list[HistoricalRow] | SkipJsonSchema[None] = None
    location_and_user_agent: LocationAndUserAgent | SkipJsonSchema[None] = None


class RoomStats(Result):
    """How one room votes; all zeros where it never did."""

    votes: int = Field(examples=[41])
    """The room's votes."""
    duration: Annotated[float, AfterValidator(_whole)] = Field(examples=[95.0])
    """Mean duration of a vote in seconds, without decimals."""
    estimations: int = Field(examples=[150])
    """Sum of the votes' estimations."""
    estimations_per_vote: Rounded = Field(examples=[3.66])
    """Mean number of estimations in a vote."""
    avg_min_estimation: Rounded = Field(examples=[3.2])
    """Mean of the votes' lowest estimation."""
    avg_avg_estimation: Rounded = Field(examples=[5.12])
    """Mean of the votes' average estimation."""
    avg_max_estimation: Rounded = Field(examples=[8.05])
    """Mean of the votes' highest estimation."""
    spectators: int = Field(examples=[12])
    """Sum of the votes' spectators."""
    spectators_per_vote: Rounded = Field(examples=[0.29])
    """Mean number of spectators in a vote."""


class Daily(Result):
    """The last 24 hours."""

    votes: int = Field(examples=[24])
    """Votes."""
    estimations: int = Field(examples=[91])
    """Sum of those votes' estimations."""
    rooms: int = Field(examples=[9])
    """Different rooms that voted."""
    unique_users: int = Field(examples=[55])
    """Different users who viewed a page."""
    page_views: int = Field(examples=[140])
    """Page views."""
