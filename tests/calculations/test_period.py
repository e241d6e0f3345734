"""The period: which instants a stretch holds, and which days series list."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calculations.period import DateRange, Interval, Period
from tests.support.frames import INSTANT, NOW, START, at


def asked(first: str, last: str, zone: str = "UTC", **more: object) -> Period:
    """The stretch from *first* to *last*, seen long after it."""
    stretch = DateRange(date.fromisoformat(first), date.fromisoformat(last))
    return Period(
        START,
        at("2030-01-01"),
        ZoneInfo(zone),
        stretch,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("day", "zone", "begins", "ends"),
    [
        ("2024-06-05", "UTC", "2024-06-05 00:00", "2024-06-06 00:00"),
        ("2024-06-05", "Asia/Kolkata", "2024-06-04 18:30", "2024-06-05 18:30"),
        # 25 hours, 23 hours, and half an hour less than 24.
        ("2024-10-27", "Europe/Berlin", "2024-10-26 22:00", "2024-10-27 23:00"),
        ("2025-03-30", "Europe/Berlin", "2025-03-29 23:00", "2025-03-30 22:00"),
        ("2024-10-06", "Australia/Lord_Howe", "2024-10-05 13:30", "2024-10-06 13:00"),
        # The clock goes from 23:59 to 01:00, and twice through 00:00.
        ("2025-04-25", "Africa/Cairo", "2025-04-24 22:00", "2025-04-25 21:00"),
        ("2024-11-03", "America/Havana", "2024-11-03 04:00", "2024-11-04 05:00"),
        ("2028-02-29", "America/New_York", "2028-02-29 05:00", "2028-03-01 05:00"),
        ("2024-12-31", "Pacific/Kiritimati", "2024-12-30 10:00", "2024-12-31 10:00"),
    ],
)
def test_a_day_is_from_its_first_midnight_to_the_next(
    day: str, zone: str, begins: str, ends: str
) -> None:
    """Its first microsecond is in it, that of the next day is not."""
    moments = [at(begins), at(begins) - TICK, at(ends), at(ends) - TICK]
    rows = pl.LazyFrame({"at": moments}, schema={"at": INSTANT})
    found = asked(day, day, zone).filter(rows, "at").collect()["at"].to_list()
    assert found == [at(begins), at(ends) - TICK]


TICK = timedelta(microseconds=1)


def test_rows_without_a_time_are_in_no_stretch() -> None:
    """They are in everything there is."""
    rows = pl.LazyFrame({"at": [None]}, schema={"at": INSTANT})
    everything = Period(START, NOW, ZoneInfo("UTC"))
    assert asked("2024-06-03", "2024-06-09").filter(rows, "at").collect().is_empty()
    assert everything.filter(rows, "at").collect().height == 1


@pytest.mark.parametrize(
    ("stretch", "before"),
    [
        (("2024-06-10", "2024-06-10"), ("2024-06-09", "2024-06-09")),
        (("2024-06-10", "2024-06-16"), ("2024-06-03", "2024-06-09")),
        (("2028-03-01", "2028-03-31"), ("2028-01-30", "2028-02-29")),
        (("2024-06-03", "2024-06-04"), ("2024-06-01", "2024-06-02")),
    ],
)
def test_the_stretch_before_is_as_long_and_ends_the_day_before(
    stretch: tuple[str, str], before: tuple[str, str]
) -> None:
    """Also where that is earlier than START_DATE."""
    found = asked(*stretch).before()
    assert found.range == tuple(map(date.fromisoformat, before))


@pytest.mark.parametrize(
    ("first", "last", "share"),
    [
        ("2024-06-03", "2024-06-09", 0.7),
        ("2024-06-12", "2024-06-12", 0.1),
        ("2024-06-11", "2024-06-30", 0.2),
        ("2024-06-20", "2024-06-30", 0),
    ],
)
def test_the_share_of_all_days_tells_how_much_there_is_to_read(
    first: str, last: str, share: float
) -> None:
    """Ten days after START_DATE began; what is not there yet is not read."""
    period = replace(asked(first, last), now=at("2024-06-12 12:00"))
    assert period.fraction == share
    assert replace(period, range=None).fraction == 1


def test_nothing_lies_before_everything() -> None:
    """Only a stretch has one before it."""
    with pytest.raises(ValueError, match="nothing lies before"):
        Period(START, NOW, ZoneInfo("UTC")).before()


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
    """A range of one weekend lists nothing, unless weekends are asked for."""
    days = asked(first, last, weekends=weekends).listed_days().collect()
    assert [day.isoformat() for day in days["date"]] == listed


@pytest.mark.parametrize(
    ("now", "listed"),
    [("2024-06-05 21:59", 2), ("2024-06-05 22:00", 3), ("2024-06-02 12:00", 0)],
)
def test_series_end_today_at_the_latest(now: str, listed: int) -> None:
    """Berlin's 6 June begins at 22:00 UTC; of a range in the future nothing is listed."""
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
def test_an_interval_bears_its_first_day(interval: str, dates: list[str]) -> None:
    """Over the turn of the year, and where that day is before the range."""
    period = asked("2024-12-30", "2025-01-02", interval=Interval(interval))
    rows = period.bucketed(period.listed_days(), pl.exclude("date").sum()).collect()
    assert rows["date"].to_list() == [date.fromisoformat(day) for day in dates]


def test_today_is_that_of_the_zone() -> None:
    """The same instant is three different days."""
    now = datetime.fromisoformat("2024-06-04T10:30+00:00")
    days = [
        Period(START, now, ZoneInfo(zone)).today.day
        for zone in ("Pacific/Pago_Pago", "UTC", "Pacific/Kiritimati")
    ]
    assert days == [3, 4, 5]


@given(
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "Africa/Cairo", "America/Havana", "Pacific/Kiritimati"]
    ),
)
def test_midnight_stands_for_every_moment_of_its_day(
    moment: datetime, zone: str
) -> None:
    """And is of that day itself, even where the clock leaves it out."""
    when = Period(START, moment.replace(tzinfo=UTC), ZoneInfo(zone))
    assert when.at_midnight().today == when.today
