"""Answers as several plans, which different machines can run at the same time.

The whole is computed from the rows of the parts by the functions that `analytics` uses,
from integers that add up exactly, so both answers are equal to the last bit.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import polars as pl

from calculations.activity import activity
from calculations.analytics import (
    BY_VISITOR,
    NO_COLUMNS,
    SECTIONS,
    collect,
    room_moments,
    section_plans,
)
from calculations.applicability import not_applicable
from calculations.filters import Filters
from calculations.period import Period
from calculations.reoccurring import changes, reoccurring_of
from calculations.shapes import as_list, as_struct, hstack, rows_of
from calculations.tables import Tables
from calculations.traffic import traffic_of, traffic_sums

type Rows = Sequence[pl.DataFrame]
"""The only row of each part, in the order of the parts."""


@dataclass(frozen=True, slots=True, eq=False)
class DividedPlan:
    """One-row plans that do not depend on each other, and how to combine their rows.

    `combine` makes the row of the whole plan of the rows of the parts.
    """

    parts: tuple[pl.LazyFrame, ...]
    combine: Callable[[Rows], pl.LazyFrame]


def divided_analytics(
    tables: Tables,
    period: Period,
    sections: Collection[str],
    filters: Filters,
    ranges: int,
) -> DividedPlan:
    """`analytics` as a part for each section.

    Those in BY_VISITOR are *ranges* parts, each for a range of visitors, and one for
    rooms.
    """
    reasons = not_applicable(filters, tables, period)
    names = [name for name in SECTIONS if name in sections and name not in reasons]
    by_visitor = [name for name in names if name in BY_VISITOR]
    others = [name for name in names if name not in BY_VISITOR]
    whole = section_plans(tables, period, others, filters)
    matching = filters.apply(tables, period)
    visitors = [
        _part_of_visitors(matching, period, by_visitor, number, ranges)
        for number in range(ranges if by_visitor else 0)
    ]
    rooms = [_part_of_rooms(matching, period)] if "reoccurring" in names else []

    def combine(rows: Rows) -> pl.LazyFrame:
        of_visitors, of_others = rows[: len(visitors)], rows[len(rows) - len(whole) :]
        columns = {name: row.lazy() for name, row in zip(whole, of_others, strict=True)}
        if "traffic" in names:
            columns["traffic"] = as_struct("traffic", _traffic(of_visitors))
        if "reoccurring" in names:
            room_changes = rows_of(rows[len(visitors)]["rooms"]).lazy()
            users = _user_changes(of_visitors)
            columns["reoccurring"] = reoccurring_of(users, room_changes, period)
        return hstack(*(columns[name] for name in names)) if names else NO_COLUMNS

    return DividedPlan((*visitors, *rooms, *whole.values()), combine)


def collect_divided(
    plans: Sequence[DividedPlan], engine: pl.Engine
) -> list[pl.DataFrame]:
    """Run all parts of *plans* at once by *engine*; combine them here, in memory."""
    parts = [part for plan in plans for part in plan.parts]
    rows = iter(pl.collect_all(parts, engine=engine))
    return [collect(plan.combine([next(rows) for _ in plan.parts])) for plan in plans]


def _part_of_visitors(
    tables: Tables,
    period: Period,
    sections: Collection[str],
    number: int,
    ranges: int,
) -> pl.LazyFrame:
    """What *sections* need of one range of visitors: ``traffic`` and ``users``."""
    # Page views are counted as rows, also those without a visitor: by the first part.
    counted = tables.page_views
    page_views = period.filter(counted, "viewed_at") if number == 0 else counted.clear()
    own = tables.of_visitors(number, ranges)
    within = own.within(period)
    views = within.viewed if "traffic" in sections else within.viewed.clear()
    visits = activity(views, within.estimated).cache()
    columns = []
    if "traffic" in sections:
        columns.append(as_struct("traffic", traffic_sums(page_views, visits, period)))
    if "reoccurring" in sections:
        estimated = own.estimated if period.range else within.estimated
        columns.append(as_list("users", changes(visits, estimated, period)[0]))
    return hstack(*columns)


def _part_of_rooms(tables: Tables, period: Period) -> pl.LazyFrame:
    """The changes of all rooms, which need no visits: one list column ``rooms``."""
    estimated = tables.estimated
    visits = activity(tables.viewed.clear(), estimated.clear())
    moments = room_moments(tables, period)
    return as_list("rooms", changes(visits, estimated, period, moments)[1])


def _traffic(rows: Rows) -> pl.LazyFrame:
    sums = pl.concat([row["traffic"].struct.unnest() for row in rows])
    return traffic_of(sums.lazy().select(pl.all().sum()))


def _user_changes(rows: Rows) -> pl.LazyFrame:
    """The changes of all users, from those of each range."""
    each = pl.concat([rows_of(row["users"]) for row in rows])
    return each.lazy().group_by("date").agg(pl.all().sum())
