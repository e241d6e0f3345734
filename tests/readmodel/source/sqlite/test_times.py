"""Times of the usual form, by their digits."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from readmodel.source.sqlite.times import digits_of_times, instants_from_digits

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


@given(st.lists(TIMES, min_size=1))
def test_times_equal_those_of_pythons_calendar(times: list[datetime]) -> None:
    """In any order, also the same several times."""
    texts = [time.isoformat(" ") for time in times]
    assert read(texts) == [time.replace(tzinfo=UTC) for time in times]


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
