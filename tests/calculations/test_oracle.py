"""Every statistic equals the reference implementation, on random tables and zones."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings

from calculations.analytics import analytics, collect_as
from calculations.daily import daily
from calculations.period import Period
from calculations.results import Analytics, Daily, RoomStats
from calculations.room_stats import of_room, room_stats
from tests.support.effort import examples
from tests.support.frames import (
    EMPTY,
    NOW,
    START,
    databases,
    nows,
    period,
    starts,
    tables,
    zones,
)
from tests.support.oracle import Database, Oracle

ENGINES = [pl.InMemoryEngine(), pl.StreamingEngine()]


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=examples(15, 300), deadline=None)
@given(database=databases, start=starts, now=nows, zone=zones)
def test_the_whole_answer_equals_the_definitions(
    engine: pl.Engine, database: Database, start: date, now: datetime, zone: str
) -> None:
    """All sections, with keys in order, without tolerance, on both engines."""
    when = Period(start, now, ZoneInfo(zone))
    plan = analytics(tables(database), when)
    result = collect_as(Analytics, plan, engine).model_dump()
    expected = Oracle(database, start, now, ZoneInfo(zone)).answer()
    assert result == expected
    assert _key_orders(result) == _key_orders(expected)


@settings(max_examples=examples(15, 250), deadline=None)
@given(database=databases, now=nows)
def test_rooms_and_the_last_day_equal_the_definitions(
    database: Database, now: datetime
) -> None:
    """Statistics of each room, also of one without votes, and the daily figures."""
    when, oracle = period(now=now), Oracle(database, START, now, ZoneInfo("UTC"))
    drawn = tables(database)
    for room in (1, 2, 3, 4, 99):
        result = collect_as(RoomStats, room_stats(of_room(drawn.votes, room), when))
        assert result.model_dump() == oracle.room(room)
    plan = daily(drawn.votes, drawn.page_views, when)
    assert collect_as(Daily, plan).model_dump() == oracle.daily()


@pytest.mark.parametrize("engine", ENGINES)
def test_both_engines_give_the_same_answer_on_empty_tables(engine: pl.Engine) -> None:
    """Zeros, empty objects and listed days, never null or an error."""
    plan = analytics(tables(EMPTY), period())
    result = collect_as(Analytics, plan, engine).model_dump()
    assert result == Oracle(EMPTY, START, NOW, ZoneInfo("UTC")).answer()
    assert result["behaviour"]["sources"] == {"Other": 0}
    assert result["traffic"]["average_duration"] == 0


def test_a_room_and_a_day_without_rows_are_zeros() -> None:
    """There are no votes and no page views."""
    empty = tables(EMPTY)
    room = collect_as(RoomStats, room_stats(empty.votes, period())).model_dump()
    day = collect_as(Daily, daily(empty.votes, empty.page_views, period())).model_dump()
    assert set(room.values()) | set(day.values()) == {0}


def _key_orders(result: object) -> list[list[str]]:
    """The keys of every nested object, in order."""
    if isinstance(result, dict):
        inner = [keys for value in result.values() for keys in _key_orders(value)]
        numbers = [str(key) for key in result if not isinstance(key, str)]
        return [numbers or _names(result), *inner]
    if isinstance(result, list):
        return [keys for value in result for keys in _key_orders(value)]
    return []


def _names(result: dict[str, object]) -> list[str]:
    """Keys of a breakdown in order; the order of a model's fields does not matter."""
    counts = all(isinstance(value, int) for value in result.values())
    return list(result) if counts and "date" not in result else sorted(result)
