"""Retention: weekly cohorts by first estimation, and who returns in which week."""

from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from calculations.analytics import collect
from calculations.period import DateRange, Period
from calculations.retention import CohortOf, retention
from routers.routes.retention import cohorts
from tests.support.frames import at, period, visits_frame
from tests.support.oracle import Rows

MONDAY = date(2024, 6, 3)
ONE_WEEK = timedelta(weeks=1)


def estimated(user: str | None, room: int | None, *days: str) -> Rows:
    """One estimation at 10:00 on each of *days*."""
    return [
        {"user_id": user, "room_id": room, "estimated_at": at(f"{day} 10:00")}
        for day in days
    ]


def grid(
    rows: Rows, when: Period | None = None, of: CohortOf = CohortOf.USERS
) -> dict[str, tuple[int, list[int]]]:
    """Monday -> size and returned of each cohort that is not empty."""
    when = when or period()
    plan = retention(visits_frame("estimations", rows), when, of)
    found = collect(plan).row(0, named=True)["cohorts"]
    return {
        str(each.week): (each.size, each.returned)
        for each in cohorts(found, when)
        if each.size
    }


def test_users_belong_to_the_week_of_their_first_estimation() -> None:
    """Ada returns a week and three weeks later, Bob never."""
    rows = estimated("ada", 1, "2024-06-03", "2024-06-09", "2024-06-10", "2024-06-24")
    rows += estimated("bob", 1, "2024-06-05")
    size, returned = grid(rows)["2024-06-03"]
    assert size == 2
    assert returned[:4] == [1, 0, 1, 0]


def test_a_week_begins_on_monday() -> None:
    """Sunday and the Monday after are two weeks, though a day apart."""
    rows = estimated("ada", 1, "2024-06-09", "2024-06-10")
    assert grid(rows)["2024-06-03"][1][0] == 1


def test_weeks_begin_in_the_zone_of_the_query() -> None:
    """Sunday 23:00 UTC is Monday in Berlin."""
    rows = [{"user_id": "ada", "room_id": 1, "estimated_at": at("2024-06-09 23:00")}]
    assert list(grid(rows)) == ["2024-06-03"]
    assert list(grid(rows, period(zone="Europe/Berlin"))) == ["2024-06-10"]


def test_the_first_estimation_is_that_of_the_whole_history() -> None:
    """A user from before the range is in none of its cohorts."""
    rows = estimated("ada", 1, "2024-06-03", "2024-06-18")
    rows += estimated("bob", 1, "2024-06-18", "2024-06-25")
    june = replace(period(), range=DateRange(date(2024, 6, 17), date(2024, 6, 30)))
    assert [size for size, _ in grid(rows, june).values()] == [1]


def test_only_weeks_that_begin_in_the_range_are_listed() -> None:
    """From a Tuesday on, the first cohort is that of the next Monday."""
    rows = estimated("ada", 1, "2024-06-05") + estimated("bob", 1, "2024-06-12")
    tuesday = replace(period(), range=DateRange(date(2024, 6, 4), date(2024, 6, 30)))
    assert list(grid(rows, tuesday)) == ["2024-06-10"]


def test_the_present_week_is_the_last_entry() -> None:
    """It is 1 August 2024, a Thursday: its week is the eighth after 3 June."""
    returned = grid(estimated("ada", 1, "2024-06-03", "2024-07-30"))["2024-06-03"][1]
    assert returned == [0] * 7 + [1]


def test_rooms_return_as_users_do() -> None:
    """Two users in one room are one room."""
    rows = estimated("ada", 7, "2024-06-03") + estimated("bob", 7, "2024-06-11")
    size, returned = grid(rows, of=CohortOf.ROOMS)["2024-06-03"]
    assert (size, returned[0]) == (1, 1)


def test_without_estimations_every_cohort_is_empty() -> None:
    """Also without users: they are not one user."""
    assert grid([]) == {}
    assert grid(estimated(None, 1, "2024-06-03")) == {}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ada", "bob", "cyd", None]), st.integers(0, 59 * 24 * 60)
        ),
        max_size=30,
    )
)
def test_the_grid_equals_a_count_by_hand(moments: list[tuple[str | None, int]]) -> None:
    """Property: any users at any minutes, in any order."""
    start = datetime.combine(MONDAY, datetime.min.time())
    rows: Rows = [
        {
            "user_id": user,
            "room_id": 1,
            "estimated_at": at(f"{start + timedelta(minutes=minute):%Y-%m-%d %H:%M}"),
        }
        for user, minute in moments
    ]
    weeks: dict[str, set[int]] = defaultdict(set)
    for user, minute in moments:
        if user is not None:
            weeks[user].add(minute // (7 * 24 * 60))
    expected: dict[str, tuple[int, list[int]]] = {}
    for number in range(9):
        members = [seen for seen in weeks.values() if min(seen) == number]
        if members:
            after = [
                sum(number + 1 + later in seen for seen in members)
                for later in range(8 - number)
            ]
            expected[str(MONDAY + number * ONE_WEEK)] = (len(members), after)
    assert grid(rows) == expected
