"""Room statistics: the votes of one room."""

from decimal import Decimal

from calculations.analytics import collect_as
from calculations.results import RoomStats
from calculations.room_stats import of_room, room_stats
from tests.support.frames import frame, period, vote


def test_only_the_rooms_own_votes_count() -> None:
    """Two votes of room 1 are counted, one of room 2 is not."""
    rows = [
        vote(duration=90, amount_of_estimations=3, amount_of_spectators=1),
        vote(duration=95, avg_estimation=Decimal("2.50"), min_estimation=2),
        vote(room_id=2, duration=1000),
    ]
    result = collect_as(
        RoomStats, room_stats(of_room(frame("votes", rows), 1), period())
    )
    assert result == RoomStats(
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
