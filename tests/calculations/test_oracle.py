"""Every statistic equals its by-hand definition, on random tables, zones and days."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings

from calculations.analytics import analytics, answer
from calculations.daily import daily
from calculations.period import Period
from calculations.results import Analytics, Daily, RoomStats
from calculations.room_stats import room_stats
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
@settings(max_examples=60, deadline=None)
@given(database=databases, start=starts, now=nows, zone=zones)
def test_the_whole_answer_equals_the_definitions(
    engine: pl.Engine, database: Database, start: date, now: datetime, zone: str
) -> None:
    """All sections, keys in order, exactly: no tolerance, whatever the engine."""
    when = Period(start, now, ZoneInfo(zone))
    got = answer(Analytics, analytics(tables(database), when), engine).model_dump()
    expected = Oracle(database, start, now, ZoneInfo(zone)).answer()
    assert got == expected
    assert _orders(got) == _orders(expected)


@settings(max_examples=50, deadline=None)
@given(database=databases, now=nows)
def test_rooms_and_the_last_day_equal_the_definitions(
    database: Database, now: datetime
) -> None:
    """Room statistics of each room, one without votes too, and the daily figures."""
    when, oracle = period(now=now), Oracle(database, START, now, ZoneInfo("UTC"))
    given_tables = tables(database)
    for room in (1, 2, 3, 4, 99):
        got = answer(RoomStats, room_stats(given_tables.votes, room, when))
        assert got.model_dump() == oracle.room(room)
    plan = daily(given_tables.votes, given_tables.page_views, when)
    assert answer(Daily, plan).model_dump() == oracle.daily()


@pytest.mark.parametrize("engine", ENGINES)
def test_both_engines_give_the_same_answer_on_empty_tables(engine: pl.Engine) -> None:
    """Zeros, empty objects and listed days, never null or an error."""
    got = answer(Analytics, analytics(tables(EMPTY), period()), engine).model_dump()
    assert got == Oracle(EMPTY, START, NOW, ZoneInfo("UTC")).answer()
    assert got["behaviour"]["sources"] == {"Other": 0}
    assert got["traffic"]["average_duration"] == 0


def test_an_empty_room_and_an_empty_day_are_zeros() -> None:
    """No votes and no page views at all."""
    empty = tables(EMPTY)
    room = answer(RoomStats, room_stats(empty.votes, 1, period())).model_dump()
    day = answer(Daily, daily(empty.votes, empty.page_views, period())).model_dump()
    assert set(room.values()) | set(day.values()) == {0}


def _orders(answer: object) -> list[list[str]]:
    """The keys of every object within, in order."""
    if isinstance(answer, dict):
        inner = [keys for value in answer.values() for keys in _orders(value)]
        plain = [str(key) for key in answer if not isinstance(key, str)]
        return [plain or _names(answer), *inner]
    if isinstance(answer, list):
        return [keys for value in answer for keys in _orders(value)]
    return []


def _names(answer: dict[str, object]) -> list[str]:
    """Keys of a count_by in order; those of a model have no order that matters."""
    count_by = all(isinstance(value, int) for value in answer.values())
    return list(answer) if count_by and "date" not in answer else sorted(answer)
