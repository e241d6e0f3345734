"""Activity: each visitor's rows together and in order of time, however they were stored."""

import polars as pl
import pytest
from hypothesis import given, settings
from polars.testing import assert_frame_equal

from calculations.activity import SortedActivity, activity
from calculations.analytics import collect
from tests.support.effort import examples
from tests.support.frames import at, databases_at, moments, visits_frame
from tests.support.oracle import Database, Row, Rows

ENGINES = (pl.InMemoryEngine(), pl.StreamingEngine())


def view(user: str | None, time: str | None) -> Row:
    """A page view."""
    return {"user_id": user, "viewed_at": time and at(f"2024-06-04 {time}")}


def estimation(user: str | None, time: str | None) -> Row:
    """An estimation."""
    return {"user_id": user, "estimated_at": time and at(f"2024-06-04 {time}")}


def sorted_activity(
    views: Rows, estimations: Rows, unsorted: Database
) -> SortedActivity:
    """The activity of these rows, stored, and *unsorted* ones."""
    stored = activity(
        visits_frame("page_views", views), visits_frame("estimations", estimations)
    )
    return SortedActivity(
        collect(stored).lazy(),
        visits_frame("page_views", unsorted["page_views"]),
        visits_frame("estimations", unsorted["estimations"]),
    )


def by_visitor(rows: pl.DataFrame) -> pl.DataFrame:
    """*rows* with visitors in ascending order, and the rows of each as they are."""
    return rows.sort("visitor", maintain_order=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_unsorted_rows_take_their_places_among_those_of_their_visitor(
    engine: pl.Engine,
) -> None:
    """Bob has no unsorted row, cyd only unsorted ones; a row without a time is of 1970."""
    found = sorted_activity(
        [view("ada", "10:00"), view("ada", "12:00"), view("bob", "09:00")],
        [estimation("ada", "11:00")],
        {
            "page_views": [view("ada", "11:30"), view(None, "11:31")],
            "estimations": [estimation("cyd", "08:00"), estimation("ada", None)],
        },
    )
    rows = collect(found.complete(), engine)
    ada, bob, cyd = pl.Series(["ada", "bob", "cyd"]).hash()
    of_ada = rows.filter(visitor=ada)
    assert of_ada["at"].dt.strftime("%H:%M").to_list() == [
        *("00:00", "10:00", "11:00", "11:30", "12:00")
    ]
    assert of_ada["estimated"].to_list() == [True, False, True, False, False]
    assert rows["visitor"].rle().struct["value"].sort().to_list() == sorted(
        [ada, bob, cyd]
    )


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=examples(30), deadline=None)
@given(stored=databases_at(moments), unsorted=databases_at(moments))
def test_sorted_and_unsorted_rows_are_all_rows(
    engine: pl.Engine, stored: Database, unsorted: Database
) -> None:
    """The rows of each visitor are the same, in the same order, and together."""
    found = sorted_activity(stored["page_views"], stored["estimations"], unsorted)
    rows = collect(found.complete(), engine)
    whole = activity(
        visits_frame("page_views", stored["page_views"] + unsorted["page_views"]),
        visits_frame("estimations", stored["estimations"] + unsorted["estimations"]),
    )
    assert_frame_equal(by_visitor(rows), collect(whole))
    assert rows["visitor"].rle().len() == rows["visitor"].n_unique()


def test_without_page_views_only_unsorted_estimations_are_added() -> None:
    """Returning visitors need no page views."""
    unsorted = {
        "page_views": [view("ada", "11:30")],
        "estimations": [estimation("bob", "08:00")],
    }
    found = sorted_activity([], [estimation("ada", "11:00")], unsorted)
    assert collect(found.complete(with_views=False))["estimated"].all()


def test_an_activity_of_all_rows_is_read_as_it_is() -> None:
    """No row is sorted again."""
    rows = pl.LazyFrame()
    assert SortedActivity(rows).complete() is rows
