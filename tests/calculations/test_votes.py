"""Votes: sums, means, votes per weekday and estimations per value."""

from collections.abc import Sequence
from decimal import Decimal

import polars as pl
import pytest

from calculations.analytics import collect_as
from calculations.results import Votes
from calculations.votes import votes
from tests.support.frames import at, frame, period, vote
from tests.support.oracle import Rows


def figures(rows: Rows, values: Sequence[int | None] = (), zone: str = "UTC") -> Votes:
    """Votes computed from literal votes and estimated *values*."""
    estimations = frame("estimations", [{"estimation": value} for value in values])
    return collect_as(
        Votes, votes(frame("votes", rows), estimations, period(zone=zone))
    )


def test_durations_are_minutes_and_means_have_two_decimals() -> None:
    """The mean of 100 and 101 seconds is 1.675 minutes; its float is slightly larger."""
    result = figures([vote(duration=100), vote(duration=101)])
    assert result.avg_duration_per_vote == round(100.5 / 60, 2) == 1.68


def test_ties_are_rounded_as_python_rounds_them() -> None:
    """107 estimations ÷ 40 votes = 2.675, whose float is below: 2.67, not 2.68."""
    rows = [vote(amount_of_estimations=3) for _ in range(27)]
    rows += [vote(amount_of_estimations=2) for _ in range(13)]
    result = figures(rows)
    assert (result.total_estimations, result.avg_estimations_per_vote) == (107, 2.67)


def test_sums_do_not_overflow_the_columns_width() -> None:
    """Durations and amounts have 16 bits in the source; their sums need more."""
    rows = [vote(amount_of_estimations=32767, duration=32767) for _ in range(100)]
    result = figures(rows)
    assert result.total_estimations == 3276700
    assert result.avg_duration_per_vote == round(32767 / 60, 2)


@pytest.mark.parametrize(
    ("dtype", "value"), [(pl.Int64, 2**63 - 1), (pl.UInt64, 2**64 - 1)]
)
def test_sums_of_more_than_64_bits_are_exact(
    dtype: type[pl.DataType], value: int
) -> None:
    """They neither fail nor start again below zero."""
    column = pl.Series("amount_of_estimations", [value] * 3, dtype=dtype)
    rows = frame("votes", [vote()] * 3).with_columns(column)
    result = collect_as(Votes, votes(rows, frame("estimations", []), period()))
    assert result.total_estimations == 3 * value
    assert result.avg_estimations_per_vote == float(value)


def test_decimals_are_averaged_exactly() -> None:
    """The mean of 0.10 and 0.20 is 0.15."""
    rows = [vote(avg_estimation=Decimal(text)) for text in ("0.10", "0.20")]
    assert figures(rows).avg_estimation == 0.15


def test_weekdays_are_named_and_start_with_monday() -> None:
    """Weekdays without votes are omitted."""
    days = ("2024-06-09", "2024-06-05", "2024-06-03", "2024-06-10")
    rows = [vote(voted_at=at(f"{day} 12:00")) for day in days]
    assert list(figures(rows).weekday_counts.items()) == [
        ("Monday", 2),
        ("Wednesday", 1),
        ("Sunday", 1),
    ]


def test_weekdays_change_at_midnight_of_the_zone() -> None:
    """In summer 21:59:59 UTC is still Sunday in Berlin; 22:00 UTC is Monday."""
    rows = [
        vote(voted_at=at("2024-06-09 21:59:59")),
        vote(voted_at=at("2024-06-09 22:00:00")),
    ]
    result = figures(rows, zone="Europe/Berlin").weekday_counts
    assert result == {"Monday": 1, "Sunday": 1}
    assert figures(rows).weekday_counts == {"Sunday": 2}


def test_estimations_are_counted_per_value_without_spectators() -> None:
    """Values are sorted as numbers: 8 before 13."""
    result = figures([], [13, 8, None, 13, 0]).estimation_counts
    assert list(result.items()) == [(0, 1), (8, 1), (13, 2)]
