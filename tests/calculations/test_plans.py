"""Plans: their schema is the response model's, they are pure, and read no more than needed."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from threading import Event
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from pydantic import BaseModel

from calculations.analytics import (
    ALL_OPTIMIZATIONS,
    FEW_ROWS,
    SECTIONS,
    STREAMING_ROWS,
    analytics,
    collect,
    collect_side_by_side,
    halves,
    optimizations_for,
)
from calculations.daily import daily
from calculations.period import DateRange, Interval, Period
from calculations.results import Analytics, Daily, RoomStats
from calculations.room_stats import of_room, room_stats
from calculations.tables import Tables
from tests.calculations.test_historical import HistoricalSection
from tests.support.frames import (
    EMPTY,
    NOW,
    START,
    at,
    frame,
    period,
    tables,
    visits_frame,
)
from tests.support.sample import SAMPLE

WEEK = Period(
    START, NOW, ZoneInfo("Europe/Berlin"), DateRange(date(2024, 7, 1), date(2024, 7, 7))
)
"""A week in Berlin, where midnight is 22:00 UTC in July."""

PLANS: dict[str, tuple[type[BaseModel], Callable[[Tables], pl.LazyFrame]]] = {
    "analytics": (Analytics, lambda empty: analytics(empty, period())),
    "a week": (Analytics, lambda empty: analytics(empty, WEEK)),
    "months": (
        Analytics,
        lambda empty: analytics(empty, replace(WEEK, interval=Interval.MONTH)),
    ),
    "weekends": (
        Analytics,
        lambda empty: analytics(empty, replace(period(), weekends=True)),
    ),
    "averages": (
        Analytics,
        lambda empty: analytics(empty, replace(WEEK, average_rows=7)),
    ),
    "a section": (
        HistoricalSection,
        lambda empty: analytics(
            empty, replace(WEEK, interval=Interval.HOUR), ["historical"]
        ),
    ),
    "a room": (RoomStats, lambda empty: room_stats(empty.votes, period())),
    "daily": (Daily, lambda empty: daily(empty.votes, empty.page_views, period())),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_response_model_is_the_plans_schema(name: str) -> None:
    """Fields and dtypes agree at every level, without any data."""
    model, plan = PLANS[name]
    assert_fields_match(model, dict(plan(tables(EMPTY)).collect_schema()))


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_holds_no_python_function(name: str) -> None:
    """Any engine can run it."""
    _, plan = PLANS[name]
    assert "python" not in plan(tables(EMPTY)).explain(optimized=False).lower()


TIMESTAMPS = {
    "viewed": "viewed_at",
    "estimated": "estimated_at",
    "estimations": "estimated_at",
    "votes": "voted_at",
    "users": "created_at",
    "events": "event_at",
    "rooms": "first_used_at",
}
"""Table -> the timestamp that a range filters."""

READS = {
    "traffic": {"viewed", "estimated"},
    "votes": {"votes", "estimations"},
    "behaviour": {"viewed", "events", "votes", "rooms"},
    "reoccurring": {"estimated"},
    "historical": {"users", "viewed", "rooms", "estimated", "votes"},
    "location_and_user_agent": {"users"},
}
"""Section -> the tables that it scans."""


@pytest.fixture
def stored(tmp_path: Path) -> Tables:
    """All tables and visits as Parquet files, as in a snapshot."""
    files = {name: frame(name, []) for name in EMPTY if name != "page_views"} | {
        "viewed": visits_frame("page_views", []),
        "estimated": visits_frame("estimations", []),
    }
    for name, rows in files.items():
        rows.sink_parquet(tmp_path / f"{name}.parquet")
    scanned: dict[str, Any] = {
        name: pl.scan_parquet(tmp_path / f"{name}.parquet") for name in files
    }
    return Tables(**scanned)


type EngineName = Literal["in-memory", "streaming"]


def scans(
    plan: pl.LazyFrame, engine: EngineName = "in-memory"
) -> list[tuple[str, str]]:
    """Table and predicate of every Parquet scan in the optimized plan."""
    optimized = plan.explain(engine=engine)
    found = re.findall(
        r"Parquet SCAN \[\S*?(\w+)\.parquet\]\n[^\n]*\n(?:\s*SELECTION: ([^\n]*))?",
        optimized,
    )
    assert len(found) == optimized.count("Parquet SCAN")
    return found


@pytest.mark.parametrize("section", READS)
def test_the_range_reaches_every_scan_of_a_section(
    stored: Tables, section: str
) -> None:
    """Only its tables are scanned, each filtered by its own timestamp.

    Two exceptions: names are looked up in all rooms, and reoccurring needs the
    estimations before the range, so that scan has only an upper bound.
    """
    found = scans(analytics(stored, WEEK, [section]))
    assert {table for table, _ in found} == READS[section]
    bounds = "is_between([2024-06-30 22:00:00 UTC, 2024-07-07 22:00:00 UTC])"
    history = 'col("estimated_at") < 2024-07-07 22:00:00 UTC'
    for table, selection in found:
        if (section, table) == ("behaviour", "rooms"):
            continue
        in_range = f'col("{TIMESTAMPS[table]}").{bounds}'
        expected = history if section == "reoccurring" else in_range
        assert expected in selection, f"{table}: {selection}"


def test_a_range_of_one_room_and_of_the_daily_figures_reaches_the_scans(
    stored: Tables,
) -> None:
    """Votes and page views outside the range are not read."""
    plans = {
        "room": room_stats(of_room(stored.votes, 1), WEEK),
        "daily": daily(stored.votes, stored.page_views, WEEK),
    }
    for name, plan in plans.items():
        for table, selection in scans(plan):
            assert f'col("{TIMESTAMPS[table]}").is_between' in selection, name


def test_without_a_range_no_scan_filters_by_timestamp(stored: Tables) -> None:
    """Rows without a timestamp count, too."""
    for table, selection in scans(analytics(stored, period())):
        assert TIMESTAMPS[table] not in selection


def assert_fields_match(model: type, columns: dict[str, Any]) -> None:
    """Assert that *columns* (name -> dtype) are the fields of *model*."""
    fields = annotations(model)
    required = getattr(model, "__required_keys__", set(fields))
    assert required <= set(columns) <= set(fields)
    for name, dtype in columns.items():
        assert_reads_as(fields[name], dtype, f"{model.__name__}.{name}")


def annotations(model: type) -> dict[str, Any]:
    """Field -> type of a model or a TypedDict."""
    if not issubclass(model, BaseModel):
        return get_type_hints(model)
    return {name: field.annotation for name, field in model.model_fields.items()}


def assert_reads_as(annotation: Any, dtype: pl.DataType, where: str) -> None:
    """Assert that a column of *dtype* can be validated as *annotation*."""
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        annotation = get_args(annotation)[0]
        assert_reads_as(annotation, dtype, where)
    elif get_origin(annotation) is dict:
        assert isinstance(dtype, pl.List), where
        inner = dtype.inner
        assert isinstance(inner, pl.Struct), where
        assert [field.name for field in inner.fields] == ["key", "count"], where
        key = inner.fields[0].dtype
        assert (key == pl.String) == (get_args(annotation)[0] is str), where
    elif get_origin(annotation) is list:
        assert isinstance(dtype, pl.List), where
        assert isinstance(dtype.inner, pl.Struct), where
        assert_fields_match(get_args(annotation)[0], dtype.inner.to_schema())
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        assert isinstance(dtype, pl.Struct), where
        assert_fields_match(annotation, dtype.to_schema())
    else:
        expected = {int: dtype.is_integer(), float: dtype.is_float()}
        expected |= {str: dtype == pl.String, date: dtype == pl.Date}
        expected |= {datetime: dtype == pl.Datetime("us", "UTC")}
        assert expected[annotation], f"{where} is {dtype}"


def test_the_plan_is_the_same_for_all_moments_of_a_day(stored: Tables) -> None:
    """It depends on the day, not on the time of day; nothing is remembered between calls."""
    morning, evening, next_day = (
        period(now=at(moment))
        for moment in ("2024-08-01 08:00", "2024-08-01 23:59", "2024-08-02 00:00")
    )
    assert morning.at_midnight() == evening.at_midnight() != next_day.at_midnight()
    plan = analytics(stored, morning)
    for other in (evening, morning.at_midnight()):
        assert _text(analytics(stored, other)) == _text(plan)
    assert _text(analytics(stored, next_day)) != _text(plan)
    assert analytics(stored, morning) is not plan


def _text(plan: pl.LazyFrame) -> str:
    """The plan as text, without the identities of its caches."""
    return re.sub(r"(CACHE\[id: )[^,\]]*", r"\1", plan.explain(optimized=False))


def test_a_plan_holds_no_rows(stored: Tables, tmp_path: Path) -> None:
    """Every collect() reads the files again."""
    plan = analytics(stored, period())
    plan.collect()
    (tmp_path / "votes.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        plan.collect()


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_everything_is_read_once(stored: Tables, engine: EngineName) -> None:
    """No matter how many sections need a table, or which of its columns."""
    found = [table for table, _ in scans(analytics(stored, period()), engine)]
    assert sorted(found) == sorted(TIMESTAMPS)


def test_large_tables_are_worth_all_optimizations() -> None:
    """However few days are asked for: who returned depends on all rows."""
    assert optimizations_for(STREAMING_ROWS) is FEW_ROWS
    assert optimizations_for(STREAMING_ROWS + 1) is ALL_OPTIMIZATIONS


@pytest.mark.parametrize("sections", [SECTIONS, ("traffic",), ("votes", "historical")])
def test_halves_have_each_section_once(sections: tuple[str, ...]) -> None:
    """None is empty, so each is a plan with columns."""
    groups = halves(sections)
    assert all(groups)
    assert sorted(name for group in groups for name in group) == sorted(sections)


@pytest.mark.parametrize("within", [period(), WEEK])
def test_halves_are_the_columns_of_the_whole(within: Period) -> None:
    """The row that they make side by side has the values of one plan."""
    own = tables(SAMPLE)
    plans = [analytics(own, within, some) for some in halves(SECTIONS)]
    rows = collect_side_by_side(plans, FEW_ROWS)
    joined = pl.concat(rows, how="horizontal").select(SECTIONS)
    assert joined.equals(collect(analytics(own, within)).select(SECTIONS))


def test_an_error_of_a_plan_is_raised_after_the_other_has_ended() -> None:
    """No thread reads on for an answer that has failed."""
    began, ended = Event(), Event()

    def slow(rows: pl.DataFrame) -> pl.DataFrame:
        began.set()
        time.sleep(0.1)
        ended.set()
        return rows

    def broken(_: pl.DataFrame) -> pl.DataFrame:
        assert began.wait(10)
        raise ValueError("broken")

    row = pl.LazyFrame({"a": [1]})
    with pytest.raises(ValueError, match="broken"):
        collect_side_by_side([row.map_batches(broken), row.map_batches(slow)])
    assert ended.is_set()
