"""Instants as clients write them."""

from datetime import UTC, datetime

import pytest

from events.instants import microseconds, parse_instant

TEN = microseconds(datetime(2026, 11, 21, 10, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-21T10:00:00Z",
        "2026-11-21t10:00:00z",
        "2026-11-21T10:00:00",
        "2026-11-21 12:00+02:00",
        "2026-11-21T10:00:00.000000000Z",
        TEN / 1e6,
        TEN // 1_000_000,
        TEN // 1_000,
    ],
)
def test_every_spelling_is_the_same_instant(value: object) -> None:
    """Text without an offset is in UTC, wherever the server is."""
    assert parse_instant(value) == TEN


@pytest.mark.parametrize(
    ("value", "seconds"), [(99_999_999_999, 99_999_999_999), (1e11, 1e8), (0, 0)]
)
def test_large_numbers_are_milliseconds(value: float, seconds: float) -> None:
    """The limit is 10^11, the year 5138 as seconds and 1973 as milliseconds."""
    assert parse_instant(value) == seconds * 1_000_000


@pytest.mark.parametrize(
    "value",
    [
        *("", "yesterday", "2026-13-01", "2026-11-21T10:00:00".ljust(100)),
        *(True, None, [], float("inf"), float("nan"), 1e300),
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    """As a ValueError, whatever it is."""
    with pytest.raises(ValueError):
        parse_instant(value)
