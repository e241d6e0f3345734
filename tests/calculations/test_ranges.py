"""With a range, every statistic equals the reference implementation."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations.analytics import SECTIONS, analytics, collect_as, validate_row
from calculations.comparison import collect_both, collect_figures, percent_changes
from calculations.daily import daily
from calculations.period import DateRange
from calculations.results import Analytics, Daily, RoomStats
from calculations.room_stats import of_room, room_stats
from tests.support import oracle
from tests.support.effort import examples
from tests.support.frames import tables
from tests.support.oracle import Row, previous_range
from tests.support.strategies import (
    Scenario,
    scenarios_with_range,
    scenarios_without_range,
)

ENGINES = [pl.InMemoryEngine(), pl.StreamingEngine()]


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=examples(20, 400), deadline=None)
@given(
    scenario=scenarios_with_range,
    sections=st.sets(st.sampled_from(SECTIONS), min_size=1),
)
def test_a_range_and_the_previous_one_equal_the_definitions(
    engine: pl.Engine, scenario: Scenario, sections: set[str]
) -> None:
    """For any days, time zone, interval, weekends and sections."""
    assert scenario.days
    period, drawn = scenario.period, tables(scenario.database)
    now = scenario.oracle(scenario.days).answer()
    before = scenario.oracle(previous_range(scenario.days)).answer()
    rows = collect_both(
        analytics(drawn, period, sections),
        analytics(drawn, period.previous(), sections),
        engine,
    )
    current, previous = (validate_row(Analytics, row) for row in rows)
    assert _sections(current) == {name: now[name] for name in sections}
    assert _sections(previous) == {name: before[name] for name in sections}
    for name in sections & {"traffic", "votes"}:
        changes = percent_changes(getattr(current, name), getattr(previous, name))
        assert changes == oracle.percent_changes(now[name], before[name])


@settings(max_examples=examples(20, 400), deadline=None)
@given(
    scenario=scenarios_with_range,
    days=st.integers(0, 40),
    minutes=st.sampled_from([0, 1, 59, 60, 540, 719, 1_439]),
)
def test_as_much_of_the_previous_range_equals_the_definitions(
    scenario: Scenario, days: int, minutes: int
) -> None:
    """It ends as many days after its first one as the data of this one, and as late."""
    assert scenario.days
    zone, first = ZoneInfo(scenario.zone), scenario.days[0]
    clock = datetime.combine(first + timedelta(days), time()) + timedelta(
        minutes=minutes
    )
    reached = clock.replace(tzinfo=zone).astimezone(UTC)
    drawn, previous = tables(scenario.database), previous_range(scenario.days)
    period = scenario.period.moved_to(DateRange(*previous), reached)
    until = None
    if reached < scenario.period.bounds[1]:
        shifted = clock - (first - previous[0])
        until = shifted.replace(tzinfo=zone).astimezone(UTC)
    expected = scenario.oracle(previous, until=until)
    result = collect_as(Analytics, analytics(drawn, period))
    assert _sections(result) == expected.answer()
    assert collect_as(
        RoomStats, room_stats(of_room(drawn.votes, 1), period)
    ).model_dump() == expected.room(1)


def _sections(analytics: Analytics) -> object:
    return analytics.model_dump(exclude_unset=True)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=examples(10, 200), deadline=None)
@given(scenario=scenarios_without_range)
def test_intervals_without_a_range_equal_the_definitions(
    engine: pl.Engine, scenario: Scenario
) -> None:
    """For any time zone, interval and weekends."""
    plan = analytics(tables(scenario.database), scenario.period)
    result = collect_as(Analytics, plan, engine)
    assert result.model_dump() == scenario.oracle(None).answer()


@settings(max_examples=examples(15, 300), deadline=None)
@given(scenario=scenarios_with_range, room=st.sampled_from([1, 2, 99]))
def test_rooms_and_sums_of_a_range_equal_the_definitions(
    scenario: Scenario, room: int
) -> None:
    """So do those of the previous range, and the change between the two."""
    assert scenario.days
    drawn, period = tables(scenario.database), scenario.period
    previous = period.previous()
    expected = scenario.oracle(scenario.days)
    expected_before = scenario.oracle(previous_range(scenario.days))
    _assert_figures(
        collect_figures(
            RoomStats,
            room_stats(of_room(drawn.votes, room), period),
            room_stats(of_room(drawn.votes, room), previous),
        ),
        expected.room(room),
        expected_before.room(room),
    )
    _assert_figures(
        collect_figures(
            Daily,
            daily(drawn.votes, drawn.page_views, period),
            daily(drawn.votes, drawn.page_views, previous, day_before=True),
        ),
        expected.daily(),
        expected_before.daily(),
    )


@settings(max_examples=examples(10, 200), deadline=None)
@given(scenario=scenarios_without_range)
def test_the_last_24_hours_and_those_before_equal_the_definitions(
    scenario: Scenario,
) -> None:
    """The comparison has no range."""
    drawn, period = tables(scenario.database), scenario.period
    plans = (
        daily(drawn.votes, drawn.page_views, period, day_before=day_before)
        for day_before in (False, True)
    )
    expected = scenario.oracle(None)
    _assert_figures(
        collect_figures(Daily, *plans),
        expected.daily(),
        expected.daily(day_before=True),
    )


def _assert_figures(figures: dict[str, Any], now: Row, before: Row) -> None:
    """Assert current figures, previous figures and the change between them."""
    previous = figures.pop("previous")
    assert figures.pop("change") == oracle.percent_changes(now, before)
    assert figures == now
    assert dict(previous) == before
