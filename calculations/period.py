"""The time of a query: its days, time zone and interval; the only "now" and "today"."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from calculations.shapes import EPOCH, instant

FRIDAY = 5
"""Polars counts weekdays from Monday = 1."""

ONE_DAY = timedelta(days=1)
QUARTER = timedelta(minutes=15)
MICROSECOND = timedelta(microseconds=1)
DAY_MICROSECONDS = ONE_DAY // MICROSECOND


class Interval(StrEnum):
    """Length of one row of a series. Weeks begin on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_TRUNCATE = {Interval.WEEK: "1w", Interval.MONTH: "1mo"}


_LOOKBACK_DAYS = {
    Interval.HOUR: 1,
    Interval.DAY: 2,  # since only five days of seven may be listed
    Interval.WEEK: 7,
    Interval.MONTH: 31,
}
"""Days that surely contain one listed row."""


class DateRange(NamedTuple):
    """Days from *first* to *last*, both included."""

    first: date
    last: date

    @property
    def length(self) -> int:
        """Number of days."""
        return (self.last - self.first).days + 1

    @property
    def previous(self) -> "DateRange":
        """The range of equal length that ends the day before this one begins."""
        return self.shift(-self.length)

    def shift(self, days: int) -> "DateRange":
        """The range that begins *days* later, or earlier if negative."""
        return DateRange(*(day + timedelta(days=days) for day in self))


