"""Breakdowns: all rows of one dimension, where sections show the top."""

from collections.abc import Callable
from enum import StrEnum

import polars as pl

from calculations.analytics import Tables
from calculations.behaviour import busy_rooms, sources
from calculations.period import Period
from calculations.shapes import count_by, count_by_name, top
from calculations.votes import values, weekdays


class Dimension(StrEnum):
    """What can be counted by; each is the name of its column."""

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


def breakdown(tables: Tables, dimension: Dimension, period: Period) -> pl.LazyFrame:
    """A row per value of *dimension*, in the order of the sections: its name, ``count``.

    Regions and cities stand hstack their ``country``, with nulls as they are; else
    missing names are Unknown. Routes are sorted by name, weekdays from Monday,
    estimations by value, all others by count.
    """
    within = tables.within(period)
    views, votes, users = within.page_views, within.votes, within.users
    plans: dict[Dimension, Callable[[], pl.LazyFrame]] = {
        Dimension.ROUTE: lambda: count_by_name(count_by(views, "route")).sort("key"),
        Dimension.SOURCE: lambda: top(sources(count_by(views, "source"))),
        Dimension.EVENT: lambda: top(count_by_name(count_by(within.events, "event"))),
        Dimension.ROOM: lambda: top(busy_rooms(votes, tables.rooms)),
        Dimension.REGION: lambda: _places(users, "region"),
        Dimension.CITY: lambda: _places(users, "city"),
        Dimension.WEEKDAY: lambda: weekdays(votes, period),
        Dimension.ESTIMATION: lambda: values(within.estimations),
    }
    rows = plans.get(
        dimension, lambda: top(count_by_name(count_by(users, dimension)))
    )()
    return rows.rename({"key": dimension.value}, strict=False)


def _places(users: pl.LazyFrame, place: str) -> pl.LazyFrame:
    texts = pl.col("country", place).cast(pl.String)
    counts = users.group_by(texts).agg(count=pl.len())
    return top(counts, "country", place)
