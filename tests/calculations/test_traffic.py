"""Traffic: visitors, bounce rate, and sessions at their boundaries."""

from datetime import date, timedelta

import pytest

from calculations.activity import activity
from calculations.analytics import collect_as
from calculations.period import Period
from calculations.results import Traffic
from calculations.traffic import traffic
from tests.support.frames import at, period, visits_frame
from tests.support.oracle import Rows


def figures(views: Rows, estimations: Rows, when: Period | None = None) -> Traffic:
    """Traffic computed from literal page views and estimations."""
    page_views = visits_frame("page_views", views)
    visits = activity(page_views, visits_frame("estimations", estimations))
    return collect_as(Traffic, traffic(page_views, visits, when or period()))


def viewed(user: str, *moments: str) -> Rows:
    """One page view at each of *moments*."""
    return [{"user_id": user, "viewed_at": at(moment)} for moment in moments]


def estimated(user: str, *moments: str) -> Rows:
    """One estimation at each of *moments*."""
    return [{"user_id": user, "estimated_at": at(moment)} for moment in moments]


@pytest.mark.parametrize(
    ("gaps", "lengths"),
    [
        ([], [10]),
        ([0], [10]),
        ([600], [610]),
        ([601], [10, 10]),
        ([5, 601, 7], [15, 17]),
        ([600, 600, 600], [1810]),
    ],
)
def test_a_pause_over_ten_minutes_opens_a_session(
    gaps: list[int], lengths: list[int]
) -> None:
    """A pause of exactly ten minutes continues the session."""
    moment = at("2024-06-04 09:00")
    views: Rows = [{"user_id": "ada", "viewed_at": moment}]
    for gap in gaps:
        moment += timedelta(seconds=gap)
        views.append({"user_id": "ada", "viewed_at": moment})
    expected = round(sum(lengths) / len(lengths) / 60, 2)
    assert figures(views, []).average_duration == expected


def test_page_views_and_estimations_make_one_session() -> None:
    """A visit from 09:00 to 09:08 with an estimation between; row order does not matter."""
    views = viewed("ada", "2024-06-04 09:08", "2024-06-04 09:00")
    result = figures(views, estimated("ada", "2024-06-04 09:04"))
    assert result.average_duration == round((480 + 10) / 60, 2)


def test_two_users_never_share_a_session() -> None:
    """Two users one minute apart have one session each."""
    views = viewed("ada", "2024-06-04 09:00") + viewed("bob", "2024-06-04 09:01")
    assert figures(views, []).average_duration == round(10 / 60, 2)


def test_a_fraction_of_a_second_over_ten_minutes_opens_a_session() -> None:
    """Timestamps are compared to the microsecond."""
    views = viewed("ada", "2024-06-04 09:00:00", "2024-06-04 09:10:00.000001")
    assert figures(views, []).average_duration == round(10 / 60, 2)


def test_unique_users_are_the_users_of_all_page_views() -> None:
    """Page views before START_DATE count; users who only estimate do not."""
    views = viewed("ada", "2024-01-01 09:00") + viewed("bob", "2024-06-05 09:00")
    result = figures(views, estimated("cyd", "2024-06-05 09:00"))
    assert (result.unique_users, result.page_views) == (2, 2)


def test_the_start_itself_is_not_after_the_start() -> None:
    """An estimation at midnight of START_DATE does not count; one a second later does."""
    views = viewed("ada", "2024-06-03 00:00:00") + viewed("bob", "2024-06-03 00:00:00")
    on_time = estimated("ada", "2024-06-03 00:00:00")
    late = estimated("ada", "2024-06-03 00:00:01")
    assert figures(views, on_time).bounce_rate == 1
    assert figures(views, on_time).average_duration == 0
    assert figures(views, late).bounce_rate == 0.5


def test_the_start_is_midnight_in_the_zone() -> None:
    """In Berlin START_DATE begins at 22:00 UTC of the day before."""
    views = viewed("ada", "2024-06-02 23:00")
    work = estimated("ada", "2024-06-02 22:30")
    assert figures(views, work, period(zone="Europe/Berlin")).bounce_rate == 0
    assert figures(views, work, period()).bounce_rate == 1


def test_the_bounce_rate_is_never_below_zero() -> None:
    """More users estimated than viewed a page."""
    work = estimated("bob", "2024-06-05 09:00") + estimated("cyd", "2024-06-05 09:00")
    assert figures(viewed("ada", "2024-06-05 09:00"), work).bounce_rate == 0


def test_a_start_in_the_future_leaves_no_sessions() -> None:
    """All users bounce, and the mean session length is 0."""
    result = figures(
        viewed("ada", "2024-06-05 09:00"),
        estimated("ada", "2024-06-05 09:00"),
        period(start=date(2030, 1, 1)),
    )
    assert result == Traffic(
        unique_users=1, page_views=1, bounce_rate=1, average_duration=0
    )


def test_rows_without_time_or_user_are_tolerated() -> None:
    """A missing time counts as before START_DATE; a missing user is not counted."""
    views: Rows = [{"user_id": "ada"}, {"viewed_at": at("2024-06-05 09:00")}]
    result = figures(views, [])
    assert result == Traffic(
        unique_users=1, page_views=2, bounce_rate=1, average_duration=0
    )
