"""All sections: the whole answer is one row, of one plan or of two side by side."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import polars as pl
from pydantic import BaseModel

from calculations.activity import activity
from calculations.applicability import figures, not_applicable
from calculations.behaviour import behaviour
from calculations.filters import NO_FILTERS, Filters
from calculations.historical import historical
from calculations.location import location
from calculations.period import Period
from calculations.reoccurring import reoccurring
from calculations.results import Analytics
from calculations.shapes import ROWS, TALLIED, as_struct, hstack, without_lists
from calculations.tables import Tables
from calculations.traffic import traffic
from calculations.votes import votes

STREAMING_ROWS = 3_000_000
"""Above this many rows the streaming engine is faster, see docs/performance.md."""

SERIES = {"reoccurring", "historical"}
"""Sections that are a list of rows rather than an object."""

BY_VISITOR = frozenset({"traffic", "reoccurring"})
"""Sections that need the visits of each visitor in order of time, which costs most."""

NO_COLUMNS = pl.LazyFrame(height=1)
"""One row without columns."""

SECTIONS = tuple(Analytics.model_fields)
"""Names of all sections, in the order of the answer."""


def analytics(
    tables: Tables,
    period: Period,
    sections: Collection[str] = SECTIONS,
    filters: Filters = NO_FILTERS,
) -> pl.LazyFrame:
    """One row shaped like Analytics, with a column for each of *sections*.

    Sections in `not_applicable` have no column; without any the row has none.

    A pure function: the plan depends on ``period.now`` only through ``period.today``,
    with rows of hours through the hour.
    A caller that keeps plans passes ``period.at_midnight()``, which is equal for all
    moments of a day or hour. See docs/decisions/kept-plans.md.
    """
    chosen = section_plans(tables, period, sections, filters).values()
    return hstack(*chosen) if chosen else NO_COLUMNS


def section_plans(
    tables: Tables, period: Period, sections: Collection[str], filters: Filters
) -> dict[str, pl.LazyFrame]:
    """The columns of `analytics`, each as a plan of one row that has only this column."""
    reasons = not_applicable(filters, tables, period)
    matching = filters.apply(tables, period)
    within = matching.within(period)
    all_time = matching if period.range else within
    lookback = period.with_lookback()
    wider = within if lookback == period else matching.within(lookback)
    # Two sections share the sorted activity. The optimizer does not detect that, so
    # cache() makes sure that it is computed once.
    visits = _activity(within, sections).cache()
    left_out = {name: figures(reasons, name) for name in SECTIONS}
    plans: dict[str, Callable[[], pl.LazyFrame]] = {
        "traffic": lambda: _traffic(within, visits, period),
        "votes": lambda: _votes(within, period),
        "behaviour": lambda: _behaviour(within, all_time.rooms, left_out["behaviour"]),
        "reoccurring": lambda: _reoccurring(all_time, visits, period),
        "historical": lambda: _historical(wider, period, left_out["historical"]),
        "location_and_user_agent": lambda: _location(within),
    }
    return {
        name: plan() if name in SERIES else as_struct(name, plan())
        for name, plan in plans.items()
        if name in sections and name not in reasons
    }


def _activity(tables: Tables, sections: Collection[str]) -> pl.LazyFrame:
    """The `activity` that *sections* need."""
    # Only traffic needs page views; reoccurring needs estimations alone.
    views = tables.viewed if "traffic" in sections else tables.viewed.clear()
    if tables.sorted_activity is None or BY_VISITOR.isdisjoint(sections):
        return activity(views, tables.estimated)
    return tables.sorted_activity.complete(with_views="traffic" in sections)


def room_moments(tables: Tables, period: Period) -> pl.LazyFrame | None:
    """The quarters of all estimations, unless the range has a part of one."""
    whole = period.range is None or period.has_whole_quarters
    return tables.quarters.get("estimations") if whole else None


def _count(tally: pl.LazyFrame | None) -> pl.Expr:
    """How to count where *tally* is read instead of rows, if there is one."""
    return ROWS if tally is None else TALLIED


def _traffic(tables: Tables, visits: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    count = _count(tables.quarters.get("page_views"))
    return traffic(tables.moments("page_views"), visits, period, count)


def _votes(tables: Tables, period: Period) -> pl.LazyFrame:
    values = tables.estimation_tally
    return votes(
        tables.votes,
        tables.estimations if values is None else values,
        period,
        sums=tables.vote_tally,
        quarters=tables.quarters.get("votes"),
        estimation_count=_count(values),
    )


def _behaviour(
    tables: Tables, rooms: pl.LazyFrame, without: Collection[str]
) -> pl.LazyFrame:
    views, events = tables.page_view_tally, tables.event_tally
    breakdowns = behaviour(
        tables.page_views if views is None else views,
        tables.events if events is None else events,
        tables.votes,
        rooms,
        view_count=_count(views),
        event_count=_count(events),
    )
    return without_lists(breakdowns, without)


def _reoccurring(
    all_time: Tables, visits: pl.LazyFrame, period: Period
) -> pl.LazyFrame:
    rooms = room_moments(all_time, period)
    return reoccurring(visits, all_time.estimated, period, rooms)


def _historical(
    tables: Tables, period: Period, without: Collection[str]
) -> pl.LazyFrame:
    return historical(
        users=tables.moments("users"),
        page_views=tables.moments("page_views"),
        rooms=tables.moments("rooms"),
        estimations=tables.moments("estimations"),
        votes=tables.moments("votes"),
        period=period,
        without=without,
        tallied=tables.quarters.keys(),
    )


def _location(tables: Tables) -> pl.LazyFrame:
    tally = tables.user_tally
    if tally is None:
        return location(tables.users)
    return location(tally.cache(), TALLIED)  # which is grouped twice


def engine_for(rows: int, fraction: float = 1) -> pl.Engine:
    """The faster engine for a plan that reads *fraction* (0 to 1) of *rows*."""
    large = rows * fraction > STREAMING_ROWS
    return pl.StreamingEngine() if large else pl.InMemoryEngine()


ALL_OPTIMIZATIONS = pl.QueryOptFlags()
FEW_ROWS = pl.QueryOptFlags.none().update(
    predicate_pushdown=True, projection_pushdown=True, simplify_expression=True
)
"""Optimizations of plans that aggregate few rows: those that read less of a file.

