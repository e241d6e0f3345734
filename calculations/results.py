"""Results: one frozen model per section, with the meaning and unit of each figure.

The docstrings below classes and fields are the API's published descriptions. They hold
for every combination of parameters: with and without a range, interval and weekends.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NotRequired, TypedDict

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


# Plain assignments: `type` statements would be published as schemas of their own.
Rounded = Annotated[float, AfterValidator(_two_decimals)]
"""Two decimals, as Python's round() gives them: correctly rounded from the float.

Polars rounds the product with 100 instead, and so differs at ties such as 2.675.
"""


def _as_mapping(counts: Any) -> Any:
    """Convert a list of ``{"key": k, "count": n}`` to ``{k: n}``; else pass through."""
    if isinstance(counts, Iterable) and not isinstance(counts, dict):
        return {row["key"]: row["count"] for row in counts}
    return counts


Counts = Annotated[dict[str, int], BeforeValidator(_as_mapping)]
"""Name -> count, in the order of the plan's list."""

ValueCounts = Annotated[
    dict[int | float, int],
    BeforeValidator(_as_mapping),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "integer"}}),
]
"""Number -> count, in the order of the plan's list."""


EXACT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Result(BaseModel):
    """A validated result: exactly the fields of its plan's row."""

    model_config = ConfigDict(frozen=True, **EXACT)


class QueryEcho(Result):
    """The parameters as the server understood them."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    from_: dt.date | None = Field(alias="from", examples=["2026-11-16"])
    """First day, included; null without a range."""
    to: dt.date | None = Field(examples=["2026-11-22"])
    """Last day, included; null without a range."""
    tz: str = Field(examples=["Europe/Berlin"])
    """IANA time zone that days are cut in."""
    interval: Interval
    """Length of one row of a series."""
    weekends: bool
    """Whether series list Saturdays and Sundays."""
    compare: Literal["previous", "year", "custom"] | None
    """What the answer is compared with; else null."""
    compare_from: dt.date | SkipJsonSchema[None] = Field(None, examples=["2025-11-16"])
    """First day compared with; only with `match`, `compare=year` or `compare=custom`."""
    compare_to: dt.date | SkipJsonSchema[None] = Field(None, examples=["2025-11-22"])
    """Last day compared with; only with `match`, `compare=year` or `compare=custom`."""
    match: Literal["weekday"] | None = None
    """`weekday` if each day meets the same weekday; only with `compare_from`."""
    average: int | SkipJsonSchema[None] = Field(None, examples=[7])
    """Rows in a moving average; absent for 30 rows of the range alone."""
    filter: str | SkipJsonSchema[None] = Field(None, examples=["country:DE"])
    """The filter; absent without one."""


class Traffic(Result):
    """Visitors, page views, bounces and session length; with a range, within it."""

    unique_users: int = Field(examples=[9012])
    """Distinct users who viewed a page."""
    page_views: int = Field(examples=[42100])
    """Number of page views."""
    bounce_rate: Rounded = Field(examples=[0.42], ge=0, le=1)
    """1 minus (users who estimated ÷ unique users), a share from 0 to 1, never below 0. With a range, users who estimated in it; without one, users who estimated after the start of START_DATE."""
    average_duration: Rounded = Field(examples=[7.31], ge=0)
    """Mean length of a session in minutes. A session ends when more than 10 minutes pass without a page view or estimation; 10 seconds are added for the last one. With a range, a session that crosses its edge counts with the part inside; without one, only activity after the start of START_DATE counts."""


class Votes(Result):
    """Number, duration and spread of votes; with a range, of votes and estimations in it."""

    total_votes: int = Field(examples=[12010])
    """Number of votes."""
    total_estimations: int = Field(examples=[45020])
    """Sum of the votes' numbers of estimations."""
    avg_estimations_per_vote: Rounded = Field(examples=[3.75])
    """Mean number of estimations per vote."""
    avg_spectators_per_vote: Rounded = Field(examples=[0.31])
    """Mean number of spectators per vote."""
    avg_duration_per_vote: Rounded = Field(examples=[1.9])
    """Mean duration of a vote in minutes."""
    avg_estimation: Rounded = Field(examples=[6.02])
    """Mean of the votes' average estimation."""
    avg_min_estimation: Rounded = Field(examples=[4.1])
    """Mean of the votes' lowest estimation."""
    avg_max_estimation: Rounded = Field(examples=[8.7])
    """Mean of the votes' highest estimation."""
    weekday_counts: Counts = Field(examples=[{"Monday": 2103, "Tuesday": 2544}])
    """Votes per weekday name, Monday first, Saturday and Sunday included; weekdays without votes are omitted."""
    estimation_counts: ValueCounts = Field(examples=[{"1": 3120, "2": 5012, "3": 7100}])
    """Estimations per value, ascending; spectators are not counted."""


