"""Reoccurring: users and rooms that return, and those that lapse."""

from datetime import date

from calculations.activity import activity
from calculations.analytics import collect_as
from calculations.period import Period
from calculations.reoccurring import reoccurring
from calculations.results import ReoccurringRow, Result
from tests.support.frames import at, period, visits_frame
from tests.support.oracle import Rows


class ReoccurringSection(Result):
    """The reoccurring section alone."""

    reoccurring: list[ReoccurringRow]


def returns(estimations: Rows, when: Period | None = None) -> dict[str, ReoccurringRow]:
    """Date -> row of the series, computed from literal estimations."""
    rows = visits_frame("estimations", estimations)
    visits = activity(visits_frame("page_views", []), rows)
    plan = reoccurring(visits, rows, when or period())
    series = collect_as(ReoccurringSection, plan).reoccurring
    return {day["date"].isoformat(): day for day in series}


def estimated(user: str, room: int | None, *days: str) -> Rows:
    """One estimation at 10:00 on each of *days*."""
    return [
        {"user_id": user, "room_id": room, "estimated_at": at(f"{day} 10:00")}
        for day in days
    ]


def test_a_user_returns_on_their_second_listed_day() -> None:
    """Two estimations on one day are not a return."""
    result = returns(estimated("ada", 1, "2024-06-03", "2024-06-03", "2024-06-04"))
    assert result["2024-06-03"]["reoccurring_users"] == 0
    assert result["2024-06-04"]["reoccurring_users"] == 1


def test_a_weekend_day_is_not_a_return() -> None:
    """Of Friday and Saturday, only Friday is a listed day."""
    result = returns(estimated("ada", 1, "2024-06-07", "2024-06-08"))
    assert result["2024-06-10"]["reoccurring_users"] == 0


def test_days_before_the_start_do_not_count() -> None:
    """A user seen on the Friday before START_DATE and on it counts as seen once."""
    result = returns(estimated("ada", 1, "2024-05-31", "2024-06-03"))
    assert result["2024-06-03"]["reoccurring_users"] == 0


def test_users_and_rooms_are_counted_separately() -> None:
    """Two users on two days in one room: only the room returned."""
    rows = estimated("ada", 1, "2024-06-03") + estimated("bob", 1, "2024-06-04")
    day = returns(rows)["2024-06-04"]
    assert (day["reoccurring_users"], day["reoccurring_rooms"]) == (0, 1)


def test_a_user_absent_for_over_thirty_days_is_no_longer_adjusted() -> None:
    """Last seen on Tuesday 4 June: the 30th day is Thursday 4 July."""
    result = returns(estimated("ada", 1, "2024-06-03", "2024-06-04"))
    assert result["2024-07-04"]["adjusted_reoccurring_users"] == 1
    assert result["2024-07-05"]["adjusted_reoccurring_users"] == 0
    assert result["2024-07-05"]["reoccurring_users"] == 1


def test_a_lapse_on_a_weekend_shows_on_monday() -> None:
    """Last seen on Thursday 6 June: the 31st day is Sunday 7 July."""
    result = returns(estimated("ada", 1, "2024-06-03", "2024-06-06"))
    assert result["2024-07-05"]["adjusted_reoccurring_rooms"] == 1
    assert result["2024-07-08"]["adjusted_reoccurring_rooms"] == 0


def test_a_user_who_returns_after_a_lapse_is_adjusted_again() -> None:
    """The user stays reoccurring throughout, and is active twice."""
    days = ("2024-06-03", "2024-06-04", "2024-07-30")
    result = returns(estimated("ada", 1, *days))
    adjusted = [
        result[day]["adjusted_reoccurring_users"]
        for day in ("2024-06-04", "2024-07-29", "2024-07-30")
    ]
    assert adjusted == [1, 0, 1]
    assert result["2024-07-30"]["reoccurring_users"] == 1


def test_estimations_without_a_room_count_for_no_room() -> None:
    """A null room does not return."""
    result = returns(estimated("ada", None, "2024-06-03", "2024-06-04"))
    assert result["2024-06-04"]["reoccurring_rooms"] == 0


def test_a_start_in_the_future_lists_no_days() -> None:
    """The series is empty; no error is raised."""
    rows = estimated("ada", 1, "2024-06-03", "2024-06-04")
    assert returns(rows, period(start=date(2030, 1, 1))) == {}
