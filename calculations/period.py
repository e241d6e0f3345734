"""The stretch of time a request looks at: the only source of "now" and "today"."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import polars as pl

FRIDAY = 5
"""Polars counts weekdays from Monday = 1."""


@dataclass(frozen=True, slots=True)
class Period:
    """From midnight of *start* up to *now*, with days cut in *zone*.

    Attributes:
        start: first day that counts.
        now: the instant of the request, with its time zone.
        zone: where midnight is.
    """

    start: date
    now: datetime
    zone: ZoneInfo

    @property
    def today(self) -> date:
        """The calendar day of *now* in the period's zone."""
        return self.now.astimezone(self.zone).date()

    @property
    def opens(self) -> datetime:
        """The first instant of *start*, as UTC."""
        return datetime.combine(self.start, time(), self.zone).astimezone(UTC)

    def day_of(self, column: str) -> pl.Expr:
        """Calendar day (Date) of a UTC timestamp, in the zone of the period."""
        at = pl.col(column)
        if self.zone.key != "UTC":
            at = at.dt.convert_time_zone(self.zone.key)
        return at.dt.date()

    def counts(self, day: str) -> pl.Expr:
        """Whether a Date column falls on a listed day: Monday to Friday, start to today."""
        return pl.col(day).is_between(self.start, self.today) & is_workday(day)

    def listed_days(self) -> pl.LazyFrame:
        """Every listed day, ascending: one column ``date`` (Date)."""
        span = pl.date_range(self.start, self.today, "1d").alias("date")
        return pl.LazyFrame().select(span).filter(is_workday("date"))


def is_workday(day: str) -> pl.Expr:
    """Whether a Date column is a Monday to Friday."""
    return pl.col(day).dt.weekday() <= FRIDAY
