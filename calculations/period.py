"""The question's time: which days, whose clock, how finely; the only "now" and "today"."""

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
    """How long one row of a series is; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_TRUNCATE = {Interval.WEEK: "1w", Interval.MONTH: "1mo"}


class DateRange(NamedTuple):
    """Days from *first* to *last*, both included."""

    first: date
    last: date

    @property
    def before(self) -> "DateRange":
        """The stretch of equal length just before."""
        length = self.last - self.first + ONE_DAY
        return DateRange(self.first - length, self.last - length)


@dataclass(frozen=True, slots=True)
class Period:
    """What a question asks of time, resolved and validated.

    Attributes:
        start: the day on which history begins (START_DATE).
        now: the instant of the request, with its time zone.
        zone: where midnight is.
        range: the days asked for; None is everything there is.
        interval: how long one row of a series is.
        weekends: whether Saturdays and Sundays are listed, too.
    """

    start: date
    now: datetime
    zone: ZoneInfo
    range: DateRange | None = None
    interval: Interval = Interval.DAY
    weekends: bool = False

    @property
    def today(self) -> date:
        """The calendar day of *now* in the period's zone."""
        return self.now.astimezone(self.zone).date()

    def at_midnight(self) -> "Period":
        """The same for every moment of its day: as if asked when the day began."""
        return replace(self, now=self.midnight(self.today))

    @property
    def history_start(self) -> datetime:
        """The first instant of *start*, as UTC."""
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
        """How much of all days until today is asked for, from 0 to 1."""
        if self.range is None:
            return 1
        asked = (self.last - self.first + ONE_DAY).days
        there = (self.today - self.start + ONE_DAY).days
        return min(max(asked, 0) / max(there, 1), 1)

    def before(self) -> "Period":
        """The same question of the stretch just before. Raises ValueError without one."""
        if self.range is None:
            raise ValueError("nothing lies before everything")
        return replace(self, range=self.range.before)

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """The first instant of the first day asked for, and that after the last day."""
        last = self.range.last if self.range else self.last
        return self.midnight(self.first), self.midnight(last + ONE_DAY)

    def midnight(self, day: date) -> datetime:
        """The first instant of *day* in the zone, as UTC.

        Where the clock is put forward at midnight there is no 00:00; the day then
        begins at the change, which is what `fold=0` resolves to.
        """
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def filter(self, rows: pl.LazyFrame, at: str) -> pl.LazyFrame:
        """Those of *rows* whose timestamp *at* is in the stretch asked for; else all."""
        if self.range is None:
            return rows
        return rows.filter(pl.col(at).is_between(*self.bounds, closed="left"))

    def day_of(self, column: str) -> pl.Expr:
        """Calendar day (Date) of a UTC timestamp (microseconds), in the zone.

        In UTC itself a division does, at a third of what the calendar costs.
        """
        at = pl.col(column)
        if self.zone.key == "UTC":
            return (at.to_physical() // DAY_MICROSECONDS).cast(pl.Int32).cast(pl.Date)
        return at.dt.convert_time_zone(self.zone.key).dt.date()

    def reports(self, day: str) -> pl.Expr:
        """Whether a Date column falls on a listed day, first to last."""
        return pl.col(day).is_between(self.first, self.last) & self.is_listed(day)

    def is_listed(self, day: str) -> pl.Expr:
        """Whether series list this kind of day: Monday to Friday, or every day."""
        if self.weekends:
            return pl.lit(True)
        return pl.col(day).dt.weekday() <= FRIDAY

    def every_day(self) -> pl.LazyFrame:
        """Every calendar day, first to last, ascending: one column ``date`` (Date)."""
        span = pl.date_range(self.first, self.last, "1d").alias("date")
        return pl.LazyFrame().select(span)

    def listed_days(self) -> pl.LazyFrame:
        """Every listed day, ascending: one column ``date`` (Date)."""
        return self.every_day().filter(self.is_listed("date"))

    def bucketed(self, days: pl.LazyFrame, how: pl.Expr) -> pl.LazyFrame:
        """Listed *days* (with ``date``, ascending) as rows of the interval.

        ``date`` becomes the interval's first day, the other columns what *how* makes
        of those of its days.
        """
        if self.interval is Interval.DAY:
            return days
        bucket = pl.col("date").dt.truncate(_TRUNCATE[self.interval])
        return days.group_by(bucket).agg(how).sort("date")
