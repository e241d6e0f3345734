"""Breakdowns: the same rows as in the sections, without a limit."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from calculations.analytics import collect
from calculations.breakdown import Dimension, breakdown
from tests.support.effort import examples
from tests.support.frames import EMPTY, period, tables
from tests.support.oracle import Rows
from tests.support.strategies import Scenario, scenarios_with_range

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
"""Dimension -> section and field of the whole answer that shows it."""


@pytest.mark.parametrize("engine", [pl.InMemoryEngine(), pl.StreamingEngine()])
@settings(max_examples=examples(8, 125), deadline=None)
@given(scenario=scenarios_with_range)
def test_each_breakdown_equals_the_definitions(
    engine: pl.Engine, scenario: Scenario
) -> None:
    """Drawn tables have fewer than 40 groups, so the sections show all of them."""
    expected = scenario.oracle(scenario.days).answer()
    for dimension, (section, field) in PLACES.items():
        plan = breakdown(tables(scenario.database), dimension, scenario.period)
        result = collect(plan, engine).rows(named=True)
        assert result == _as_rows(dimension, expected[section][field]), dimension


def _as_rows(dimension: Dimension, field: Any) -> Rows:
    if isinstance(field, list):
        return field
    return [{dimension.value: key, "count": count} for key, count in field.items()]


def test_a_breakdown_is_not_limited_to_forty_groups() -> None:
    """Of 100 countries, regions and cities, all are listed."""
    users: Rows = [
        {"country": f"C{n:03}", "region": f"r{n}", "city": f"c{n}"} for n in range(100)
    ]
    all_tables = tables(EMPTY | {"users": users})
    for dimension in (Dimension.COUNTRY, Dimension.REGION, Dimension.CITY):
        assert collect(breakdown(all_tables, dimension, period())).height == 100


@pytest.mark.parametrize("dimension", Dimension)
def test_empty_tables_give_columns_and_no_rows(dimension: Dimension) -> None:
    """Except for Other, which is always present among the sources."""
    result = collect(breakdown(tables(EMPTY), dimension, period()))
    assert result.columns[-2:] == [dimension.value, "count"]
    expected: Rows = [{"source": "Other", "count": 0}]
    assert result.rows(named=True) == (expected if dimension == "source" else [])
