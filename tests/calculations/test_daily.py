"""Daily: the figures of the last 24 hours."""

from calculations.analytics import collect_as
from calculations.daily import daily
from calculations.results import Daily
from tests.support.frames import NOW, at, frame, period, visits_frame, vote


def test_the_last_day_begins_just_after_24_hours_ago() -> None:
    """A row exactly 24 hours old is excluded; one a second younger is included."""
    assert at("2024-08-01 15:30") == NOW
    votes = [
        vote(voted_at=at("2024-07-31 15:30:00")),
        vote(voted_at=at("2024-07-31 15:30:01"), amount_of_estimations=3),
        vote(voted_at=at("2024-08-01 15:30:00"), room_id=2),
    ]
    views = visits_frame(
        "page_views",
        [
            {"user_id": "ada", "viewed_at": at("2024-07-31 15:30:00")},
            {"user_id": "bob", "viewed_at": at("2024-07-31 15:30:01")},
            {"user_id": "bob", "viewed_at": at("2024-08-01 09:00:00")},
        ],
    )
    result = collect_as(Daily, daily(frame("votes", votes), views, period()))
    assert result == Daily(
        votes=2, estimations=7, rooms=2, unique_users=1, page_views=2
    )
