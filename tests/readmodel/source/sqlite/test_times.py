"""Times of the usual form, by their digits."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readmodel.source.sqlite.times import digits_of_times, instants_from_digits
from tests.support.effort import examples

TIMES = st.datetimes().map(lambda time: time.replace(microsecond=0))


def read(texts: list[str]) -> list[datetime] | None:
    """The instants of *texts*; None if they are read in another way."""
    array = json.dumps(texts, separators=(",", ":")).encode()
    digits = digits_of_times(array)
    if digits is None:
        return None
    numbers = pl.Series([int(number) for number in digits.split(b",")])
    found = instants_from_digits(numbers)
    return None if found is None else found.to_list()


@settings(max_examples=examples(25))
@given(st.lists(TIMES, min_size=1))
def test_times_equal_those_of_pythons_calendar(times: list[datetime]) -> None:
    """In any order, also the same several times."""
    texts = [time.isoformat(" ") for time in times]
    assert read(texts) == [time.replace(tzinfo=UTC) for time in times]


DIGITS = st.integers(0, 10**14 - 1)
NEARLY = st.builds(
    "{:04}{:02}{:02}{:02}{:02}{:02}".format,
    st.integers(1, 9999),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 24),
    st.integers(0, 60),
    st.integers(0, 60),
).map(int)


@given(st.lists(DIGITS | NEARLY, min_size=1, max_size=3))
def test_digits_are_a_time_if_pythons_calendar_has_it(digits: list[int]) -> None:
    """Months of 28 to 31 days, leap years, and none that Python refuses."""
    try:
        expected = [
            datetime.strptime(f"{each:014}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            for each in digits
        ]
    except ValueError:
        expected = None
    if any(each % 100 > 59 for each in digits):
        expected = None  # strptime() takes a leap second for the one before
    found = instants_from_digits(pl.Series(digits, dtype=pl.Int64))
    times = None if found is None else found.to_list()
    assert times == expected


@pytest.mark.parametrize(
    "odd",
    [
        "2023-02-31 00:00:00", "0000-01-01 00:00:00", "2024-13-01 00:00:00", "2024-00-01 00:00:00",
        "2024-01-00 00:00:00", "2024-01-01 24:00:00", "2024-01-01 23:60:00", "2024-01-01 23:59:60",
        "2024-01-01T00:00:00", "2024-01-01 00:00:0Z", "2024:01-01 00-00:00", "2024-1-001 00:00:00",
        " 024-01-01 00:00:00", "2024-01-01 00:00", "2024-01-01 00:00:00.5", "", "2024-01-01 00:00:0\u0664",
        "-024-01-01 00:00:00", "+024-01-01 00:00:00", '2024-01-01 00:00:0"', "2024-01-01 00:00:0,",
    ],
)  # fmt: skip
def test_other_texts_are_read_in_another_way(odd: str) -> None:
    """Alone, and between usual ones."""
    usual = "2024-02-29 12:34:56"
    assert read([odd]) is None
    assert read([usual, odd, usual]) is None


@pytest.mark.parametrize(
    "array", [b"[]", b"[null]", b"[20240229123456]", b'["2024-02-29 12:34:56",null]']
)
def test_other_arrays_are_read_in_another_way(array: bytes) -> None:
    """Numbers and nulls."""
    assert digits_of_times(array) is None