The others, such as looking for equal expressions, take longer than they save.
"""


def optimizations_for(rows: int) -> pl.QueryOptFlags:
    """Those that save more than they cost for a plan over tables of *rows*.

    A range of a few days reads little, but who returned depends on all rows.
    """
    return ALL_OPTIMIZATIONS if rows > STREAMING_ROWS else FEW_ROWS


def collect(
    plan: pl.LazyFrame,
    engine: pl.Engine | None = None,
    optimizations: pl.QueryOptFlags = ALL_OPTIMIZATIONS,
) -> pl.DataFrame:
    """Run *plan*, by default in memory. No other function collects a plan."""
    return plan.collect(
        engine=engine or pl.InMemoryEngine(), optimizations=optimizations
    )


def halves(sections: Collection[str]) -> list[frozenset[str]]:
    """*sections* in groups that take about as long; one group if all are of one kind.

    The engine in memory fills one cache() after the other, and optimizes a plan on one
    thread, so a plan for each group keeps two processors busy.
    """
    wanted = frozenset(sections)
    return [half for half in (wanted & BY_VISITOR, wanted - BY_VISITOR) if half]


def collect_side_by_side(
    plans: Sequence[pl.LazyFrame], optimizations: pl.QueryOptFlags = ALL_OPTIMIZATIONS
) -> list[pl.DataFrame]:
    """Run *plans* in memory, each on a thread, at the same time."""
    collect_one = partial(collect, optimizations=optimizations)
    if len(plans) == 1:
        return [collect_one(plans[0])]
    with ThreadPoolExecutor(len(plans)) as threads:
        return list(threads.map(collect_one, plans))


def collect_as[R: BaseModel](
    model: type[R],
    plan: pl.LazyFrame,
    engine: pl.Engine | None = None,
    optimizations: pl.QueryOptFlags = ALL_OPTIMIZATIONS,
) -> R:
    """Run *plan*, by default in memory, and validate its only row as *model*."""
    return validate_row(model, collect(plan, engine, optimizations))


def validate_row[R: BaseModel](model: type[R], frame: pl.DataFrame) -> R:
    """Validate the only row of *frame* as *model*."""
    return model.model_validate(frame.row(0, named=True))