class Behaviour(Result):
    """Pages visited, events, traffic sources and busiest rooms; with a range, within it."""

    routes: Counts = Field(examples=[{"HOME": 20100, "ROOM": 18010}])
    """Page views per route, sorted by name."""
    events: Counts = Field(examples=[{"ENTERED_NEW_ROOM": 2400}])
    """Events per kind, largest first."""
    sources: Counts = Field(examples=[{"Google Search": 8000, "Other": 1200}])
    """Page views per source category, largest first. Other is always present. Page views without a source are not counted."""
    rooms: Counts = Field(examples=[{"daily": 310, "Unknown": 12}])
    """Votes per room name, the 40 largest; deleted rooms count as Unknown."""


# Series rows are TypedDicts, not models: they are sent as the plan produces them.
@with_config(EXACT)
class ReoccurringRow(TypedDict):
    """Users and rooms that had returned by the end of one day, week or month.

    Only listed days count: Monday to Friday, or every day with weekends=true. A row
    shows the state at the end of the last listed day of its interval.
    """

    date: dt.date
    """First day of the interval: the listed day itself, the Monday of the week, or the 1st of the month. The first row's date can be before the range or START_DATE."""
    reoccurring_users: int
    """Users who had estimated on at least two listed days. With a range, users who estimated in it so far; listed days from START_DATE until the range count as one of the two."""
    reoccurring_rooms: int
    """Rooms that had estimated on at least two listed days. With a range, rooms that estimated in it so far; listed days from START_DATE until the range count as one of the two."""
    adjusted_reoccurring_users: int
    """Those of reoccurring_users last seen at most 30 calendar days before the row's last listed day."""
    adjusted_reoccurring_rooms: int
    """Those of reoccurring_rooms last seen at most 30 calendar days before the row's last listed day."""


@with_config(EXACT)
class HistoricalRow(TypedDict):
    """Counts of one day, week or month, running sums (acc_) and moving averages (ma_).

    Only listed days count: Monday to Friday, or every day with weekends=true. A row
    sums the listed days of its interval; the first and last interval may be cut by the
    range, START_DATE or today. The series, its running sums and its moving averages
    start at START_DATE or, with a range, with the range. A column to which a filter
    does not apply is null in all rows.
    """

    date: dt.date
    """First day of the interval: the listed day itself (also of an hour), the Monday of the week, or the 1st of the month. The first row's date can be before the range or START_DATE."""
    hour: NotRequired[str]
    """Only with rows of hours: the local hour with its offset, such as 2026-10-25T02:00:00+02:00."""
    new_users: int | None
    """Users created on the listed days of the interval."""
    page_views: int | None
    """Page views on the listed days of the interval."""
    rooms: int | None
    """Rooms first used on the listed days of the interval."""
    estimations: int | None
    """Estimations on the listed days of the interval."""
    votes: int | None
    """Votes on the listed days of the interval."""
    acc_new_users: int | None
    """Running sum of new_users: all rows up to this one, starting with the first row of the series."""
    acc_page_views: int | None
    """Running sum of page_views: all rows up to this one, starting with the first row of the series."""
    acc_rooms: int | None
    """Running sum of rooms: all rows up to this one, starting with the first row of the series."""
    acc_estimations: int | None
    """Running sum of estimations: all rows up to this one, starting with the first row of the series."""
    acc_votes: int | None
    """Running sum of votes: all rows up to this one, starting with the first row of the series."""
    ma_new_users: float | None
    """Moving average of new_users: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."""
    ma_page_views: float | None
    """Moving average of page_views: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."""
    ma_rooms: float | None
    """Moving average of rooms: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."""
    ma_estimations: float | None
    """Moving average of estimations: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."""
    ma_votes: float | None
    """Moving average of votes: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."""


