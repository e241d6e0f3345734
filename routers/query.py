"""The question's parameters: parsed and validated once, into one Period."""

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from calculations.analytics import SECTIONS
from calculations.period import DateRange, Interval, Period
from calculations.results import QueryEcho
from config import Settings, parse_zone
from routers.strict_query import Parameters, wrong

LONGEST_YEARS = 10

type Span = Literal["today", "7d", "30d", "90d", "month", "year", "all"]

_DAYS = {"today": 1, "7d": 7, "30d": 30, "90d": 90}


def _iso_date(given: str) -> date:
    # fromisoformat() would also take 20240603 and 2024-W23-1.
    try:
        if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", given):
            return date.fromisoformat(given)
    except ValueError:  # there is no such day
        pass
    raise ValueError("use a day of the calendar as YYYY-MM-DD, such as 2024-06-03")


def _sections(given: str) -> str:
    unknown = [name for name in given.split(",") if name not in SECTIONS]
    if unknown:
        raise ValueError(f"unknown section {unknown[0]!r}, use {', '.join(SECTIONS)}")
    return given


type Day = Annotated[date, BeforeValidator(_iso_date)]
type Zone = Annotated[
    ZoneInfo,
    BeforeValidator(parse_zone),
    WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]}),
]


class Days(Parameters, arbitrary_types_allowed=True):
    """Which days, and on whose clock."""

    from_: Day | None = Field(
        None,
        alias="from",
        description="First day, included. Without it, START_DATE.",
        examples=["2026-01-01"],
    )
    to: Day | None = Field(
        None,
        description="Last day, included. Without it, today.",
        examples=["2026-01-31"],
    )
    period: Span | None = Field(
        None,
        description=(
            "Instead of dates: today, the last 7, 30 or 90 days up to today, this month "
            "or year so far, or all since START_DATE."
        ),
    )
    tz: Zone | None = Field(
        None,
        description="IANA time zone of days, weekdays and today. Without it, TIMEZONE.",
    )

    @property
    def given(self) -> bool:
        """Whether anything was asked for at all."""
        return bool(self.model_fields_set)

    def resolve(self, settings: Settings, now: datetime) -> Period:
        """What was asked for, as dates. Raises RequestValidationError (422)."""
        everything = Period(settings.start_date, now, self.tz or settings.timezone)
        return Period(everything.start, now, everything.zone, self._stretch(everything))

    def _stretch(self, everything: Period) -> DateRange | None:
        if self.period is not None:
            self._require_no_dates()
            return _named(self.period, everything)
        if self.from_ is None and self.to is None:
            return None
        first = self.from_ or everything.start
        last = self.to or max(everything.today, first)
        self._require_bounds(first, last, everything)
        return DateRange(first, last)

    def _require_no_dates(self) -> None:
        for name, day in (("from", self.from_), ("to", self.to)):
            if day is not None:
                raise wrong(name, str(day), f"leave it out, or period={self.period}")

    def _require_bounds(self, first: date, last: date, everything: Period) -> None:
        if first < everything.start:
            allowed = f"use {everything.start} (START_DATE) or later"
            raise wrong("from", str(self.from_), allowed)
        if last < first:
            raise wrong("to", str(self.to), f"use {first}, the first day, or later")
        longest = min(_years_after(first), _years_after(everything.today))
        if last >= longest:
            name, day = ("to", self.to) if self.to else ("from", self.from_)
            allowed = (
                f"a range is at most {LONGEST_YEARS} years long, and ends at most that "
                "far in the future"
            )
            raise wrong(name, str(day), allowed)


class Range(Days):
    """Which days, on whose clock, and compared with what."""

    compare: Literal["previous"] | None = Field(
        None,
        description=(
            "Adds the same figures of the stretch of equal length just before, and the "
            "change in per cent."
        ),
    )


class Series(Days):
    """Which days, and how finely series are drawn."""

    interval: Interval = Field(
        Interval.DAY,
        description=(
            "What one row of a series is; weeks begin on Monday, and a row bears the "
            "first day of its interval. Moving averages cover 30 rows."
        ),
    )
    weekends: bool = Field(
        False,
        description="Lists every calendar day in series and sums, not Monday to Friday.",
    )

    def resolve(self, settings: Settings, now: datetime) -> Period:
        """What was asked for, as dates. Raises RequestValidationError (422)."""
        asked = super().resolve(settings, now)
        return Period(
            asked.start,
            now,
            asked.zone,
            asked.range,
            self.interval,
            self.weekends,
        )


class AnalyticsRange(Range, Series):
    """Which days, how finely, compared with what, and which sections are wanted."""

    sections: Annotated[str, AfterValidator(_sections)] = Field(
        ",".join(SECTIONS),
        description=f"The sections to compute, separated by commas: {', '.join(SECTIONS)}.",
        examples=["traffic,votes"],
    )

    @property
    def wanted(self) -> frozenset[str]:
        """The sections asked for."""
        return frozenset(self.sections.split(","))


def echo(asked: Range, period: Period) -> QueryEcho:
    """What was understood, for the answer."""
    return QueryEcho(
        **{"from": period.range and period.range.first},
        to=period.range and period.range.last,
        tz=period.zone.key,
        interval=period.interval,
        weekends=period.weekends,
        compare=asked.compare,
    )


def require_range(asked: Range, period: Period) -> None:
    """Refuse a comparison without a range: nothing lies before everything."""
    if asked.compare and period.range is None:
        raise wrong("compare", asked.compare, "use it with from, to or period")


def _named(span: Span, everything: Period) -> DateRange:
    """The stretch that a name stands for; it never begins before history does."""
    today = everything.today
    if span in _DAYS:
        first = today - timedelta(days=_DAYS[span] - 1)
    elif span == "month":
        first = today.replace(day=1)
    elif span == "year":
        first = today.replace(month=1, day=1)
    else:
        first = everything.start
    first = max(first, everything.start)
    return DateRange(first, max(first, today))


def _years_after(day: date) -> date:
    """The same day, ``LONGEST_YEARS`` later; the calendar's end where that is past it."""
    try:
        return day.replace(year=day.year + LONGEST_YEARS)
    except ValueError:  # 29 February, or beyond the year 9999
        return date(min(day.year + LONGEST_YEARS, 9999), 3, 1)


DaysQuery = Annotated[Days, Query()]
RangeQuery = Annotated[Range, Query()]
SeriesQuery = Annotated[Series, Query()]
AnalyticsQuery = Annotated[AnalyticsRange, Query()]
