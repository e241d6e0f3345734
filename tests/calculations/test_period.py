"""The period: instants in a range, listed days of a series, and intervals."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calculations.period import DateRange, Interval, Period
from tests.support.frames import INSTANT, NOW, START, at


def period_of(first: str, last: str, zone: str = "UTC", **more: object) -> Period:
    """A period with the range *first* to *last*, long in the past."""
    days = DateRange(date.fromisoformat(first), date.fromisoformat(last))
    return Period(
        START,
        at("2030-01-01"),
        ZoneInfo(zone),
        days,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("day", "zone", "begins", "ends"),
    [
        ("2024-06-05", "UTC", "2024-06-05 00:00", "2024-06-06 00:00"),
        ("2024-06-05", "Asia/Kolkata", "2024-06-04 18:30", "2024-06-05 18:30"),
        # Days of 25, 23 and 23.5 hours.
        ("2024-10-27", "Europe/Berlin", "2024-10-26 22:00", "2024-10-27 23:00"),
        ("2025-03-30", "Europe/Berlin", "2025-03-29 23:00", "2025-03-30 22:00"),
        ("2024-10-06", "Australia/Lord_Howe", "2024-10-05 13:30", "2024-10-06 13:00"),
        # There is no 00:00, and 00:00 occurs twice.
        ("2025-04-25", "Africa/Cairo", "2025-04-24 22:00", "2025-04-25 21:00"),
        ("2024-11-03", "America/Havana", "2024-11-03 04:00", "2024-11-04 05:00"),
        ("2028-02-29", "America/New_York", "2028-02-29 05:00", "2028-03-01 05:00"),
        ("2024-12-31", "Pacific/Kiritimati", "2024-12-30 10:00", "2024-12-31 10:00"),
    ],
)
def test_a_day_is_from_its_first_midnight_to_the_next(
    day: str, zone: str, begins: str, ends: str
) -> None:
    """The first microsecond of the day is included, that of the next day is not."""
    moments = [at(begins), at(begins) - TICK, at(ends), at(ends) - TICK]
    rows = pl.LazyFrame({"at": moments}, schema={"at": INSTANT})
    included = period_of(day, day, zone).filter(rows, "at").collect()["at"]
    assert included.to_list() == [at(begins), at(ends) - TICK]


TICK = timedelta(microseconds=1)


def test_rows_without_a_timestamp_are_in_no_range() -> None:
    """Without a range they are included."""
    rows = pl.LazyFrame({"at": [None]}, schema={"at": INSTANT})
    no_range = Period(START, NOW, ZoneInfo("UTC"))
    assert period_of("2024-06-03", "2024-06-09").filter(rows, "at").collect().is_empty()
    assert no_range.filter(rows, "at").collect().height == 1


@pytest.mark.parametrize(
    ("days", "previous"),
    [
        (("2024-06-10", "2024-06-10"), ("2024-06-09", "2024-06-09")),
        (("2024-06-10", "2024-06-16"), ("2024-06-03", "2024-06-09")),
        (("2028-03-01", "2028-03-31"), ("2028-01-30", "2028-02-29")),
        (("2024-06-03", "2024-06-04"), ("2024-06-01", "2024-06-02")),
    ],
)
def test_the_previous_range_has_equal_length_and_ends_the_day_before(
    days: tuple[str, str], previous: tuple[str, str]
) -> None:
    """It may begin before START_DATE."""
    period = period_of(*days).previous()
    assert period.range == tuple(map(date.fromisoformat, previous))


@pytest.mark.parametrize(
    ("first", "last", "fraction"),
    [
        ("2024-06-03", "2024-06-09", 0.7),
        ("2024-06-12", "2024-06-12", 0.1),
        ("2024-06-11", "2024-06-30", 0.2),
        ("2024-06-20", "2024-06-30", 0),
    ],
)
def test_the_fraction_is_the_share_of_days_until_today_in_the_range(
    first: str, last: str, fraction: float
) -> None:
    """Today is the tenth day from START_DATE; days after today do not count."""
    period = replace(period_of(first, last), now=at("2024-06-12 12:00"))
    assert period.fraction == fraction
    assert replace(period, range=None).fraction == 1


def test_without_a_range_there_is_no_previous_period() -> None:
    """The previous period is defined by the length of the range."""
    with pytest.raises(ValueError, match="without a range has no previous"):
        Period(START, NOW, ZoneInfo("UTC")).previous()


@pytest.mark.parametrize(
    ("first", "last", "weekends", "listed"),
    [
        ("2024-06-07", "2024-06-10", False, ["2024-06-07", "2024-06-10"]),
        ("2024-06-08", "2024-06-09", False, []),
        ("2024-06-08", "2024-06-09", True, ["2024-06-08", "2024-06-09"]),
        ("2024-06-03", "2024-06-03", False, ["2024-06-03"]),
    ],
)
def test_series_list_monday_to_friday_or_every_day(
    first: str, last: str, weekends: bool, listed: list[str]
) -> None:
    """A range of one weekend lists no day, except with *weekends*."""
    days = period_of(first, last, weekends=weekends).listed_days().collect()
    assert [day.isoformat() for day in days["date"]] == listed


@pytest.mark.parametrize(
    ("now", "listed"),
    [("2024-06-05 21:59", 2), ("2024-06-05 22:00", 3), ("2024-06-02 12:00", 0)],
)
def test_series_end_today_at_the_latest(now: str, listed: int) -> None:
    """Berlin's 6 June begins at 22:00 UTC; a range in the future lists no day."""
    period = Period(
        START,
        at(now),
        ZoneInfo("Europe/Berlin"),
        DateRange(date(2024, 6, 4), date(2024, 6, 30)),
    )
    assert period.listed_days().collect().height == listed


