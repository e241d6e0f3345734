"""Room statistics and the last 24 hours."""

from decimal import Decimal

from calculations.analytics import answer
from calculations.daily import daily
from calculations.results import Daily, RoomStats
from calculations.room_stats import room_stats
from tests.support.frames import NOW, at, frame, period, vote


def test_only_the_rooms_own_votes_count() -> None:
    """Two votes of room 1, one of room 2."""
    rows = [
        vote(duration=90, amount_of_estimations=3, amount_of_spectators=1),
        vote(duration=95, avg_estimation=Decimal("2.50"), min_estimation=2),
        vote(room_id=2, duration=1000),
    ]
    got = answer(RoomStats, room_stats(frame("votes", rows), 1, period()))
    assert got == RoomStats(
        votes=2,
        duration=92,
        estimations=7,
        estimations_per_vote=3.5,
        avg_min_estimation=1.5,
        avg_avg_estimation=2.75,
        avg_max_estimation=5,
        spectators=1,
        spectators_per_vote=0.5,
    )


def test_the_last_day_begins_just_after_24_hours_ago() -> None:
    """Exactly 24 hours ago is too early; a second later counts."""
    assert at("2024-08-01 15:30") == NOW
    votes = [
        vote(voted_at=at("2024-07-31 15:30:00")),
        vote(voted_at=at("2024-07-31 15:30:01"), amount_of_estimations=3),
        vote(voted_at=at("2024-08-01 15:30:00"), room_id=2),
    ]
    views = frame(
        "page_views",
        [
            {"user_id": "ada", "viewed_at": at("2024-07-31 15:30:00")},
            {"user_id": "bob", "viewed_at": at("2024-07-31 15:30:01")},
            {"user_id": "bob", "viewed_at": at("2024-08-01 09:00:00")},
        ],
    )
    got = answer(Daily, daily(frame("votes", votes), views, period()))
    assert got == Daily(votes=2, estimations=7, rooms=2, unique_users=1, page_views=2)
