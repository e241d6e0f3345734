"""Filters: rows of some users or rooms, by definition, and as far as the scan."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations.analytics import SECTIONS, analytics, collect_as
from calculations.applicability import (
    not_applicable,
    not_applicable_breakdown,
    not_applicable_daily,
)
from calculations.breakdown import Dimension, breakdown
from calculations.daily import daily
from calculations.filters import NO_FILTERS
from calculations.period import DateRange
from calculations.results import Analytics, Daily
from calculations.tables import Tables
from routers.tables import with_visitor
from tests.calculations.test_plans import scans
from tests.support.effort import examples
from tests.support.frames import (
    EMPTY,
    at,
    frame,
    period,
    tables,
    tallied,
    visits_frame,
    vote,
)
from tests.support.oracle import ATTRIBUTES, OF_ROOMS, Database, Term
from tests.support.strategies import (
    FILTER_VALUES,
    Scenario,
    filters_of,
    scenarios_with_range,
    scenarios_without_range,
    terms_of,
)

ENGINES = [pl.InMemoryEngine(), pl.StreamingEngine()]
OF_USERS = FILTER_VALUES.keys() - set(OF_ROOMS)

any_terms: st.SearchStrategy[list[Term]] = st.one_of(
    terms_of(OF_USERS), terms_of(OF_ROOMS), terms_of(FILTER_VALUES), st.just([])
)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=examples(20, 300), deadline=None)
@given(
    scenario=st.one_of(scenarios_with_range, scenarios_without_range),
    terms=any_terms,
    opened=st.sampled_from([tables, tallied]),
)
def test_filtered_answers_equal_the_definitions(
    engine: pl.Engine,
    scenario: Scenario,
    terms: list[Term],
    opened: Callable[[Database], Tables],
) -> None:
    """For any terms, days, time zone, interval and weekends, with tallies and without."""
    drawn, filters = opened(scenario.database), filters_of(terms)
    plan = analytics(drawn, scenario.period, SECTIONS, filters)
    result = collect_as(Analytics, plan, engine).model_dump(exclude_unset=True)
    assert result == scenario.oracle(scenario.days, terms).answer()


@settings(max_examples=examples(15, 250), deadline=None)
@given(
    scenario=st.one_of(scenarios_with_range, scenarios_without_range), terms=any_terms
)
def test_filtered_daily_figures_equal_the_definitions(
    scenario: Scenario, terms: list[Term]
) -> None:
    """Figures to which the filter does not apply are null."""
    filters = filters_of(terms)
    drawn = tables(scenario.database)
    chosen = filters.apply(drawn, scenario.period)
    plan = daily(
        chosen.votes,
        chosen.page_views,
        scenario.period,
        without=not_applicable_daily(filters, drawn),
    )
    result = collect_as(Daily, plan).model_dump()
    assert result == scenario.oracle(scenario.days, terms).daily()


PEOPLE: Database = EMPTY | {
    "users": [
        {"id": "ada", "country": "DE", "device": "mobile"},
        {"id": "bob", "country": "US", "device": "mobile"},
        {"id": "cyd", "country": None, "device": "desktop"},
    ],
    "page_views": [
        {"user_id": user, "route": route, "source": source, "viewed_at": at(moment)}
        for user, route, source, moment in (
            ("ada", "HOME", "https://www.google.com/", "2024-06-03 09:00"),
            ("ada", "ROOM", None, "2024-06-03 09:05"),
            ("bob", "HOME", "https://www.bing.com/", "2024-06-03 09:00"),
            ("cyd", "HOME", "https://www.google.com/", "2024-06-03 09:00"),
            ("gone", "HOME", None, "2024-06-03 09:00"),
            (None, "HOME", None, "2024-06-03 09:00"),
        )
    ],
}


def traffic(database: Database, *terms: Term) -> dict[str, Any]:
    """The section traffic under a filter."""
    plan = analytics(tables(database), period(), ["traffic"], filters_of(terms))
    figures = collect_as(Analytics, plan).traffic
    assert figures
    return figures.model_dump()


@pytest.mark.parametrize(
    ("terms", "users", "views"),
    [
        ([("country", False, "DE")], 1, 2),
        ([("country", True, "DE")], 3, 4),
        ([("country", False, None)], 2, 3),
        ([("country", True, None)], 2, 3),
        ([("country", False, "DE"), ("country", False, "US")], 2, 3),
        ([("country", True, "DE"), ("country", True, "US")], 2, 3),
        ([("country", False, "DE"), ("country", True, "DE")], 0, 0),
        ([("device", False, "mobile"), ("country", True, "DE")], 1, 1),
        ([("source", False, "Google Search")], 2, 2),
        ([("source", True, "Google Search")], 3, 4),
        ([("source", False, None), ("route", False, "HOME")], 1, 2),
        ([("source", False, "Google Search"), ("country", False, "DE")], 1, 1),
        ([("route", False, "NOWHERE")], 0, 0),
    ],
)
def test_a_filter_and_its_opposite_share_the_rows_between_them(
    terms: list[Term], users: int, views: int
) -> None:
    """An absent user and a page view without a user have only missing values."""
    figures = traffic(PEOPLE, *terms)
    assert (figures["unique_users"], figures["page_views"]) == (users, views)


def test_a_filter_by_route_does_not_cut_a_session() -> None:
    """The session consists of all page views of the visitor: 5 minutes and 10 seconds."""
    figures = traffic(PEOPLE, ("route", False, "ROOM"))
    assert figures["page_views"] == 1
    assert figures["average_duration"] == pytest.approx(5.17)


ROOMS: Database = EMPTY | {
    "rooms": [{"id": 1, "name": "daily"}, {"id": 2, "name": None}],
    "votes": [vote(room_id=room) for room in (1, 1, 2, 3, 3, 3)],
}


@pytest.mark.parametrize(
    ("terms", "votes"),
    [
        ([("room", False, "daily")], 2),
        ([("room", True, "daily")], 4),
        ([("room", False, None)], 4),
        ([("room_state", False, "unnamed")], 1),
        ([("room_state", False, "deleted")], 3),
        ([("room_state", True, "deleted")], 3),
        ([("room_id", False, "3"), ("room_id", False, "4294967295")], 3),
        ([("room_id", True, "3")], 3),
        ([("room_id", False, "1"), ("room", False, None)], 0),
    ],
)
def test_rooms_without_a_name_and_deleted_rooms_are_told_apart(
    terms: list[Term], votes: int
) -> None:
    """A deleted room has no name either."""
    plan = analytics(tables(ROOMS), period(), ["votes"], filters_of(terms))
    figures = collect_as(Analytics, plan).votes
    assert figures
    assert figures.total_votes == votes


def test_reasons_name_the_dimensions_that_do_not_apply() -> None:
    """For a section, a breakdown in a section, and a column of a series."""
    filters = filters_of([("country", False, "DE"), ("route", False, "HOME")])
    reasons = not_applicable(filters, tables(EMPTY), period())
    assert set(reasons) == {
        "votes",
        "behaviour.rooms",
        "historical.rooms",
        "historical.votes",
    }
    assert reasons["votes"] == "A vote has no user: country, route does not apply."
    of_rooms = not_applicable(
        filters_of([("room", False, "x")]), tables(EMPTY), period()
    )
    assert of_rooms["traffic"] == "A page view has no room: room does not apply."
    assert not_applicable(NO_FILTERS, tables(EMPTY), period()) == {}


def test_only_sections_without_meaning_leave_a_row_without_columns() -> None:
    """Instead of an error."""
    filters = filters_of([("country", False, "DE")])
    plan = analytics(tables(PEOPLE), period(), ["votes"], filters)
    assert collect_as(Analytics, plan).model_dump(exclude_unset=True) == {}


@pytest.mark.parametrize(
    ("term", "dimensions"),
    [
        (("country", False, "DE"), set(Dimension) - {"room", "weekday"}),
        (("event", False, "x"), set(Dimension) - {"room", "weekday"}),
        (("room", False, "x"), {"room", "weekday", "estimation"}),
    ],
)
def test_breakdowns_that_a_filter_applies_to(term: Term, dimensions: set[str]) -> None:
    """The others have a reason."""
    filters = filters_of([term])
    applied = {
        dimension
        for dimension in Dimension
        if not_applicable_breakdown(filters, tables(EMPTY), dimension) is None
    }
    assert applied == dimensions


def test_a_table_without_a_column_of_the_user_is_named() -> None:
    """Mirrors of other schemas may lack it; rows are not guessed."""
    lacking = replace(tables(PEOPLE), events=frame("events", []).drop("user_id"))
    by_country = filters_of([("country", False, "DE")])
    reasons = not_applicable(by_country, lacking, period())
    assert (
        reasons["behaviour.events"] == "The mirrored events have no column of the user."
    )
    assert "traffic" not in reasons
    by_event = not_applicable(filters_of([("event", False, "x")]), lacking, period())
    assert "traffic" in by_event
    assert "behaviour.events" not in by_event
    plan = analytics(lacking, period(), SECTIONS, by_country)
    assert collect_as(Analytics, plan).traffic


WEEK = replace(period(), range=DateRange(date(2024, 7, 1), date(2024, 7, 7)))


@pytest.fixture
def stored(tmp_path: Path) -> Tables:
    """All tables and visits as Parquet files, with visitors as the API adds them."""
    files = {name: frame(name, []) for name in EMPTY if name != "page_views"} | {
        "viewed": visits_frame("page_views", []),
        "estimated": visits_frame("estimations", []),
    }
    for name, rows in files.items():
        rows.sink_parquet(tmp_path / f"{name}.parquet")
    scanned = {name: pl.scan_parquet(tmp_path / f"{name}.parquet") for name in files}
    fields: dict[str, Any] = {
        name: with_visitor(rows, "id" if name == "users" else "user_id")
        for name, rows in scanned.items()
    }
    return Tables(**fields)


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_conditions_and_the_range_reach_the_scans(stored: Tables, engine: Any) -> None:
    """Page views are read by route, users by country, all by their timestamp."""
    terms: list[Term] = [("country", False, "DE"), ("route", False, "ROOM")]
    plan = analytics(stored, WEEK, ["traffic", "behaviour"], filters_of(terms))
    found = scans(plan, engine)
    assert {table for table, _ in found} == {
        *("viewed", "estimated", "events", "users")
    }
    assert any('col("route")' in selection for _, selection in found)
    for table, selection in found:
        if table == "users":
            assert 'col("country")' in selection
        else:
            assert "is_between" in selection, table


def test_patterns_are_searched_for_in_distinct_sources(stored: Tables) -> None:
    """Not in the source of each page view, which takes nine times as long."""
    filters = filters_of([("source", False, "Bing")])
    plan = analytics(stored, WEEK, ["traffic"], filters).explain()
    below = plan.split("str.contains")[-1]
    assert "UNIQUE" in below
    for _, selection in scans(analytics(stored, WEEK, ["traffic"], filters)):
        assert "str.contains" not in selection


def test_sources_are_those_of_the_tally_if_there_is_one(stored: Tables) -> None:
    """Each source would be looked for in all page views otherwise, which takes a quarter."""
    tally = pl.LazyFrame(schema={"source": pl.String, "count": pl.UInt32})
    filters = filters_of([("source", False, "Bing")])
    with_tally = replace(stored, page_view_tally=tally)
    for known, reads in ((stored, 3), (with_tally, 2)):
        found = scans(analytics(known, WEEK, ["traffic"], filters))
        assert [table for table, _ in found].count("viewed") == reads


def test_each_filter_selects_among_the_users_of_the_one_before(stored: Tables) -> None:
    """So a table is joined once, however many filters there are."""
    terms: list[Term] = [
        ("country", False, "DE"),
        ("route", False, "ROOM"),
        ("event", False, "LEFT_ROOM"),
    ]
    for number in (1, 2, 3):
        plan = filters_of(terms[:number]).apply(stored, WEEK).estimated.explain()
        joined = plan.partition("RIGHT PLAN ON")[0]
        assert "estimated.parquet" in joined
        assert joined.count("SEMI JOIN:") == 1


def test_page_views_are_read_once_for_all_sections(stored: Tables) -> None:
    """Sessions, breakdowns and series share them, unless a range limits what is read."""
    plan = analytics(stored, period(), SECTIONS, filters_of([("country", False, "DE")]))
    assert [table for table, _ in scans(plan)].count("viewed") == 1


def test_a_room_filter_reaches_the_scan_of_votes(stored: Tables) -> None:
    """By its id; a name is looked up in all rooms."""
    plan = analytics(stored, WEEK, ["votes"], filters_of([("room_id", False, "7")]))
    for _, selection in scans(plan):
        assert 'col("room_id")' in selection
        assert "is_between" in selection
    by_name = analytics(stored, WEEK, ["votes"], filters_of([("room", False, "x")]))
    rooms = [selection for table, selection in scans(by_name) if table == "rooms"]
    assert rooms
    assert all('col("name")' in selection for selection in rooms)


def test_the_attributes_of_users_are_read_once(stored: Tables) -> None:
    """However many tables are joined with them."""
    plan = analytics(stored, WEEK, SECTIONS, filters_of([("country", False, "DE")]))
    found = [table for table, _ in scans(plan)]
    # Once for all joins, once for historical, and twice for location, as without one.
    assert found.count("users") == 4


def test_attributes_are_those_of_the_definitions() -> None:
    """The oracle knows every dimension."""
    assert {*ATTRIBUTES, *OF_ROOMS, "source", "route", "event"} == set(FILTER_VALUES)


def test_a_breakdown_is_filtered() -> None:
    """Countries of users who came by a search."""
    plan = breakdown(
        tables(PEOPLE),
        Dimension.COUNTRY,
        period(),
        filters_of([("source", False, "Google Search")]),
    )
    assert plan.collect().rows() == [("DE", 1), ("Unknown", 1)]
