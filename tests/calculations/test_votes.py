"""Votes: sums, means, weekdays and values."""

from decimal import Decimal

from calculations.analytics import answer
from calculations.results import Votes
from calculations.votes import votes
from tests.support.frames import at, frame, period, vote
from tests.support.oracle import Rows


def figures(rows: Rows, values: list[int | None] = [], zone: str = "UTC") -> Votes:  # noqa: B006
    estimations = frame("estimations", [{"estimation": value} for value in values])
    return answer(Votes, votes(frame("votes", rows), estimations, period(zone=zone)))


def test_durations_are_minutes_and_means_have_two_decimals() -> None:
    """100 and 101 seconds are 1.675 minutes, which as a float is just above."""
    got = figures([vote(duration=100), vote(duration=101)])
    assert got.avg_duration_per_vote == round(100.5 / 60, 2) == 1.68


def test_rounding_is_pythons_at_ties() -> None:
    """107 estimations in 40 votes are 2.675, whose float lies below: 2.67, not 2.68."""
    rows = [vote(amount_of_estimations=3) for _ in range(27)]
    rows += [vote(amount_of_estimations=2) for _ in range(13)]
    got = figures(rows)
    assert (got.total_estimations, got.avg_estimations_per_vote) == (107, 2.67)


def test_sums_do_not_overflow_the_columns_width() -> None:
    """Durations and amounts are 16 bit in the source; their sums are not."""
    rows = [vote(amount_of_estimations=32767, duration=32767) for _ in range(100)]
    got = figures(rows)
    assert got.total_estimations == 3276700
    assert got.avg_duration_per_vote == round(32767 / 60, 2)


def test_decimals_are_averaged_exactly() -> None:
    """0.10 and 0.20 are 0.15."""
    rows = [vote(avg_estimation=Decimal(text)) for text in ("0.10", "0.20")]
    assert figures(rows).avg_estimation == 0.15


def test_weekdays_are_named_and_start_with_monday() -> None:
    """Only days that occur are listed, however often."""
    days = ("2024-06-09", "2024-06-05", "2024-06-03", "2024-06-10")
    rows = [vote(voted_at=at(f"{day} 12:00")) for day in days]
    assert list(figures(rows).weekday_counts.items()) == [
        ("Monday", 2),
        ("Wednesday", 1),
        ("Sunday", 1),
    ]


def test_weekdays_change_at_midnight_of_the_zone() -> None:
    """21:59:59 UTC is still Sunday in Berlin in summer, 22:00 is Monday."""
    rows = [
        vote(voted_at=at("2024-06-09 21:59:59")),
        vote(voted_at=at("2024-06-09 22:00:00")),
    ]
    got = figures(rows, zone="Europe/Berlin").weekday_counts
    assert got == {"Monday": 1, "Sunday": 1}
    assert figures(rows).weekday_counts == {"Sunday": 2}


def test_estimations_are_counted_per_value_without_spectators() -> None:
    """Values ascend as numbers: 8 before 13."""
    got = figures([], [13, 8, None, 13, 0]).estimation_counts
    assert list(got.items()) == [(0, 1), (8, 1), (13, 2)]