@dataclass(frozen=True, slots=True)
class Period:
    """The time that a query covers, resolved and validated.

    Attributes:
        start: first day of the recorded history (START_DATE).
        now: instant of the request, timezone-aware.
        zone: time zone that days are cut in.
        range: days to include; None includes all rows, also those before *start*.
        interval: length of one row of a series.
        weekends: list Saturdays and Sundays in series, too.
        average_rows: rows in a moving average, which then reaches back before the
            range; None for MOVING_AVERAGE_ROWS rows of the range alone.
        until: instant, timezone-aware, from which on rows of the range are left out;
            None for all of it. The range is then compared with an unfinished one.
    """

    start: date
    now: datetime
    zone: ZoneInfo
    range: DateRange | None = None
    interval: Interval = Interval.DAY
    weekends: bool = False
    average_rows: int | None = None
    until: datetime | None = None

    @property
    def today(self) -> date:
        """The calendar day of *now* in the zone."""
        return self.now.astimezone(self.zone).date()

    def at_midnight(self) -> "Period":
        """A copy with *now* moved to the start of today; equal for all of a day.

        With rows of hours, it is moved to the start of the hour.
        """
        if self.interval is Interval.HOUR:
            return replace(
                self, now=self.now.replace(minute=0, second=0, microsecond=0)
            )
        return replace(self, now=self.midnight(self.today))

    def with_lookback(self) -> "Period":
        """The period with a range that begins early enough for moving averages.

        It begins at START_DATE at the earliest, with a whole week or month, and has
        more rows before the range than an average needs.
        """
        if self.range is None or self.average_rows is None:
            return self
        days = self.average_rows * _LOOKBACK_DAYS[self.interval] + 7
        first = self.range.first - timedelta(days=days)
        if self.interval is Interval.MONTH:
            first = first.replace(day=1)
        elif self.interval is Interval.WEEK:
            first -= timedelta(days=first.weekday())
        first = max(first, min(self.start, self.range.first))
        return replace(self, range=DateRange(first, self.range.last))

    @property
    def history_start(self) -> datetime:
        """The first instant of *start*, in UTC."""
        return self.midnight(self.start)

    @property
    def first(self) -> date:
        """The first day that a series can list."""
        return self.range.first if self.range else self.start

    @property
    def last(self) -> date:
        """The last day that a series can list: never later than today."""
        return min(self.range.last, self.today) if self.range else self.today

    @property
    def fraction(self) -> float:
        """Share of the days from *start* to today that are in the range, 0 to 1."""
        if self.range is None:
            return 1
        included = (self.last - self.first + ONE_DAY).days
        available = (self.today - self.start + ONE_DAY).days
        return min(max(included, 0) / max(available, 1), 1)

    def previous(self) -> "Period":
        """The same period for the previous range. Raises ValueError without a range."""
        if self.range is None:
            raise ValueError("a period without a range has no previous one")
        return replace(self, range=self.range.previous)

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """First instant of the first day, and of the day after the last, in UTC.

        Unlike `last`, the end of a range in the future is not cut at today. An
        unfinished range ends at `until`.
        """
        last = self.range.last if self.range else self.last
        begins, ends = self.midnight(self.first), self.midnight(last + ONE_DAY)
        if self.until is not None:
            ends = max(begins, min(ends, self.until))
        return begins, ends

    @property
    def has_whole_quarters(self) -> bool:
        """True if the range begins and ends with a quarter of an hour in UTC."""
        return not any((bound - EPOCH) % QUARTER for bound in self.bounds)

    def moved_to(self, days: DateRange, reached: datetime | None = None) -> "Period":
        """The period for other *days*.

        With *reached*, the instant until which there are rows: if it lies before the
        end of the range, the period ends after as many days and at the same time of
        day. Raises ValueError without a range.
        """
        if self.range is None:
            raise ValueError("a period without a range cannot be moved")
        moved = replace(self, range=days)
        if reached is None or reached >= self.bounds[1]:
            return moved
        clock = reached.astimezone(self.zone).replace(tzinfo=None)
        shifted = clock - (self.range.first - days.first)
        until = shifted.replace(tzinfo=self.zone).astimezone(UTC)
        return replace(moved, until=until)

    def midnight(self, day: date) -> datetime:
        """The first instant of *day* in the zone, in UTC.

        Where the clock is put forward at midnight there is no 00:00; the day then
        begins at the change, which is what `fold=0` resolves to.
        """
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def filter(self, rows: pl.LazyFrame, at: str) -> pl.LazyFrame:
        """Rows whose timestamp column *at* lies in the range; all rows without one."""
        if self.range is None:
            return rows
        first, end = map(instant, self.bounds)
        return rows.filter(pl.col(at).is_between(first, end, closed="left"))

    def day_of(self, column: str) -> pl.Expr:
        """Calendar day (Date) in the zone of a Datetime[us, UTC] column.

        For UTC itself an integer division suffices, at a third of the calendar's cost.
        """
        at = pl.col(column)
        if self.zone.key == "UTC":
            return (at.to_physical() // DAY_MICROSECONDS).cast(pl.Int32).cast(pl.Date)
        return at.dt.convert_time_zone(self.zone.key).dt.date()

    def hour_of(self, column: str) -> pl.Expr:
        """The hour (Datetime us, UTC) of a Datetime[us, UTC] column: when it begins.

        Hours are cut by the clock in the zone. Of the two hours that are called 2 when
        the clock is put back, each is one of its own.
        """
        local = pl.col(column).dt.convert_time_zone(self.zone.key)
        offset = local.dt.base_utc_offset() + local.dt.dst_offset()
        clock = local.dt.replace_time_zone(None).dt.truncate("1h")
        return (clock - offset).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")

    def listed_hours(self) -> pl.LazyFrame:
        """Every hour of the listed days until now: ``date`` and ``hour``, ascending."""
        begins, ends = self.bounds
        # Quarters of an hour, since zones differ from UTC by these.
        last = max(min(ends - MICROSECOND, self.now), begins - QUARTER)
        quarters = pl.datetime_range(begins, last, QUARTER, time_unit="us").alias("at")
        hours = pl.LazyFrame().select(quarters.dt.convert_time_zone("UTC"))
        return (
            hours.select(date=self.day_of("at"), hour=self.hour_of("at"))
            .unique()
            .filter(self.reports("date"))
            .sort("hour")
        )

    def reports(self, day: str) -> pl.Expr:
        """True where the Date column *day* is a listed day from `first` to `last`."""
        return pl.col(day).is_between(self.first, self.last) & self.is_listed(day)

    def is_listed(self, day: str) -> pl.Expr:
        """True where *day* is a listed day: Monday to Friday, or any with *weekends*."""
        if self.weekends:
            return pl.lit(True)
        return pl.col(day).dt.weekday() <= FRIDAY

    def calendar_days(self) -> pl.LazyFrame:
        """Every day from `first` to `last`, ascending: one column ``date`` (Date)."""
        days = pl.date_range(self.first, self.last, "1d").alias("date")
        return pl.LazyFrame().select(days)

    def listed_days(self) -> pl.LazyFrame:
        """Every listed day, ascending: one column ``date`` (Date)."""
        return self.calendar_days().filter(self.is_listed("date"))

    def group_by_interval(
        self, days: pl.LazyFrame, aggregation: pl.Expr
    ) -> pl.LazyFrame:
        """Group listed *days* (``date`` ascending, further columns) by interval.

        ``date`` becomes the first day of the interval; *aggregation* reduces the other
        columns. Example: with weeks, Wednesday 5 June 2024 belongs to Monday 3 June.
        """
        if self.interval is Interval.DAY:
            return days
        first_day = pl.col("date").dt.truncate(_TRUNCATE[self.interval])
        return days.group_by(first_day).agg(aggregation).sort("date")
