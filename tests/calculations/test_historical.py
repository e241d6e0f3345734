"""Historical: listed days, running sums and moving averages."""

from collections import Counter
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calculations.analytics import collect_as
from calculations.historical import MOVING_AVERAGE_ROWS, day_runs, historical
from calculations.period import Period
from calculations.results import HistoricalRow, Result
from tests.support.frames import EMPTY, INSTANT, at, frame, period
from tests.support.oracle import Rows


class HistoricalSection(Result):
    """The historical section alone."""

    historical: list[HistoricalRow]


def days(when: Period | None = None, **rows: Rows) -> list[HistoricalRow]:
    """Rows of the series, computed from literal rows per table."""
    frames: dict[str, Any] = {
        name: frame(name, rows.get(name, [])) for name in EMPTY if name != "events"
    }
    plan = historical(**frames, period=when or period(), without=())
    return collect_as(HistoricalSection, plan).historical


def test_every_working_day_up_to_today_has_a_row() -> None:
    """From Monday 3 June to Monday 10 June 2024 there are six."""
    result = days(period(now=at("2024-06-10 00:00")))
    assert [day["date"].isoformat() for day in result] == [
        "2024-06-03",
        "2024-06-04",
        "2024-06-05",
        "2024-06-06",
        "2024-06-07",
        "2024-06-10",
    ]


def test_weekends_are_in_no_count_and_no_running_sum() -> None:
    """A page view on Saturday is neither in Friday's nor in Monday's row."""
    views: Rows = [
        {"viewed_at": at(moment)}
        for moment in ("2024-06-07 23:59:59", "2024-06-08 00:00", "2024-06-10 00:00")
    ]
    result = days(period(now=at("2024-06-10 12:00")), page_views=views)
    assert [(day["page_views"], day["acc_page_views"]) for day in result[-2:]] == [
        (1, 1),
        (1, 2),
    ]


def test_each_count_has_its_own_timestamp() -> None:
    """Users by creation, rooms by first use, all others by the time of the event."""
    moment = at("2024-06-04 10:00")
    result = days(
        period(now=at("2024-06-04 12:00")),
        users=[{"created_at": moment}],
        page_views=[{"viewed_at": moment}] * 2,
        rooms=[{"id": 1, "first_used_at": moment}] * 3,
        estimations=[{"estimated_at": moment}] * 4,
        votes=[{"voted_at": moment}] * 5,
    )[-1]
    assert (
        result["new_users"],
        result["page_views"],
        result["rooms"],
        result["estimations"],
        result["votes"],
    ) == (
        1,
        2,
        3,
        4,
        5,
    )


def test_the_moving_average_starts_on_the_thirtieth_listed_day() -> None:
    """One vote on the first day: 1/30 on the 30th listed day, 0 on the 31st."""
    result = days(period(), votes=[{"voted_at": at("2024-06-03 10:00")}])
    averages = [day["ma_votes"] for day in result[28:31]]
    assert averages == [None, 0.03, 0.0]


@given(st.integers(0, 10**12))
def test_a_thirtieth_is_rounded_by_polars_as_by_python(total: int) -> None:
    """No multiple of 1/30 is near a tie, so moving averages need no Rounded."""
    average = pl.select(pl.lit(total) / MOVING_AVERAGE_ROWS).to_series()
    assert average.round(2).to_list() == [round(total / MOVING_AVERAGE_ROWS, 2)]


MONDAY, TUESDAY = date(2024, 6, 3), date(2024, 6, 4)
type Days = list[date | None]


def runs(days: Days, engine: pl.Engine) -> list[tuple[date | None, int]]:
    """`day_runs` of literal days, collected by *engine*."""
    frame = pl.LazyFrame({"date": days}, schema={"date": pl.Date})
    return day_runs(frame).collect(engine=engine).rows()


ENGINES = pytest.mark.parametrize(
    "engine", [pl.InMemoryEngine(), pl.StreamingEngine()], ids=["memory", "streaming"]
)


@ENGINES
def test_a_run_ends_with_its_day(engine: pl.Engine) -> None:
    """A missing day ends a run, and so does the last row."""
    rows: Days = [MONDAY, MONDAY, None, MONDAY, TUESDAY, TUESDAY]
    assert runs(rows, engine) == [
        (MONDAY, 2),
        (None, 1),
        (MONDAY, 1),
        (TUESDAY, 2),
    ]
    assert runs([], engine) == []


@ENGINES
@given(rows=st.lists(st.sampled_from([MONDAY, TUESDAY, None]), max_size=40))
def test_the_lengths_of_runs_add_up_to_all_rows(engine: pl.Engine, rows: Days) -> None:
    """Rows may come in any order."""
    found: Counter[date | None] = Counter()
    for day, run in runs(rows, engine):
        found[day] += run
    assert found == Counter(rows)


def test_tallied_rows_stand_for_several() -> None:
    """Two quarters of Monday with 2 and 3 votes, one of Tuesday with 4."""
    quarters = pl.LazyFrame(
        {
            "voted_at": [
                at("2024-06-03 10:00"),
                at("2024-06-03 10:15"),
                at("2024-06-04 00:00"),
            ],
            "count": [2, 3, 4],
        },
        schema={"voted_at": INSTANT, "count": pl.UInt32},
    )
    frames: dict[str, Any] = {
        name: frame(name, []) for name in EMPTY if name not in ("events", "votes")
    }
    plan = historical(**frames, votes=quarters, period=period(), tallied={"votes"})
    result = collect_as(HistoricalSection, plan).historical
    assert [(day["votes"], day["acc_votes"]) for day in result[:3]] == [
        (5, 5),
        (4, 9),
        (0, 9),
    ]


def test_days_change_at_local_midnight_before_and_after_a_clock_change() -> None:
    """Berlin's midnight is 22:00 UTC on 25 October 2024 and 23:00 on the 27th."""
    moments = [
        "2024-10-24 21:59:59",
        "2024-10-24 22:00:00",
        "2024-10-27 22:59:59",
        "2024-10-27 23:00:00",
    ]
    result = days(
        period(date(2024, 10, 24), at("2024-10-29 00:00"), "Europe/Berlin"),
        page_views=[{"viewed_at": at(moment)} for moment in moments],
    )
    assert {day["date"].isoformat(): day["page_views"] for day in result} == {
        "2024-10-24": 1,
        "2024-10-25": 1,
        "2024-10-28": 1,
        "2024-10-29": 0,
    }


def test_the_last_row_is_today_in_the_zone() -> None:
    """At 22:30 UTC it is already the next day in Berlin."""
    now = at("2024-06-04 22:30")
    assert days(period(now=now))[-1]["date"] == date(2024, 6, 4)
    assert days(period(now=now, zone="Europe/Berlin"))[-1]["date"] == date(2024, 6, 5)


def test_a_start_in_the_future_lists_no_days() -> None:
    """A start tomorrow lists nothing; a start today lists one day."""
    today = period().today
    assert days(period(start=today + timedelta(days=1))) == []
    assert len(days(period(start=today))) == 1
