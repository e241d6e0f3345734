"""The question's parameters: parsed and validated once, into one Period."""

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from calculations.analytics import SECTIONS
from calculations.period import Interval, Period, Stretch
from calculations.results import Question
from config import Settings, zone_named
from routers.parameters import Parameters

LONGEST_YEARS = 10

type Span = Literal["today", "7d", "30d", "90d", "month", "year", "all"]

_DAYS = {"today": 1, "7d": 7, "30d": 30, "90d": 90}


def _iso_date(given: Any) -> Any:
    if isinstance(given, str) and not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", given):
        raise ValueError("use an ISO date, such as 2024-06-03")
    return given


def _sections(given: str) -> str:
    unknown = [name for name in given.split(",") if name not in SECTIONS]
    if unknown:
        raise ValueError(f"unknown section {unknown[0]!r}, use {', '.join(SECTIONS)}")
    return given


type Day = Annotated[date, BeforeValidator(_iso_date)]
type Zone = Annotated[
    ZoneInfo,
    BeforeValidator(zone_named),
    WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]}),
]


class Range(Parameters, arbitrary_types_allowed=True):
    """Which days, on whose clock, and compared with what."""

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
    compare: Literal["previous"] | None = Field(
        None,
        description=(
            "Adds the same figures of the stretch of equal length just before, and the "
            "change in per cent."
        ),
    )

    @property
    def given(self) -> bool:
        """Whether anything was asked for at all."""
        return bool(self.model_fields_set)

    def resolve(self, settings: Settings, now: datetime) -> Period:
        """What was asked for, as dates. Raises RequestValidationError (422)."""
        everything = Period(settings.start_date, now, self.tz or settings.timezone)
        return Period(everything.start, now, everything.zone, self._stretch(everything))

    def _stretch(self, everything: Period) -> Stretch | None:
        if self.period is not None:
            for name in ("from", "to"):
                if {"from": self.from_, "to": self.to}[name] is not None:
                    raise _wrong(name, self, f"cannot go with period={self.period}")
            return _named(self.period, everything)
        if self.from_ is None and self.to is None:
            return None
        first = self.from_ or everything.start
        last = self.to or max(everything.today, first)
        if first < everything.start:
            raise _wrong("from", self, f"use {everything.start} (START_DATE) or later")
        if last < first:
            raise _wrong("to", self, f"use {first} or later, the first day")
        longest = min(_years_after(first), _years_after(everything.today))
        if last >= longest:
            raise _wrong(
                "to" if self.to else "from",
                self,
                f"a range is at most {LONGEST_YEARS} years long and ends at most as far "
                "in the future",
            )
        return Stretch(first, last)


class SeriesRange(Range):
    """A range, and how finely its series are drawn."""

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
            asked.asked,
            self.interval,
            self.weekends,
        )


class AnalyticsRange(SeriesRange):
    """A range, and which sections are wanted."""

    sections: Annotated[str, AfterValidator(_sections)] = Field(
        ",".join(SECTIONS),
        description="The sections to compute, separated by commas.",
        examples=["traffic,votes"],
    )

    @property
    def wanted(self) -> frozenset[str]:
        """The sections asked for."""
        return frozenset(self.sections.split(","))


def echo(asked: Range, period: Period) -> Question:
    """What was understood, for the answer."""
    return Question(
        **{"from": period.asked and period.asked.first},
        to=period.asked and period.asked.last,
        tz=period.zone.key,
        interval=period.interval,
        weekends=period.weekends,
        compare=asked.compare,
    )


def require_range(asked: Range, period: Period) -> None:
    """Refuse a comparison without a range: nothing lies before everything."""
    if asked.compare and period.asked is None:
        raise _wrong("compare", asked, "needs from, to or period")


def _named(span: Span, everything: Period) -> Stretch:
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
    return Stretch(first, max(first, today))


def _years_after(day: date) -> date:
    """The same day, ``LONGEST_YEARS`` later; the calendar's end where that is past it."""
    try:
        return day.replace(year=day.year + LONGEST_YEARS)
    except ValueError:  # 29 February, or beyond the year 9999
        return date(min(day.year + LONGEST_YEARS, 9999), 3, 1)


def _wrong(name: str, asked: Range, why: str) -> RequestValidationError:
    given = {"from": asked.from_, "to": asked.to, "compare": asked.compare}[name]
    shown = None if given is None else str(given)
    return RequestValidationError(
        [{"type": "value_error", "loc": ("query", name), "msg": why, "input": shown}]
    )


RangeQuery = Annotated[Range, Query()]
SeriesQuery = Annotated[SeriesRange, Query()]
AnalyticsQuery = Annotated[AnalyticsRange, Query()]
