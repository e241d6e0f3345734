"""Traffic: visitors, bounce rate and sessions at their boundaries."""

from datetime import date, timedelta

import pytest

from calculations.activity import activity
from calculations.analytics import answer
from calculations.period import Period
from calculations.results import Traffic
from calculations.traffic import traffic
from tests.support import frames
from tests.support.frames import at, period
from tests.support.oracle import Rows


def figures(views: Rows, estimations: Rows, when: Period | None = None) -> Traffic:
    viewed = frames.seen("page_views", views)
    visits = activity(viewed, frames.seen("estimations", estimations))
    return answer(Traffic, traffic(viewed, visits, when or period()))


def seen(user: str, *moments: str) -> Rows:
    return [{"user_id": user, "viewed_at": at(moment)} for moment in moments]


def estimated(user: str, *moments: str) -> Rows:
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
    """A pause of exactly ten minutes still belongs to the session."""
    moment = at("2024-06-04 09:00")
    views: Rows = [{"user_id": "ada", "viewed_at": moment}]
    for gap in gaps:
        moment += timedelta(seconds=gap)
        views.append({"user_id": "ada", "viewed_at": moment})
    expected = round(sum(lengths) / len(lengths) / 60, 2)
    assert figures(views, []).average_duration == expected


def test_page_views_and_estimations_make_one_session() -> None:
    """A visit of 09:00 to 09:08 with an estimation between, in any row order."""
    views = seen("ada", "2024-06-04 09:08", "2024-06-04 09:00")
    got = figures(views, estimated("ada", "2024-06-04 09:04"))
    assert got.average_duration == round((480 + 10) / 60, 2)


def test_sessions_of_two_users_never_run_together() -> None:
    """Two users at the same minute have one session each."""
    views = seen("ada", "2024-06-04 09:00") + seen("bob", "2024-06-04 09:01")
    assert figures(views, []).average_duration == round(10 / 60, 2)


def test_a_fraction_of_a_second_over_ten_minutes_opens_a_session() -> None:
    """Microseconds count where the source keeps them."""
    views = seen("ada", "2024-06-04 09:00:00", "2024-06-04 09:10:00.000001")
    assert figures(views, []).average_duration == round(10 / 60, 2)


def test_unique_users_counts_every_page_view_ever() -> None:
    """Page views from before START_DATE count, users who only estimate do not."""
    views = seen("ada", "2024-01-01 09:00") + seen("bob", "2024-06-05 09:00")
    got = figures(views, estimated("cyd", "2024-06-05 09:00"))
    assert (got.unique_users, got.page_views) == (2, 2)


def test_the_start_itself_is_not_after_the_start() -> None:
    """Midnight of START_DATE does not count, a second later does."""
    views = seen("ada", "2024-06-03 00:00:00") + seen("bob", "2024-06-03 00:00:00")
    on_time = estimated("ada", "2024-06-03 00:00:00")
    late = estimated("ada", "2024-06-03 00:00:01")
    assert figures(views, on_time).bounce_rate == 1
    assert figures(views, on_time).average_duration == 0
    assert figures(views, late).bounce_rate == 0.5


def test_the_start_is_midnight_in_the_zone() -> None:
    """In Berlin START_DATE opens at 22:00 UTC of the day before."""
    views = seen("ada", "2024-06-02 23:00")
    work = estimated("ada", "2024-06-02 22:30")
    assert figures(views, work, period(zone="Europe/Berlin")).bounce_rate == 0
    assert figures(views, work, period()).bounce_rate == 1


def test_the_bounce_rate_is_never_below_zero() -> None:
    """More users estimated than ever viewed a page."""
    work = estimated("bob", "2024-06-05 09:00") + estimated("cyd", "2024-06-05 09:00")
    assert figures(seen("ada", "2024-06-05 09:00"), work).bounce_rate == 0


def test_a_start_in_the_future_leaves_no_sessions() -> None:
    """All users bounce then, and nobody stayed."""
    got = figures(
        seen("ada", "2024-06-05 09:00"),
        estimated("ada", "2024-06-05 09:00"),
        period(start=date(2030, 1, 1)),
    )
    assert got == Traffic(
        unique_users=1, page_views=1, bounce_rate=1, average_duration=0
    )


def test_rows_without_time_or_user_do_no_harm() -> None:
    """A missing time is before START_DATE; a missing user is nobody."""
    views: Rows = [{"user_id": "ada"}, {"viewed_at": at("2024-06-05 09:00")}]
    got = figures(views, [])
    assert got == Traffic(
        unique_users=1, page_views=2, bounce_rate=1, average_duration=0
    )