@pytest.mark.parametrize(
    ("interval", "dates"),
    [
        ("day", ["2024-12-30", "2024-12-31", "2025-01-01", "2025-01-02"]),
        ("week", ["2024-12-30"]),
        ("month", ["2024-12-01", "2025-01-01"]),
    ],
)
def test_an_interval_is_dated_by_its_first_day(interval: str, dates: list[str]) -> None:
    """Across the turn of the year, and if that day is before the range."""
    period = period_of("2024-12-30", "2025-01-02", interval=Interval(interval))
    days, total = period.listed_days(), pl.exclude("date").sum()
    rows = period.group_by_interval(days, total).collect()
    assert rows["date"].to_list() == [date.fromisoformat(day) for day in dates]


def test_today_is_the_calendar_day_in_the_zone() -> None:
    """One instant falls on three different days."""
    now = datetime.fromisoformat("2024-06-04T10:30+00:00")
    days = [
        Period(START, now, ZoneInfo(zone)).today.day
        for zone in ("Pacific/Pago_Pago", "UTC", "Pacific/Kiritimati")
    ]
    assert days == [3, 4, 5]


@given(
    microseconds=st.integers(0, 6 * 366 * 86_400 * 10**6),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "Africa/Cairo", "America/Havana", "Pacific/Kiritimati"]
    ),
)
def test_at_midnight_keeps_the_day(microseconds: int, zone: str) -> None:
    """Also on days on which the clock skips 00:00."""
    moment = at("2024-01-01") + timedelta(microseconds=microseconds)
    when = Period(START, moment, ZoneInfo(zone))
    assert when.at_midnight().today == when.today


@pytest.mark.parametrize(
    ("reached", "until"),
    [
        ("2024-06-12 10:30", "2024-06-05 10:30"),
        ("2024-06-13 21:59", "2024-06-06 21:59"),
        ("2024-06-13 22:00", None),
        ("2024-07-01 00:00", None),
        ("2024-06-01 00:00", "2024-05-25 00:00"),
    ],
)
def test_a_range_is_compared_until_the_time_that_its_data_has_reached(
    reached: str, until: str | None
) -> None:
    """In Berlin; a range that is over is compared with a whole one."""
    days = DateRange(date(2024, 6, 10), date(2024, 6, 13))
    period = Period(START, NOW, ZoneInfo("Europe/Berlin"), days)
    moved = period.moved_to(days.shift(-7), at(reached))
    assert moved.until == (at(until) if until else None)
    begins, ends = moved.bounds
    assert begins == at("2024-06-02 22:00")
    assert ends == max(begins, at(until) if until else at("2024-06-06 22:00"))


def test_the_same_time_of_day_is_that_of_the_clock() -> None:
    """Clocks are put back on 27 October: 9:30 is another instant the week before."""
    day = DateRange(date(2024, 10, 28), date(2024, 10, 28))
    period = Period(START, NOW, ZoneInfo("Europe/Berlin"), day)
    moved = period.moved_to(day.shift(-7), at("2024-10-28 08:30"))
    assert moved.until == at("2024-10-21 07:30")


def test_hours_compared_end_with_the_hour_that_the_data_has_reached() -> None:
    """The hour in which it ends is listed, as in the range itself."""
    day = DateRange(date(2024, 8, 1), date(2024, 8, 1))
    period = Period(START, NOW, ZoneInfo("UTC"), day, Interval.HOUR, weekends=True)
    moved = period.moved_to(day.shift(-7), NOW)
    assert period.listed_hours().collect().height == NOW.hour + 1
    assert moved.listed_hours().collect().height == NOW.hour + 1
    whole = period.moved_to(day.shift(-7), at("2024-08-02 00:00"))
    assert whole.listed_hours().collect().height == 24
