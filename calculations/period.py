"""The time of a query: its days, time zone and interval; the only "now" and "today"."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

FRIDAY = 5
"""Polars counts weekdays from Monday = 1."""

ONE_DAY = timedelta(days=1)
DAY_MICROSECONDS = ONE_DAY // timedelta(microseconds=1)


class Interval(StrEnum):
    """Length of one row of a series. Weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_TRUNCATE = {Interval.WEEK: "1w", Interval.MONTH: "1mo"}


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
    """

    start: date
    now: datetime
    zone: ZoneInfo
    range: DateRange | None = None
    interval: Interval = Interval.DAY
    weekends: bool = False

    @property
    def today(self) -> date:
        """The calendar day of *now* in the zone."""
        return self.now.astimezone(self.zone).date()

    def at_midnight(self) -> "Period":
        """A copy with *now* moved to the start of today; equal for all of a day."""
        return replace(self, now=self.midnight(self.today))

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

        Unlike `last`, the end of a range in the future is not cut at today.
        """
        last = self.range.last if self.range else self.last
        return self.midnight(self.first), self.midnight(last + ONE_DAY)

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
        return rows.filter(pl.col(at).is_between(*self.bounds, closed="left"))

    def day_of(self, column: str) -> pl.Expr:
        """Calendar day (Date) in the zone of a Datetime[us, UTC] column.

        For UTC itself an integer division suffices, at a third of the calendar's cost.
        """
        at = pl.col(column)
        if self.zone.key == "UTC":
            return (at.to_physical() // DAY_MICROSECONDS).cast(pl.Int32).cast(pl.Date)
        return at.dt.convert_time_zone(self.zone.key).dt.date()

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
