"""Reoccurring: who came back, and who has lapsed."""

from datetime import date

from calculations.activity import activity
from calculations.analytics import answer
from calculations.period import Period
from calculations.reoccurring import reoccurring
from calculations.results import ReoccurringRow, Result
from tests.support.frames import at, period, seen
from tests.support.oracle import Rows


class Returns(Result):
    reoccurring: list[ReoccurringRow]


def returns(estimations: Rows, when: Period | None = None) -> dict[str, ReoccurringRow]:
    rows = seen("estimations", estimations)
    visits = activity(seen("page_views", []), rows)
    found = answer(Returns, reoccurring(visits, rows, when or period())).reoccurring
    return {day["date"].isoformat(): day for day in found}


def estimated(user: str, room: int | None, *days: str) -> Rows:
    return [
        {"user_id": user, "room_id": room, "estimated_at": at(f"{day} 10:00")}
        for day in days
    ]


def test_a_user_returns_on_their_second_listed_day() -> None:
    """Twice on one day is no return."""
    got = returns(estimated("ada", 1, "2024-06-03", "2024-06-03", "2024-06-04"))
    assert got["2024-06-03"]["reoccurring_users"] == 0
    assert got["2024-06-04"]["reoccurring_users"] == 1


def test_weekends_are_no_return() -> None:
    """Friday and Saturday are one listed day."""
    got = returns(estimated("ada", 1, "2024-06-07", "2024-06-08"))
    assert got["2024-06-10"]["reoccurring_users"] == 0


def test_days_before_the_start_do_not_count() -> None:
    """Seen the Friday before START_DATE and on it: once."""
    got = returns(estimated("ada", 1, "2024-05-31", "2024-06-03"))
    assert got["2024-06-03"]["reoccurring_users"] == 0


def test_users_and_rooms_are_counted_apart() -> None:
    """Two users on two days in one room: only the room came back."""
    rows = estimated("ada", 1, "2024-06-03") + estimated("bob", 1, "2024-06-04")
    day = returns(rows)["2024-06-04"]
    assert (day["reoccurring_users"], day["reoccurring_rooms"]) == (0, 1)


def test_who_was_not_seen_for_over_thirty_days_is_no_longer_adjusted() -> None:
    """Last seen on Tuesday 4 June: the 30th day is Thursday 4 July."""
    got = returns(estimated("ada", 1, "2024-06-03", "2024-06-04"))
    assert got["2024-07-04"]["adjusted_reoccurring_users"] == 1
    assert got["2024-07-05"]["adjusted_reoccurring_users"] == 0
    assert got["2024-07-05"]["reoccurring_users"] == 1


def test_a_lapse_that_ends_on_a_weekend_shows_on_monday() -> None:
    """Last seen on Thursday 6 June: the 31st day is Sunday 7 July."""
    got = returns(estimated("ada", 1, "2024-06-03", "2024-06-06"))
    assert got["2024-07-05"]["adjusted_reoccurring_rooms"] == 1
    assert got["2024-07-08"]["adjusted_reoccurring_rooms"] == 0


def test_who_returns_after_a_lapse_is_adjusted_again() -> None:
    """Known all the time, active twice."""
    days = ("2024-06-03", "2024-06-04", "2024-07-30")
    got = returns(estimated("ada", 1, *days))
    adjusted = [
        got[day]["adjusted_reoccurring_users"]
        for day in ("2024-06-04", "2024-07-29", "2024-07-30")
    ]
    assert adjusted == [1, 0, 1]
    assert got["2024-07-30"]["reoccurring_users"] == 1


def test_estimations_without_a_room_are_no_room() -> None:
    """A missing room does not come back."""
    got = returns(estimated("ada", None, "2024-06-03", "2024-06-04"))
    assert got["2024-06-04"]["reoccurring_rooms"] == 0


def test_a_start_in_the_future_lists_no_days() -> None:
    """And raises no error."""
    rows = estimated("ada", 1, "2024-06-03", "2024-06-04")
    assert returns(rows, period(start=date(2030, 1, 1))) == {}
