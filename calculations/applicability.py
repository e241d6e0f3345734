"""Applicability: the places in an answer where a filter or an interval has no meaning."""

from collections.abc import Collection, Mapping
from typing import Final

from calculations.breakdown import Dimension
from calculations.filters import Filters
from calculations.period import Interval, Period
from calculations.tables import Tables

# A plain assignment, not a `type` statement, which would become a published schema.
Reasons = Mapping[str, str]
"""Place -> why something has no meaning there."""

_READS: Final[Mapping[str, Collection[str]]] = {
    "traffic": ("viewed", "estimated"),
    "votes": ("votes",),
    "behaviour.routes": ("page_views",),
    "behaviour.events": ("events",),
    "behaviour.sources": ("page_views",),
    "behaviour.rooms": ("votes",),
    "reoccurring": ("estimated",),
    "historical.new_users": ("users",),
    "historical.page_views": ("viewed",),
    "historical.rooms": ("rooms",),
    "historical.estimations": ("estimated",),
    "historical.votes": ("votes",),
    "location_and_user_agent": ("users",),
}
"""Section, or section and figure -> the tables of which it counts rows."""


_HOURS: Final = (
    "Returning users and rooms are counted by day: interval=hour does not apply."
)

_DAILY_READS: Final[Mapping[str, Collection[str]]] = {
    "votes": ("votes",),
    "estimations": ("votes",),
    "rooms": ("votes",),
    "unique_users": ("page_views",),
    "page_views": ("page_views",),
}
"""Figure of the last 24 hours -> the table of which it counts rows."""

_BREAKDOWN_READS: Final[Mapping[Dimension, str]] = {
    Dimension.ROUTE: "page_views",
    Dimension.SOURCE: "page_views",
    Dimension.EVENT: "events",
    Dimension.ROOM: "votes",
    Dimension.WEEKDAY: "votes",
    Dimension.ESTIMATION: "estimations",
}
"""Dimension -> the table of which it counts rows; all others count users."""


def not_applicable(filters: Filters, tables: Tables, period: Period) -> Reasons:
    """Sections (``votes``) and figures (``behaviour.rooms``) to leave out, and why."""
    reasons = _unfiltered(filters, tables, _READS)
    if period.interval is Interval.HOUR:
        return {**reasons, "reoccurring": _HOURS}
    return reasons


def not_applicable_daily(filters: Filters, tables: Tables) -> Reasons:
    """Figures of the last 24 hours to leave out, and why."""
    return _unfiltered(filters, tables, _DAILY_READS)


def not_applicable_breakdown(
    filters: Filters, tables: Tables, dimension: Dimension
) -> str | None:
    """Why the breakdown by *dimension* cannot be filtered; None if it can."""
    table = _BREAKDOWN_READS.get(dimension, "users")
    return filters.inapplicable(tables).get(table) if filters else None


def _unfiltered(
    filters: Filters, tables: Tables, reads: Mapping[str, Collection[str]]
) -> Reasons:
    reasons = filters.inapplicable(tables) if filters else {}
    return {
        place: reasons[table]
        for place, counted in reads.items()
        for table in counted
        if table in reasons
    }


def figures(reasons: Reasons, section: str) -> frozenset[str]:
    """The figures of *section* among the places of *reasons*."""
    prefix = f"{section}."
    return frozenset(
        place.removeprefix(prefix) for place in reasons if place.startswith(prefix)
    )
