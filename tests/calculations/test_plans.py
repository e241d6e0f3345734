"""Plans and response models agree, stay pure, and read only what is asked for."""

import re
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from pydantic import BaseModel

from calculations.analytics import SECTIONS, Tables, analytics
from calculations.daily import daily
from calculations.period import DateRange, Interval, Period
from calculations.results import Analytics, Daily, RoomStats
from calculations.room_stats import room_stats
from tests.support.frames import (
    EMPTY,
    NOW,
    START,
    at,
    frame,
    period,
    seen,
    tables,
)

WEEK = Period(
    START, NOW, ZoneInfo("Europe/Berlin"), DateRange(date(2024, 7, 1), date(2024, 7, 7))
)
"""Berlin's midnights are 22:00 UTC."""

given = tables(EMPTY)
PLANS: list[tuple[type[BaseModel], pl.LazyFrame]] = [
    (Analytics, analytics(given, period())),
    (Analytics, analytics(given, WEEK)),
    (Analytics, analytics(given, replace(WEEK, interval=Interval.MONTH))),
    (Analytics, analytics(given, replace(period(), weekends=True))),
    (RoomStats, room_stats(given.votes, 1, period())),
    (Daily, daily(given.votes, given.page_views, period())),
]


@pytest.mark.parametrize(("model", "plan"), PLANS)
def test_the_response_model_is_the_plans_schema(
    model: type[BaseModel], plan: pl.LazyFrame
) -> None:
    """Same fields, kind for kind, down to the last list, without any data."""
    fits(model, dict(plan.collect_schema()))


@pytest.mark.parametrize(("model", "plan"), PLANS)
def test_a_plan_holds_no_python_function(
    model: type[BaseModel],  # noqa: ARG001
    plan: pl.LazyFrame,
) -> None:
    """So that any engine can run it."""
    assert "python" not in plan.explain(optimized=False).lower()


CLOCKS = {
    "viewed": "viewed_at",
    "estimated": "estimated_at",
    "page_views": "viewed_at",
    "estimations": "estimated_at",
    "votes": "voted_at",
    "users": "created_at",
    "events": "event_at",
    "rooms": "first_used_at",
}

READS = {
    "traffic": {"viewed", "estimated"},
    "votes": {"votes", "estimations"},
    "behaviour": {"page_views", "events", "votes", "rooms"},
    "reoccurring": {"estimated"},
    "historical": {"users", "viewed", "rooms", "estimated", "votes"},
    "location_and_user_agent": {"users"},
}


@pytest.fixture
def stored(tmp_path: Path) -> Tables:
    """Every table as a Parquet file, and visits, as a snapshot has them."""
    files = {name: frame(name, []) for name in EMPTY} | {
        "viewed": seen("page_views", []),
        "estimated": seen("estimations", []),
    }
    for name, rows in files.items():
        rows.sink_parquet(tmp_path / f"{name}.parquet")
    return Tables(
        **{name: pl.scan_parquet(tmp_path / f"{name}.parquet") for name in files}
    )


type EngineName = Literal["in-memory", "streaming"]


def scans(
    plan: pl.LazyFrame, engine: EngineName = "in-memory"
) -> list[tuple[str, str]]:
    """Table and selection of every Parquet scan in the optimized plan."""
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
    """Only its tables are scanned, each for its own timestamp from edge to edge.

    But all rooms have names, and whoever returns was there before: that ends only.
    """
    found = scans(analytics(stored, WEEK, [section]))
    assert {table for table, _ in found} == READS[section]
    edges = "is_between([2024-06-30 22:00:00 UTC, 2024-07-07 22:00:00 UTC])"
    history = 'col("estimated_at") < 2024-07-07 22:00:00 UTC'
    for table, selection in found:
        if (section, table) == ("behaviour", "rooms"):
            continue
        cut = f'col("{CLOCKS[table]}").{edges}'
        expected = history if section == "reoccurring" else cut
        assert expected in selection, f"{table}: {selection}"


def test_a_range_of_one_room_and_of_the_daily_figures_reaches_the_scans(
    stored: Tables,
) -> None:
    """Votes and page views outside are not read."""
    plans = {
        "room": room_stats(stored.votes, 1, WEEK),
        "daily": daily(stored.votes, stored.page_views, WEEK),
    }
    for name, plan in plans.items():
        for table, selection in scans(plan):
            assert f'col("{CLOCKS[table]}").is_between' in selection, name


def test_without_a_range_no_scan_looks_at_a_timestamp(stored: Tables) -> None:
    """Everything is everything: rows without a time count, too."""
    for table, selection in scans(analytics(stored, period())):
        assert CLOCKS[table] not in selection


def fits(model: type, columns: dict[str, Any]) -> None:
    fields = annotations(model)
    assert set(columns) == set(fields)
    for name, annotation in fields.items():
        kind(annotation, columns[name], f"{model.__name__}.{name}")


def annotations(model: type) -> dict[str, Any]:
    """The fields of a model, or of a dict with declared keys."""
    if not issubclass(model, BaseModel):
        return get_type_hints(model)
    return {name: field.annotation for name, field in model.model_fields.items()}


def kind(annotation: Any, dtype: pl.DataType, where: str) -> None:
    """Assert that a column of *dtype* reads as *annotation*."""
    if hasattr(annotation, "__value__"):  # a named type
        annotation = get_args(annotation.__value__)[0]
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        annotation = get_args(annotation)[0]
        kind(annotation, dtype, where)
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
        fits(get_args(annotation)[0], dtype.inner.to_schema())
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        assert isinstance(dtype, pl.Struct), where
        fits(annotation, dtype.to_schema())
    else:
        expected = {int: dtype.is_integer(), float: dtype.is_float()}
        expected |= {str: dtype == pl.String, date: dtype == pl.Date}
        expected |= {datetime: dtype == pl.Datetime("us", "UTC")}
        assert expected[annotation], f"{where} is {dtype}"


def test_a_plan_is_kept_for_its_day(stored: Tables) -> None:
    """Whoever asks the same of the same tables later that day gets it again."""
    morning, evening, next_day = (
        period(now=at(moment))
        for moment in ("2024-08-01 08:00", "2024-08-01 23:59", "2024-08-02 00:00")
    )
    first = analytics(stored, morning)
    assert analytics(stored, evening, list(reversed(SECTIONS))) is first
    others = [
        analytics(stored, next_day),
        analytics(stored, replace(morning, zone=ZoneInfo("Europe/Berlin"))),
        analytics(stored, WEEK),
        analytics(stored, morning, ["votes"]),
        analytics(replace(stored), morning),
    ]
    assert all(other is not first for other in others)


def test_what_is_kept_is_the_question_and_not_the_answer(
    stored: Tables, tmp_path: Path
) -> None:
    """Every collect reads the files."""
    plan = analytics(stored, period())
    plan.collect()
    (tmp_path / "votes.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        analytics(stored, period()).collect()


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_everything_is_read_once(stored: Tables, engine: EngineName) -> None:
    """However many sections need a table, and whatever columns of it."""
    found = [table for table, _ in scans(analytics(stored, period()), engine)]
    assert sorted(found) == sorted(CLOCKS)