class Region(Result):
    """Number of users in one region."""

    country: str | None = Field(examples=["DE"])
    region: str | None = Field(examples=["Bavaria"])
    count: int


class City(Result):
    """Number of users in one city."""

    country: str | None = Field(examples=["DE"])
    city: str | None = Field(examples=["München"])
    count: int


class LocationAndUserAgent(Result):
    """Users per place and user agent, largest first; with a range, users created in it."""

    device: Counts = Field(examples=[{"desktop": 7000, "Unknown": 20}])
    """Users per device."""
    os: Counts = Field(examples=[{"Windows": 4000, "Mac OS": 2500}])
    """Users per operating system."""
    browser: Counts = Field(examples=[{"Chrome": 6000}])
    """Users per browser."""
    country: Counts = Field(examples=[{"DE": 3000, "US": 1200}])
    """Users per country, the 40 largest."""
    country_region: list[Region]
    """Users per country and region, the 40 largest."""
    country_city: list[City]
    """Users per country and city, the 40 largest."""


class Analytics(Result):
    """All statistics, or only the requested sections."""

    traffic: Traffic | SkipJsonSchema[None] = None
    votes: Votes | SkipJsonSchema[None] = None
    behaviour: Behaviour | SkipJsonSchema[None] = None
    reoccurring: list[ReoccurringRow] | SkipJsonSchema[None] = None
    historical: list[HistoricalRow] | SkipJsonSchema[None] = None
    location_and_user_agent: LocationAndUserAgent | SkipJsonSchema[None] = None


class RoomStats(Result):
    """Votes of one room; with a range, those in it. All zeros without votes."""

    votes: int = Field(examples=[41])
    """Number of votes."""
    duration: Annotated[float, AfterValidator(_whole)] = Field(examples=[95.0])
    """Mean duration of a vote in seconds, without decimals."""
    estimations: int = Field(examples=[150])
    """Sum of the votes' numbers of estimations."""
    estimations_per_vote: Rounded = Field(examples=[3.66])
    """Mean number of estimations per vote."""
    avg_min_estimation: Rounded = Field(examples=[3.2])
    """Mean of the votes' lowest estimation."""
    avg_avg_estimation: Rounded = Field(examples=[5.12])
    """Mean of the votes' average estimation."""
    avg_max_estimation: Rounded = Field(examples=[8.05])
    """Mean of the votes' highest estimation."""
    spectators: int = Field(examples=[12])
    """Sum of the votes' numbers of spectators."""
    spectators_per_vote: Rounded = Field(examples=[0.29])
    """Mean number of spectators per vote."""


class Daily(Result):
    """Figures of the last 24 hours or, with a range, of the range.

    A figure to which a filter does not apply is null.
    """

    votes: int | None = Field(examples=[24])
    """Number of votes."""
    estimations: int | None = Field(examples=[91])
    """Sum of the votes' numbers of estimations."""
    rooms: int | None = Field(examples=[9])
    """Distinct rooms that voted."""
    unique_users: int | None = Field(examples=[55])
    """Distinct users who viewed a page."""
    page_views: int | None = Field(examples=[140])
    """Number of page views."""
