"""Rows of hours, and averages that reach back before the range, by definition."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from calculations.analytics import analytics, collect_as
from calculations.period import DateRange, Interval, Period
from calculations.results import HistoricalRow
from tests.calculations.test_historical import HistoricalSection
from tests.support.effort import examples
from tests.support.frames import EMPTY, START, at, tables
from tests.support.oracle import Oracle
from tests.support.strategies import Scenario, scenarios_with_range

ENGINES = [pl.InMemoryEngine(), pl.StreamingEngine()]
QUARTER = timedelta(minutes=15)


def series(
    scenario: Scenario, period: Period, engine: pl.Engine
) -> list[HistoricalRow]:
    """The rows of the series historical."""
    plan = analytics(tables(scenario.database), period, ["historical"])
    return collect_as(HistoricalSection, plan, engine).historical


def label(moment: datetime, zone: ZoneInfo) -> str:
    """The hour of an instant by the clock, with the offset at that instant."""
    return (
        moment.astimezone(zone).replace(minute=0, second=0, microsecond=0).isoformat()
    )


def hours(oracle: Oracle, first: date, last: date, zone: ZoneInfo) -> list[str]:
    """Every hour of the listed days until now, found by looking every 15 minutes."""
    moment = datetime.combine(first, time(), zone).astimezone(UTC)
    ends = datetime.combine(last + timedelta(days=1), time(), zone).astimezone(UTC)
    found: dict[str, None] = {}
    while moment < ends and moment <= oracle.now:
        if oracle.is_listed(oracle.day(moment)):
            found[label(moment, zone)] = None
        moment += QUARTER
    return list(found)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=examples(15, 300), deadline=None)
@given(scenario=scenarios_with_range)
def test_hours_equal_the_definition(engine: pl.Engine, scenario: Scenario) -> None:
    """On days on which the clock changes, in any zone."""
    assert scenario.days
    first = scenario.days[0]
    last = min(scenario.days[1], first + timedelta(days=6))
    zone = ZoneInfo(scenario.zone)
    oracle = scenario.oracle((first, last))
    period = replace(
        scenario.period, range=DateRange(first, last), interval=Interval.HOUR
    )
    rows = series(scenario, period, engine)
    assert [row["hour"] for row in rows] == hours(oracle, first, last, zone)
    votes = Counter(label(vote["voted_at"], zone) for vote in oracle.votes)
    views = Counter(label(view["viewed_at"], zone) for view in oracle.page_views)
    total = 0
    for row in rows:
        total += votes[row["hour"]]
        assert row["votes"] == votes[row["hour"]]
        assert row["page_views"] == views[row["hour"]]
        assert row["acc_votes"] == total
        assert row["date"].isoformat() == row["hour"][:10]


@pytest.mark.parametrize(
    ("zone", "day", "count", "twice"),
    [
        ("Europe/Berlin", "2024-10-27", 25, "02:00:00"),
        ("Europe/Berlin", "2025-03-30", 23, None),
        ("Asia/Kathmandu", "2024-10-27", 24, None),
        ("UTC", "2024-10-27", 24, None),
    ],
)
def test_a_day_has_as_many_rows_as_hours(
    zone: str, day: str, count: int, twice: str | None
) -> None:
    """The hour that occurs twice has two rows with different offsets."""
    days = DateRange(date.fromisoformat(day), date.fromisoformat(day))
    period = Period(
        START, at("2026-01-01 00:00"), ZoneInfo(zone), days, Interval.HOUR, True
    )
    plan = analytics(tables(EMPTY), period, ["historical"])
    rows = collect_as(HistoricalSection, plan).historical
    assert len({row["hour"] for row in rows}) == len(rows) == count
    clock = Counter(row["hour"][11:19] for row in rows)
    assert [hour for hour, times in clock.items() if times > 1] == [twice] * bool(twice)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=examples(15, 300), deadline=None)
@given(scenario=scenarios_with_range, rows_of_average=st.sampled_from([1, 2, 7, 40]))
def test_averages_reach_back_to_the_start(
    engine: pl.Engine, scenario: Scenario, rows_of_average: int
) -> None:
    """As in the series without a range, whose rows are those since START_DATE."""
    assert scenario.days
    first, last = scenario.days
    period = replace(scenario.period, average_rows=rows_of_average)
    ranged = series(scenario, period, engine)
    assert [row["votes"] for row in ranged] == [
        row["votes"] for row in scenario.oracle(scenario.days).historical()
    ]
    since = scenario.oracle((min(scenario.start, first), last))
    all_rows = since.historical()
    whole = {row["date"]: number for number, row in enumerate(all_rows)}
    for row in ranged:
        number = whole[row["date"]]
        window = [each["votes"] for each in all_rows[: number + 1]][-rows_of_average:]
        if len(window) < rows_of_average:
            assert row["ma_votes"] is None
        else:
            expected = sum(window) / rows_of_average
            assert row["ma_votes"] == pytest.approx(expected, abs=0.0051)


@given(scenario=scenarios_with_range)
@settings(max_examples=examples(10, 150), deadline=None)
def test_without_it_averages_begin_with_the_range(scenario: Scenario) -> None:
    """As before."""
    assert scenario.days
    assume(len(scenario.oracle(scenario.days).listed_days) < 30)
    rows = series(scenario, scenario.period, ENGINES[0])
    assert {row["ma_votes"] for row in rows} <= {None}
