"""Under a range every statistic equals its by-hand definition, at every edge."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations.analytics import SECTIONS, analytics, answer
from calculations.comparison import Compared, change, compared, single_figures
from calculations.daily import daily
from calculations.results import Analytics, Daily, RoomStats
from calculations.room_stats import room_stats
from tests.support import oracle
from tests.support.frames import tables
from tests.support.oracle import stretch_before
from tests.support.strategies import (
    Asked,
    questions_without_a_stretch,
    stretches_asked,
)

ENGINES = [pl.InMemoryEngine(), pl.StreamingEngine()]


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=80, deadline=None)
@given(asked=stretches_asked, sections=st.sets(st.sampled_from(SECTIONS), min_size=1))
def test_a_stretch_and_the_one_before_equal_the_definitions(
    engine: pl.Engine, asked: Asked, sections: set[str]
) -> None:
    """Whatever days, clock, interval, weekends and sections are asked for."""
    assert asked.stretch
    period, frames = asked.period, tables(asked.database)
    now = asked.oracle(asked.stretch).answer()
    before = asked.oracle(stretch_before(asked.stretch)).answer()
    got = answer(
        Compared[Analytics],
        compared(
            analytics(frames, period, sections),
            analytics(frames, period.before(), sections),
        ),
        engine,
    )
    assert _told(got.now) == {name: now[name] for name in sections}
    assert _told(got.before) == {name: before[name] for name in sections}
    for name in sections & {"traffic", "votes"}:
        figures = getattr(got.now, name), getattr(got.before, name)
        assert change(*figures) == oracle.change(now[name], before[name])


def _told(analytics: Analytics) -> object:
    return analytics.model_dump(exclude_unset=True)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=40, deadline=None)
@given(asked=questions_without_a_stretch)
def test_everything_in_intervals_equals_the_definitions(
    engine: pl.Engine, asked: Asked
) -> None:
    """Zone, interval and weekends without a range."""
    got = answer(Analytics, analytics(tables(asked.database), asked.period), engine)
    assert got.model_dump() == asked.oracle(None).answer()


@settings(max_examples=60, deadline=None)
@given(asked=stretches_asked, room=st.sampled_from([1, 2, 99]))
def test_rooms_and_sums_of_a_stretch_equal_the_definitions(
    asked: Asked, room: int
) -> None:
    """And of the one before, and the change between the two."""
    assert asked.stretch
    frames, period, before = tables(asked.database), asked.period, asked.period.before()
    right = asked.oracle(asked.stretch)
    earlier = asked.oracle(stretch_before(asked.stretch))
    _equal(
        single_figures(
            RoomStats,
            room_stats(frames.votes, room, period),
            room_stats(frames.votes, room, before),
        ),
        right.room(room),
        earlier.room(room),
    )
    _equal(
        single_figures(
            Daily,
            daily(frames.votes, frames.page_views, period),
            daily(frames.votes, frames.page_views, before, day_before=True),
        ),
        right.daily(),
        earlier.daily(),
    )


@settings(max_examples=40, deadline=None)
@given(asked=questions_without_a_stretch)
def test_the_last_24_hours_and_those_before_equal_the_definitions(asked: Asked) -> None:
    """Compared without a range."""
    frames, period = tables(asked.database), asked.period
    plans = (
        daily(frames.votes, frames.page_views, period, day_before=day_before)
        for day_before in (False, True)
    )
    right = asked.oracle(None)
    _equal(single_figures(Daily, *plans), right.daily(), right.daily(day_before=True))


def _equal(got: dict[str, object], now: object, before: object) -> None:
    assert isinstance(now, dict) and isinstance(before, dict)
    previous = got.pop("previous")
    assert got.pop("change") == oracle.change(now, before)
    assert got == now
    assert dict(previous) == before  # type: ignore[call-overload]
