"""Results of `/v1`: the figures of `results` with other names, in one unit, more exact.

The models read the rows of the same plans: a field's `validation_alias` is the column, if
they differ. Durations are seconds, counts are lists in order, and means and shares have
four decimals. Moving averages have two, as their plan rounds them.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Final, NotRequired, TypedDict

from pydantic import AfterValidator, AliasChoices, Field, with_config
from pydantic.json_schema import SkipJsonSchema

from calculations.results import EXACT, City, Region, Result


def _four_decimals(value: float) -> float:
    return round(value, 4)


def _in_seconds(minutes: float) -> float:
    return minutes * 60


# Plain assignments, see `results`.
Exact = Annotated[float, AfterValidator(_four_decimals)]
"""Four decimals, correctly rounded."""

SecondsOfMinutes = Annotated[
    float, AfterValidator(_in_seconds), AfterValidator(_four_decimals)
]
"""Seconds, of a column in minutes."""


class NamedCount(Result):
    """A name and how often it occurs."""

    name: str = Field(
        validation_alias="key",
        description="The name; Unknown if it is missing.",
        examples=["Chrome"],
    )
    count: int = Field(description="Number of rows.", examples=[6000])


class ValueCount(Result):
    """A number and how often it occurs."""

    value: int | float = Field(
        validation_alias="key", description="The number.", examples=[3]
    )
    count: int = Field(description="Number of rows.", examples=[7100])


class TrafficStatistics(Result):
    """Visitors, page views, bounces and session length; with a range, within it."""

    unique_users: int = Field(
        description="Distinct users who viewed a page.", examples=[9012]
    )
    page_views: int = Field(description="Number of page views.", examples=[42100])
    bounce_rate: Exact = Field(
        description="1 minus (users who estimated ÷ unique users), a share from 0 to 1, to four decimals.",
        examples=[0.4213],
        ge=0,
        le=1,
    )
    average_session_seconds: SecondsOfMinutes = Field(
        validation_alias="average_duration",
        description="Mean length of a session in seconds. A session ends when more than 10 minutes pass without a page view or estimation; 10 seconds are added for the last one.",
        examples=[438.6],
        ge=0,
    )


class _Votes(Result):
    """Figures of some votes."""

    votes: int = Field(
        validation_alias=AliasChoices("total_votes", "votes"),
        description="Number of votes.",
        examples=[12010],
    )
    estimations: int = Field(
        validation_alias=AliasChoices("total_estimations", "estimations"),
        description="Sum of the votes' numbers of estimations.",
        examples=[45020],
    )
    average_duration_seconds: Exact = Field(
        validation_alias="duration",
        description="Mean duration of a vote in seconds.",
        examples=[114.2857],
    )
    estimations_per_vote: Exact = Field(
        validation_alias=AliasChoices(
            "avg_estimations_per_vote", "estimations_per_vote"
        ),
        description="Mean number of estimations per vote.",
        examples=[3.7485],
    )
    spectators_per_vote: Exact = Field(
        validation_alias=AliasChoices("avg_spectators_per_vote", "spectators_per_vote"),
        description="Mean number of spectators per vote.",
        examples=[0.3077],
    )
    average_estimation: Exact = Field(
        validation_alias=AliasChoices("avg_avg_estimation", "avg_estimation"),
        description="Mean of the votes' average estimation.",
        examples=[6.0214],
    )
    average_min_estimation: Exact = Field(
        validation_alias="avg_min_estimation",
        description="Mean of the votes' lowest estimation.",
        examples=[4.1],
    )
    average_max_estimation: Exact = Field(
        validation_alias="avg_max_estimation",
        description="Mean of the votes' highest estimation.",
        examples=[8.7],
    )


class VoteStatistics(_Votes):
    """Number, duration and spread of votes; with a range, of votes and estimations in it."""

    average_duration_seconds: SecondsOfMinutes = Field(
        validation_alias="avg_duration_per_vote",
        description="Mean duration of a vote in seconds.",
        examples=[114.2857],
    )
    weekday_counts: list[NamedCount] = Field(
        description="Votes per weekday, Monday first, Saturday and Sunday included; weekdays without votes are omitted."
    )
    estimation_counts: list[ValueCount] = Field(
        description="Estimations per value, ascending; spectators are not counted."
    )


class RoomStatistics(_Votes):
    """Votes of one room; with a range, those in it."""

    spectators: int = Field(
        description="Sum of the votes' numbers of spectators.", examples=[12]
    )


class BehaviourStatistics(Result):
    """Pages visited, events, traffic sources and busiest rooms; with a range, within it."""

    routes: list[NamedCount] = Field(
        description="Page views per route, sorted by name."
    )
    events: list[NamedCount] = Field(description="Events per kind, largest first.")
    sources: list[NamedCount] = Field(
        description="Page views per source category, largest first. Other is always present. Page views without a source are not counted."
    )
    rooms: list[NamedCount] = Field(
        description="Votes per room name, the 40 largest; deleted rooms count as Unknown."
    )


class AudienceStatistics(Result):
    """Users per place and user agent, largest first; with a range, users created in it."""

    device: list[NamedCount] = Field(description="Users per device.")
    os: list[NamedCount] = Field(description="Users per operating system.")
    browser: list[NamedCount] = Field(description="Users per browser.")
    country: list[NamedCount] = Field(description="Users per country, the 40 largest.")
    country_region: list[Region] = Field(
        description="Users per country and region, the 40 largest."
    )
    country_city: list[City] = Field(
        description="Users per country and city, the 40 largest."
    )


_DATE = Field(
    description="First day of the interval: the listed day itself, the Monday of the week, or the 1st of the month."
)
_ReturnedCount = Annotated[
    int,
    Field(description="Seen on at least two listed days by the end of the interval."),
]
_ActiveCount = Annotated[
    int,
    Field(
        description="Those of them last seen at most 30 calendar days before the row's last listed day."
    ),
]
_Count = Annotated[
    int | None, Field(description="Number on the listed days of the interval.")
]
_CumulativeCount = Annotated[
    int | None,
    Field(description="Sum of all rows from the first of the series to this one."),
]
_MovingAverage = Annotated[
    float | None,
    Field(
        description="Mean of the last 30 rows (days, weeks or months), or of `average` rows, to two decimals; null while there are fewer."
    ),
]


@with_config(EXACT)
class ReturningRow(TypedDict):
    """Users and rooms that had returned by the end of one day, week or month.

    Only listed days count: Monday to Friday, or every day with weekends=true. With a
    range, the users and rooms that estimated in it so far.
    """

    date: Annotated[dt.date, _DATE]
    returning_users: _ReturnedCount
    returning_rooms: _ReturnedCount
    active_returning_users: _ActiveCount
    active_returning_rooms: _ActiveCount


@with_config(EXACT)
class HistoryRow(TypedDict):
    """Counts of one day, week or month, running sums and moving averages.

    Only listed days count: Monday to Friday, or every day with weekends=true. Rooms are
    counted when they are first used. A column to which a filter does not apply is null
    in all rows.
    """

    date: Annotated[dt.date, _DATE]
    hour: NotRequired[
        Annotated[
            str,
            Field(
                description="Only with rows of hours: the local hour with its offset, such as 2026-10-25T02:00:00+02:00."
            ),
        ]
    ]
    new_users: _Count
    page_views: _Count
    new_rooms: _Count
    estimations: _Count
    votes: _Count
    cumulative_new_users: _CumulativeCount
    cumulative_page_views: _CumulativeCount
    cumulative_new_rooms: _CumulativeCount
    cumulative_estimations: _CumulativeCount
    cumulative_votes: _CumulativeCount
    moving_average_new_users: _MovingAverage
    moving_average_page_views: _MovingAverage
    moving_average_new_rooms: _MovingAverage
    moving_average_estimations: _MovingAverage
    moving_average_votes: _MovingAverage


class Statistics(Result):
    """All statistics, or only the requested sections."""

    traffic: TrafficStatistics | SkipJsonSchema[None] = None
    votes: VoteStatistics | SkipJsonSchema[None] = None
    behaviour: BehaviourStatistics | SkipJsonSchema[None] = None
    returning: list[ReturningRow] | SkipJsonSchema[None] = None
    historical: list[HistoryRow] | SkipJsonSchema[None] = None
    audience: AudienceStatistics | SkipJsonSchema[None] = Field(
        None, validation_alias="location_and_user_agent"
    )


SECTION_NAMES: Final[Mapping[str, str]] = {
    "reoccurring": "returning",
    "location_and_user_agent": "audience",
}
"""Section of `Analytics` -> its name in `Statistics`, where they differ."""

COLUMN_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "reoccurring": {
        "reoccurring_users": "returning_users",
        "reoccurring_rooms": "returning_rooms",
        "adjusted_reoccurring_users": "active_returning_users",
        "adjusted_reoccurring_rooms": "active_returning_rooms",
    },
    "historical": {
        "rooms": "new_rooms",
        "acc_new_users": "cumulative_new_users",
        "acc_page_views": "cumulative_page_views",
        "acc_rooms": "cumulative_new_rooms",
        "acc_estimations": "cumulative_estimations",
        "acc_votes": "cumulative_votes",
        "ma_new_users": "moving_average_new_users",
        "ma_page_views": "moving_average_page_views",
        "ma_rooms": "moving_average_new_rooms",
        "ma_estimations": "moving_average_estimations",
        "ma_votes": "moving_average_votes",
    },
}
"""Series of `Analytics` -> its columns -> their names in `Statistics`, where they differ."""
