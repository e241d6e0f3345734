"""Breakdowns: every group of one dimension, not only the largest ones."""

from collections.abc import Callable
from enum import StrEnum

import polars as pl

from calculations.behaviour import busy_rooms, sources
from calculations.filters import NO_FILTERS, Filters
from calculations.period import Period
from calculations.shapes import count_by, count_by_name, count_by_text, top
from calculations.tables import Tables
from calculations.votes import values, weekdays


class Dimension(StrEnum):
    """What to count by. Each value is also the name of its column."""

    ROUTE = "route"
    SOURCE = "source"
    EVENT = "event"
    ROOM = "room"
    COUNTRY = "country"
    REGION = "region"
    CITY = "city"
    DEVICE = "device"
    OS = "os"
    BROWSER = "browser"
    WEEKDAY = "weekday"
    ESTIMATION = "estimation"


def breakdown(
    tables: Tables,
    dimension: Dimension,
    period: Period,
    filters: Filters = NO_FILTERS,
    *,
    keep_null: bool = False,
) -> pl.LazyFrame:
    """One row per value of *dimension*: a column named like it, then ``count``.

    Order: routes by name, weekdays from Monday, estimations by value, all others by
    count, largest first. Regions and cities have ``country`` as first column, and
    keep nulls; in all other dimensions a missing name is ``UNKNOWN``, or null with
    *keep_null*.
    """
    within = filters.apply(tables, period).within(period)
    views, votes, users = within.page_views, within.votes, within.users
    by_name = count_by_text if keep_null else count_by_name
    plans: dict[Dimension, Callable[[], pl.LazyFrame]] = {
        Dimension.ROUTE: lambda: by_name(count_by(views, "route")).sort(
            "key", nulls_last=True
        ),
        Dimension.SOURCE: lambda: top(sources(count_by(views, "source"))),
        Dimension.EVENT: lambda: top(by_name(count_by(within.events, "event"))),
        Dimension.ROOM: lambda: top(busy_rooms(votes, tables.rooms)),
        Dimension.REGION: lambda: _places(users, "region"),
        Dimension.CITY: lambda: _places(users, "city"),
        Dimension.WEEKDAY: lambda: weekdays(votes, period),
        Dimension.ESTIMATION: lambda: values(within.estimations),
    }
    rows = plans.get(dimension, lambda: top(by_name(count_by(users, dimension))))()
    return rows.rename({"key": dimension.value}, strict=False)


def _places(users: pl.LazyFrame, place: str) -> pl.LazyFrame:
    names = pl.col("country", place).cast(pl.String)
    counts = users.group_by(names).agg(count=pl.len())
    return top(counts, "country", place)
