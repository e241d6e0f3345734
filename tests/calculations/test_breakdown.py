"""Breakdowns: the same rows as the sections', but all of them."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from calculations.analytics import rows
from calculations.breakdown import Dimension, breakdown
from tests.support.frames import EMPTY, period, tables
from tests.support.oracle import Rows
from tests.support.strategies import Asked, stretches_asked

PLACES = {
    Dimension.ROUTE: ("behaviour", "routes"),
    Dimension.SOURCE: ("behaviour", "sources"),
    Dimension.EVENT: ("behaviour", "events"),
    Dimension.ROOM: ("behaviour", "rooms"),
    Dimension.COUNTRY: ("location_and_user_agent", "country"),
    Dimension.REGION: ("location_and_user_agent", "country_region"),
    Dimension.CITY: ("location_and_user_agent", "country_city"),
    Dimension.DEVICE: ("location_and_user_agent", "device"),
    Dimension.OS: ("location_and_user_agent", "os"),
    Dimension.BROWSER: ("location_and_user_agent", "browser"),
    Dimension.WEEKDAY: ("votes", "weekday_counts"),
    Dimension.ESTIMATION: ("votes", "estimation_counts"),
}
"""Where the whole answer shows each dimension."""


@pytest.mark.parametrize("engine", [pl.InMemoryEngine(), pl.StreamingEngine()])
@settings(max_examples=25, deadline=None)
@given(asked=stretches_asked)
def test_each_breakdown_equals_the_definitions(engine: pl.Engine, asked: Asked) -> None:
    """Drawn tables have less than 40 of anything, so the sections show all of it."""
    right = asked.oracle(asked.stretch).answer()
    for dimension, (section, field) in PLACES.items():
        plan = breakdown(tables(asked.database), dimension, asked.period)
        got = rows(plan, engine).rows(named=True)
        assert got == _as_rows(dimension, right[section][field]), dimension


def _as_rows(dimension: Dimension, shown: Any) -> Rows:
    if isinstance(shown, list):
        return shown
    return [{dimension.value: key, "count": count} for key, count in shown.items()]


def test_a_breakdown_holds_more_than_the_largest_forty() -> None:
    """Of 100 cities all are there, and none of a room, a country or a region is cut."""
    users: Rows = [
        {"country": f"C{n:03}", "region": f"r{n}", "city": f"c{n}"} for n in range(100)
    ]
    given = tables(EMPTY | {"users": users})
    for dimension in (Dimension.COUNTRY, Dimension.REGION, Dimension.CITY):
        assert rows(breakdown(given, dimension, period())).height == 100


@pytest.mark.parametrize("dimension", Dimension)
def test_empty_tables_give_a_header_and_no_rows(dimension: Dimension) -> None:
    """But for Other, which is always there among the sources."""
    got = rows(breakdown(tables(EMPTY), dimension, period()))
    assert got.columns[-2:] == [dimension.value, "count"]
    expected: Rows = [{"source": "Other", "count": 0}]
    assert got.rows(named=True) == (expected if dimension == "source" else [])
