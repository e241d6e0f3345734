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


EXACT = ConfigDict(extra="forbid")


class Result(BaseModel):
    """A validated result: exactly the fields of its plan's row."""

    # Built when first used, since a process may never serve some of them.
    model_config = ConfigDict(frozen=True, defer_build=True, **EXACT)


class QueryEcho(Result):
    """The parameters as the server understood them."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    from_: dt.date | None = Field(
        alias="from",
        examples=["2026-11-16"],
        description="First day, included; null without a range.",
    )
    to: dt.date | None = Field(
        description="Last day, included; null without a range.", examples=["2026-11-22"]
    )
    unfinished_until: dt.datetime | SkipJsonSchema[None] = Field(
        None,
        examples=["2026-11-22T09:30:00Z"],
        description="The instant (UTC) at which the data ends, while the range is not over: its last rows and sums are not whole. Absent for a range that is over. Without `so_far` they are compared with whole ones.",
    )
    tz: str = Field(
        description="IANA time zone that days are cut in.", examples=["Europe/Berlin"]
    )
    interval: Interval = Field(description="Length of one row of a series.")
    weekends: bool = Field(description="Whether series list Saturdays and Sundays.")
    compare: Literal["previous", "year", "custom"] | None = Field(
        description="What the answer is compared with; else null."
    )
    compare_from: dt.date | SkipJsonSchema[None] = Field(
        None,
        examples=["2025-11-16"],
        description="First day compared with; only with `match`, `so_far`, `compare=year` or `compare=custom`.",
    )
    compare_to: dt.date | SkipJsonSchema[None] = Field(
        None,
        examples=["2025-11-22"],
        description="Last day compared with; only with `match`, `so_far`, `compare=year` or `compare=custom`.",
    )
    compare_until: dt.datetime | SkipJsonSchema[None] = Field(
        None,
        examples=["2025-11-22T09:30:00Z"],
        description="End (UTC) of what is compared with; only with `so_far`, while the range is not over.",
    )
    match: Literal["weekday"] | None = Field(
        None,
        description="`weekday` if each day meets the same weekday; only with `compare_from`.",
    )
    average: int | SkipJsonSchema[None] = Field(
        None,
        examples=[7],
        description="Rows in a moving average; absent for 30 rows of the range alone.",
    )
    filter: str | SkipJsonSchema[None] = Field(
        None, examples=["country:DE"], description="The filter; absent without one."
    )
    as_of: dt.datetime | SkipJsonSchema[None] = Field(
        None,
        examples=["2026-01-31T18:00:00Z"],
        description="The instant as at which the question is answered; absent for now.",
    )


class Traffic(Result):
    """Visitors, page views, bounces and session length; with a range, within it."""

    unique_users: int = Field(
        description="Distinct users who viewed a page.", examples=[9012]
    )
    page_views: int = Field(description="Number of page views.", examples=[42100])
    bounce_rate: Rounded = Field(
        description="1 minus (users who estimated ÷ unique users), a share from 0 to 1, never below 0. With a range, users who estimated in it; without one, users who estimated after the start of START_DATE.",
        examples=[0.42],
        ge=0,
        le=1,
    )
    average_duration: Rounded = Field(
        description="Mean length of a session in minutes. A session ends when more than 10 minutes pass without a page view or estimation; 10 seconds are added for the last one. With a range, a session that crosses its edge counts with the part inside; without one, only activity after the start of START_DATE counts.",
        examples=[7.31],
        ge=0,
    )


class Votes(Result):
    """Number, duration and spread of votes; with a range, of votes and estimations in it."""

    total_votes: int = Field(description="Number of votes.", examples=[12010])
    total_estimations: int = Field(
        description="Sum of the votes' numbers of estimations.", examples=[45020]
    )
    avg_estimations_per_vote: Rounded = Field(
        description="Mean number of estimations per vote.", examples=[3.75]
    )
    avg_spectators_per_vote: Rounded = Field(
        description="Mean number of spectators per vote.", examples=[0.31]
    )
    avg_duration_per_vote: Rounded = Field(
        description="Mean duration of a vote in minutes.", examples=[1.9]
    )
    avg_estimation: Rounded = Field(
        description="Mean of the votes' average estimation.", examples=[6.02]
    )
    avg_min_estimation: Rounded = Field(
        description="Mean of the votes' lowest estimation.", examples=[4.1]
    )
    avg_max_estimation: Rounded = Field(
        description="Mean of the votes' highest estimation.", examples=[8.7]
    )
    weekday_counts: Counts = Field(
        description="Votes per weekday name, Monday first, Saturday and Sunday included; weekdays without votes are omitted.",
        examples=[{"Monday": 2103, "Tuesday": 2544}],
    )
    estimation_counts: ValueCounts = Field(
        description="Estimations per value, ascending; spectators are not counted.",
        examples=[{"1": 3120, "2": 5012, "3": 7100}],
    )


class Behaviour(Result):
    """Pages visited, events, traffic sources and busiest rooms; with a range, within it."""

    routes: Counts = Field(
        description="Page views per route, sorted by name.",
        examples=[{"HOME": 20100, "ROOM": 18010}],
    )
    events: Counts = Field(
        description="Events per kind, largest first.",
        examples=[{"ENTERED_NEW_ROOM": 2400}],
    )
    sources: Counts = Field(
        description="Page views per source category, largest first. Other is always present. Page views without a source are not counted.",
        examples=[{"Google Search": 8000, "Other": 1200}],
    )
    rooms: Counts = Field(
        description="Votes per room name, the 40 largest; deleted rooms count as Unknown.",
        examples=[{"daily": 310, "Unknown": 12}],
    )


# Series rows are TypedDicts, not models: they are sent as the plan produces them.
@with_config(EXACT)
class ReoccurringRow(TypedDict):
    """Users and rooms that had returned by the end of one day, week or month.

    Only listed days count: Monday to Friday, or every day with weekends=true. A row
    shows the state at the end of the last listed day of its interval.
    """

    date: Annotated[
        dt.date,
        Field(
            description="First day of the interval: the listed day itself, the Monday of the week, or the 1st of the month. The first row's date can be before the range or START_DATE."
        ),
    ]
    reoccurring_users: Annotated[
        int,
        Field(
            description="Users who had estimated on at least two listed days. With a range, users who estimated in it so far; listed days from START_DATE until the range count as one of the two."
        ),
    ]
    reoccurring_rooms: Annotated[
        int,
        Field(
            description="Rooms that had estimated on at least two listed days. With a range, rooms that estimated in it so far; listed days from START_DATE until the range count as one of the two."
        ),
    ]
    adjusted_reoccurring_users: Annotated[
        int,
        Field(
            description="Those of reoccurring_users last seen at most 30 calendar days before the row's last listed day."
        ),
    ]
    adjusted_reoccurring_rooms: Annotated[
        int,
        Field(
            description="Those of reoccurring_rooms last seen at most 30 calendar days before the row's last listed day."
        ),
    ]


@with_config(EXACT)
class HistoricalRow(TypedDict):
    """Counts of one day, week or month, running sums (acc_) and moving averages (ma_).

    Only listed days count: Monday to Friday, or every day with weekends=true. A row
    sums the listed days of its interval; the first and last interval may be cut by the
    range, START_DATE or today. The series, its running sums and its moving averages
    start at START_DATE or, with a range, with the range. A column to which a filter
    does not apply is null in all rows.
    """

    date: Annotated[
        dt.date,
        Field(
            description="First day of the interval: the listed day itself (also of an hour), the Monday of the week, or the 1st of the month. The first row's date can be before the range or START_DATE."
        ),
    ]
    hour: NotRequired[
        Annotated[
            str,
            Field(
                description="Only with rows of hours: the local hour with its offset, such as 2026-10-25T02:00:00+02:00."
            ),
        ]
    ]
    new_users: Annotated[
        int | None,
        Field(description="Users created on the listed days of the interval."),
    ]
    page_views: Annotated[
        int | None, Field(description="Page views on the listed days of the interval.")
    ]
    rooms: Annotated[
        int | None,
        Field(description="Rooms first used on the listed days of the interval."),
    ]
    estimations: Annotated[
        int | None, Field(description="Estimations on the listed days of the interval.")
    ]
    votes: Annotated[
        int | None, Field(description="Votes on the listed days of the interval.")
    ]
    acc_new_users: Annotated[
        int | None,
        Field(
            description="Running sum of new_users: all rows up to this one, starting with the first row of the series."
        ),
    ]
    acc_page_views: Annotated[
        int | None,
        Field(
            description="Running sum of page_views: all rows up to this one, starting with the first row of the series."
        ),
    ]
    acc_rooms: Annotated[
        int | None,
        Field(
            description="Running sum of rooms: all rows up to this one, starting with the first row of the series."
        ),
    ]
    acc_estimations: Annotated[
        int | None,
        Field(
            description="Running sum of estimations: all rows up to this one, starting with the first row of the series."
        ),
    ]
    acc_votes: Annotated[
        int | None,
        Field(
            description="Running sum of votes: all rows up to this one, starting with the first row of the series."
        ),
    ]
    ma_new_users: Annotated[
        float | None,
        Field(
            description="Moving average of new_users: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."
        ),
    ]
    ma_page_views: Annotated[
        float | None,
        Field(
            description="Moving average of page_views: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."
        ),
    ]
    ma_rooms: Annotated[
        float | None,
        Field(
            description="Moving average of rooms: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."
        ),
    ]
    ma_estimations: Annotated[
        float | None,
        Field(
            description="Moving average of estimations: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."
        ),
    ]
    ma_votes: Annotated[
        float | None,
        Field(
            description="Moving average of votes: mean of the last 30 rows (days, weeks or months), to two decimals; null in the first 29 rows of the series."
        ),
    ]


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

    device: Counts = Field(
        description="Users per device.", examples=[{"desktop": 7000, "Unknown": 20}]
    )
    os: Counts = Field(
        description="Users per operating system.",
        examples=[{"Windows": 4000, "Mac OS": 2500}],
    )
    browser: Counts = Field(
        description="Users per browser.", examples=[{"Chrome": 6000}]
    )
    country: Counts = Field(
        description="Users per country, the 40 largest.",
        examples=[{"DE": 3000, "US": 1200}],
    )
    country_region: list[Region] = Field(
        description="Users per country and region, the 40 largest."
    )
    country_city: list[City] = Field(
        description="Users per country and city, the 40 largest."
    )


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

    votes: int = Field(description="Number of votes.", examples=[41])
    duration: Annotated[float, AfterValidator(_whole)] = Field(
        description="Mean duration of a vote in seconds, without decimals.",
        examples=[95.0],
    )
    estimations: int = Field(
        description="Sum of the votes' numbers of estimations.", examples=[150]
    )
    estimations_per_vote: Rounded = Field(
        description="Mean number of estimations per vote.", examples=[3.66]
    )
    avg_min_estimation: Rounded = Field(
        description="Mean of the votes' lowest estimation.", examples=[3.2]
    )
    avg_avg_estimation: Rounded = Field(
        description="Mean of the votes' average estimation.", examples=[5.12]
    )
    avg_max_estimation: Rounded = Field(
        description="Mean of the votes' highest estimation.", examples=[8.05]
    )
    spectators: int = Field(
        description="Sum of the votes' numbers of spectators.", examples=[12]
    )
    spectators_per_vote: Rounded = Field(
        description="Mean number of spectators per vote.", examples=[0.29]
    )


class Daily(Result):
    """Figures of the last 24 hours or, with a range, of the range.

    A figure to which a filter does not apply is null.
    """

    votes: int | None = Field(description="Number of votes.", examples=[24])
    estimations: int | None = Field(
        description="Sum of the votes' numbers of estimations.", examples=[91]
    )
    rooms: int | None = Field(description="Distinct rooms that voted.", examples=[9])
    unique_users: int | None = Field(
        description="Distinct users who viewed a page.", examples=[55]
    )
    page_views: int | None = Field(description="Number of page views.", examples=[140])
