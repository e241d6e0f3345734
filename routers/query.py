"""Query parameters of ranges and series, resolved once into a Period."""

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
)

from calculations.analytics import SECTIONS
from calculations.filters import FilterDimension, Filters
from calculations.period import ONE_DAY, DateRange, Interval, Period
from calculations.results import QueryEcho
from config import Settings
from routers.as_of import SnapshotParameters
from routers.filter_syntax import format_filters, parse_filters
from routers.strict_query import invalid_parameter
from util.json_types import JsonObject
from util.time_zones import parse_zone

MAX_RANGE_YEARS: Final = 10

WEEKS_OF_YEAR: Final = 52

MAX_HOUR_DAYS: Final = 7
"""Longest range with rows of hours."""

MAX_AVERAGE_ROWS: Final = 366

# The aliases here are plain assignments: a `type` statement would publish each of them
# as a schema of the OpenAPI document.
NamedRange = Literal[
    "today",
    "yesterday",
    "7d",
    "28d",
    "30d",
    "90d",
    "91d",
    "month",
    "last_month",
    "year",
    "12m",
    "all",
]
Comparison = Literal["previous", "year", "custom"]

_DAYS_OF_NAME: Final = {
    "today": 1,
    "7d": 7,
    "28d": 28,
    "30d": 30,
    "90d": 90,
    "91d": 91,
}


def _parse_iso_date(text: str) -> date:
    # fromisoformat() also accepts 20240603 and 2024-W23-1.
    try:
        if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError:  # not a day of the calendar, such as 2024-02-30
        pass
    raise ValueError("use a day of the calendar as YYYY-MM-DD, such as 2024-06-03")


def _validate_sections(text: str) -> str:
    unknown = [name for name in text.split(",") if name not in SECTIONS]
    if unknown:
        raise ValueError(f"unknown section {unknown[0]!r}, use {', '.join(SECTIONS)}")
    return text


IsoDate = Annotated[date, BeforeValidator(_parse_iso_date)]
IanaZone = Annotated[
    ZoneInfo,
    BeforeValidator(parse_zone),
    WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]}),
]
# Any, since FastAPI would publish the fields of Filters as schemas.
FilterText = Annotated[
    Any,
    BeforeValidator(parse_filters),
    WithJsonSchema({"type": "string"}),
]


class FilterParameters(SnapshotParameters, arbitrary_types_allowed=True):
    """The parameter that selects rows of some users or rooms."""

    parsed_filter: FilterText = Field(
        default_factory=Filters,
        alias="filter",
        description=(
            "Terms `dimension:value` or `dimension:!value` (any other value), separated "
            "by commas. Values of one dimension are alternatives, different dimensions "
            "must all match. `null` is a missing value; a value with a comma is quoted, "
            'as in `room:"Sprint, 14"`. Dimensions: '
            f"{', '.join(FilterDimension)}. Where a filter has no meaning, the answer "
            "has `not_applicable` with the reason, or is 422."
        ),
        examples=["country:DE,source:Google Search"],
    )

    @property
    def filters(self) -> Filters:
        """The parsed filter; without conditions if there is none."""
        filters: Filters = self.parsed_filter
        return filters


class RangeParameters(SnapshotParameters, arbitrary_types_allowed=True):
    """Parameters that select days, and the time zone in which days begin."""

    from_: IsoDate | None = Field(
        None,
        alias="from",
        description=(
            "First day of the range, included. Default: START_DATE. Without `from`, "
            "`to` and `period` there is no range."
        ),
        examples=["2026-01-01"],
    )
    to: IsoDate | None = Field(
        None,
        description="Last day of the range, included. Default: today.",
        examples=["2026-01-31"],
    )
    period: NamedRange | None = Field(
        None,
        description=(
            "A range by name, instead of `from` and `to`: today, yesterday, the last 7, "
            "28, 30, 90 or 91 days including today, this month or year until today, "
            "the whole last month, the twelve months until today, or all days since "
            "START_DATE."
        ),
    )
    tz: IanaZone | None = Field(
        None,
        description=(
            "IANA time zone in which days, weeks and months begin. Default: TIMEZONE."
        ),
    )

    @property
    def is_customised(self) -> bool:
        """True if the request has any query parameter."""
        return bool(self.model_fields_set)

    def resolve(self, settings: Settings, now: datetime) -> Period:
        """Resolve names and defaults to dates. Raises RequestValidationError (422)."""
        zone = self.tz or settings.timezone
        history = DateRange(settings.start_date, now.astimezone(zone).date())
        interval, weekends = self._row_options()
        period = Period(
            start=settings.start_date,
            now=now,
            zone=zone,
            range=self._resolve_range(history),
            interval=interval,
            weekends=weekends,
            average_rows=self._average_rows(),
        )
        if interval is Interval.HOUR:
            _require_few_days(period)
        return period

    def _average_rows(self) -> int | None:
        """Rows in a moving average; None for routes without series."""
        return None

    def _row_options(self) -> tuple[Interval, bool]:
        """Interval and weekends of a series; the defaults for routes without series."""
        return Interval.DAY, False

    def _resolve_range(self, history: DateRange) -> DateRange | None:
        """The range in dates; *history* is from START_DATE to today."""
        if self.period is not None:
            self._require_no_dates()
            return _resolve_name(self.period, history)
        if self.from_ is None and self.to is None:
            return None
        first = self.from_ or history.first
        last = self.to or max(history.last, first)
        self._require_bounds(first, last, history)
        return DateRange(first, last)

    def _require_no_dates(self) -> None:
        for name, day in (("from", self.from_), ("to", self.to)):
            if day is not None:
                allowed = f"leave it out, or period={self.period}"
                raise invalid_parameter(name, str(day), allowed)

    def _require_bounds(self, first: date, last: date, history: DateRange) -> None:
        if first < history.first:
            allowed = f"use {history.first} (START_DATE) or later"
            raise invalid_parameter("from", str(self.from_), allowed)
        if last < first:
            allowed = f"use {first}, the first day, or later"
            raise invalid_parameter("to", str(self.to), allowed)
        if last >= min(_max_end(first), _max_end(history.last)):
            name, day = ("to", self.to) if self.to else ("from", self.from_)
            allowed = (
                f"a range is at most {MAX_RANGE_YEARS} years long, and ends at most "
                "that far in the future"
            )
            raise invalid_parameter(name, str(day), allowed)


class ComparisonParameters(RangeParameters):
    """Parameters that select days, and a comparison with the days before."""

    compare: Comparison | None = Field(
        None,
        description=(
            "Adds the figures of another range as `previous`, and the change in percent "
            "as `change`. `previous` is the preceding range of equal length, `year` the "
            "same dates one year before, `custom` from `compare_from` to `compare_to`. "
            "Needs a range, except `previous` on `/daily-analytics`, where the last 24 "
            "hours are compared with the 24 hours before."
        ),
    )
    compare_from: IsoDate | None = Field(
        None,
        description="With `compare=custom`: first day compared with, included.",
        examples=["2025-01-01"],
    )
    compare_to: IsoDate | None = Field(
        None,
        description="With `compare=custom`: last day compared with, included.",
        examples=["2025-01-31"],
    )
    match: Literal["weekday"] | None = Field(
        None,
        description=(
            "`weekday` moves the range of `compare=previous` or `year` so that each day "
            "meets the same weekday: back by whole weeks."
        ),
    )
    # Without a default that clients would send: a parameter adds the envelope.
    so_far: bool | None = Field(
        None,
        description=(
            "Compare like with like while the range is not over: the range compared "
            "with then ends as many days after its first one, and at the same time of "
            "day, as the data ends (`data_updated_at`). By default a part of today is "
            "compared with a whole day."
        ),
    )

    def compared(
        self, period: Period, updated_at: datetime | None = None
    ) -> Period | None:
        """The period to compare *period* with; None without a comparison.

        *updated_at* is the instant of the data, at which `so_far` ends. Without a
        range, `previous` is the same period: its caller knows the 24 hours before.
        Raises RequestValidationError (422).
        """
        self._require_consistent()
        if self.compare is None:
            return None
        if period.range is None:
            return None if self.is_beyond_previous else period
        earlier = self._compared_range(period.range, period.start)
        return period.moved_to(earlier, updated_at if self.so_far else None)

    @property
    def is_beyond_previous(self) -> bool:
        """True for a comparison with other rows than all of the days directly before."""
        is_matched = self.match is not None or bool(self.so_far)
        return is_matched or self.compare in ("year", "custom")

    def _compared_range(self, days: DateRange, start: date) -> DateRange:
        match self.compare:
            case "year" if self.match:
                return days.shift(-WEEKS_OF_YEAR * 7)
            case "year":
                return DateRange(_year_before(days.first), _year_before(days.last))
            case "custom":
                return self._custom_range(start)
            case _ if self.match:
                weeks = -(-days.length // 7)
                return days.shift(-weeks * 7)
            case _:
                return days.previous

    def _custom_range(self, start: date) -> DateRange:
        first, last = self.compare_from, self.compare_to
        if first is None or last is None:
            allowed = "use it with compare_from and compare_to"
            raise invalid_parameter("compare", self.compare, allowed)
        if first < start:
            allowed = f"use {start} (START_DATE) or later"
            raise invalid_parameter("compare_from", str(first), allowed)
        if last < first:
            allowed = f"use {first}, the first day, or later"
            raise invalid_parameter("compare_to", str(last), allowed)
        if last >= _max_end(first):
            allowed = f"a range is at most {MAX_RANGE_YEARS} years long"
            raise invalid_parameter("compare_to", str(last), allowed)
        return DateRange(first, last)

    def _require_consistent(self) -> None:
        """Refuse parameters that would be ignored."""
        for name, day in (
            ("compare_from", self.compare_from),
            ("compare_to", self.compare_to),
        ):
            if day is not None and self.compare != "custom":
                raise invalid_parameter(name, str(day), "use it with compare=custom")
        if self.match and self.compare not in ("previous", "year"):
            allowed = "use it with compare=previous or compare=year"
            raise invalid_parameter("match", self.match, allowed)
        if self.so_far and self.compare is None:
            raise invalid_parameter("so_far", "true", "use it with compare")


class SeriesParameters(RangeParameters):
    """Parameters that select days, and the rows of the series."""

    interval: Interval = Field(
        Interval.DAY,
        description=(
            "What one row of a series covers: an hour (in ranges of at most 7 days), a "
            "day, a week (from Monday) or a month; `date` is the first day of it. A moving "
            "average is the mean of 30 rows, so of 30 days, weeks or months, and null in "
            "the first 29."
        ),
    )
    weekends: bool = Field(
        False,
        description=(
            "Whether series count Saturdays and Sundays. By default they count Monday "
            "to Friday only: in rows of days, weeks and months, in running sums and in "
            "moving averages."
        ),
    )

    average: int | None = Field(
        None,
        ge=1,
        le=MAX_AVERAGE_ROWS,
        description=(
            "Rows in a moving average instead of 30. It then reaches back before the "
            "range, as far as START_DATE."
        ),
        examples=[7],
    )

    def _row_options(self) -> tuple[Interval, bool]:
        return self.interval, self.weekends

    def _average_rows(self) -> int | None:
        return self.average


# Pydantic lists the fields of the last base first.
class FilteredRangeParameters(FilterParameters, RangeParameters):
    """Parameters that select days and rows."""


class FilteredSeriesParameters(FilterParameters, SeriesParameters):
    """Parameters that select days, the rows of the series, and what they count."""


class DailyParameters(FilterParameters, ComparisonParameters):
    """Parameters of `GET /daily-analytics`: days, comparison, filter and preview."""

    preview: bool = Field(
        False,
        description="Only answer: post nothing to the e-mail service, even if the call "
        "has no other parameters.",
    )

    @property
    def is_customised(self) -> bool:
        """True if the request has a query parameter besides `preview`."""
        return bool(self.model_fields_set - {"preview"})


class AnalyticsParameters(FilterParameters, ComparisonParameters, SeriesParameters):
    """Parameters of `GET /`: days, rows of the series, comparison, filter, sections."""

    sections: Annotated[str, AfterValidator(_validate_sections)] = Field(
        ",".join(SECTIONS),
        description=f"The sections to compute, separated by commas: {', '.join(SECTIONS)}.",
        examples=["traffic,votes"],
    )

    @property
    def requested_sections(self) -> frozenset[str]:
        """The names of the sections to compute."""
        return frozenset(self.sections.split(","))


ComparisonQuery = Annotated[ComparisonParameters, Query()]
DailyQuery = Annotated[DailyParameters, Query()]
FilteredRangeQuery = Annotated[FilteredRangeParameters, Query()]
FilteredSeriesQuery = Annotated[FilteredSeriesParameters, Query()]
AnalyticsQuery = Annotated[AnalyticsParameters, Query()]


def describe(
    query: RangeParameters, period: Period, updated_at: datetime | None = None
) -> QueryEcho:
    """The parameters as they were resolved, for an answer of data of *updated_at*."""
    members: JsonObject = {
        "from": period.range and period.range.first,
        "to": period.range and period.range.last,
        "tz": period.zone.key,
        "interval": period.interval,
        "weekends": period.weekends,
        "compare": None,
    }
    if _is_unfinished(period, updated_at):
        members["unfinished_until"] = updated_at
    if isinstance(query, ComparisonParameters):
        members |= _describe_comparison(query, period, updated_at)
    if period.average_rows is not None:
        members["average"] = period.average_rows
    if isinstance(query, FilterParameters) and query.filters:
        members["filter"] = format_filters(query.filters)
    if query.as_of is not None:
        members["as_of"] = query.as_of
    return QueryEcho(**members)


def _is_unfinished(period: Period, updated_at: datetime | None) -> bool:
    if period.range is None or updated_at is None:
        return False
    return updated_at < period.bounds[1]


def _describe_comparison(
    query: ComparisonParameters, period: Period, updated_at: datetime | None
) -> JsonObject:
    earlier = query.compared(period, updated_at)
    if earlier is None or earlier.range is None or not query.is_beyond_previous:
        return {"compare": query.compare}
    members = {
        "compare": query.compare,
        "compare_from": earlier.range.first,
        "compare_to": earlier.range.last,
        "match": query.match,
    }
    return members | ({"compare_until": earlier.until} if earlier.until else {})


def require_range(query: ComparisonParameters, period: Period) -> None:
    """Refuse a comparison of the whole history. Raises RequestValidationError (422)."""
    query.compared(period)
    if query.compare and period.range is None:
        allowed = "use it with from, to or period"
        raise invalid_parameter("compare", query.compare, allowed)


def inapplicable_filter(filters: Filters, reason: str) -> RequestValidationError:
    """The error (422) for *filters* that have no meaning for a whole answer."""
    return invalid_parameter("filter", format_filters(filters), reason)


def _require_few_days(period: Period) -> None:
    """Refuse rows of hours for a long range. Raises RequestValidationError (422)."""
    if period.range is None or period.range.length > MAX_HOUR_DAYS:
        allowed = f"use hour for a range of at most {MAX_HOUR_DAYS} days"
        raise invalid_parameter("interval", "hour", allowed)


def _resolve_name(name: NamedRange, history: DateRange) -> DateRange:
    """The dates of a named range, which never begins before *history* does."""
    start, today = history
    first, last = start, today
    match name:
        case "yesterday":
            first = last = today - ONE_DAY
        case "month":
            first = today.replace(day=1)
        case "last_month":
            last = today.replace(day=1) - ONE_DAY
            first = last.replace(day=1)
        case "year":
            first = today.replace(month=1, day=1)
        case "12m":
            first = _year_before(today) + ONE_DAY
        case "all":
            pass
        case _:
            first = today - timedelta(days=_DAYS_OF_NAME[name] - 1)
    first = max(first, start)
    return DateRange(first, max(first, last))


def _year_before(day: date) -> date:
    """The same date one year before; 2028-02-29 becomes 2027-02-28."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def _max_end(day: date) -> date:
    """The first day that is too late as the end of a range from *day*.

    2024-06-03 gives 2034-06-03; 2028-02-29 gives 2038-03-01.
    """
    try:
        return day.replace(year=day.year + MAX_RANGE_YEARS)
    except ValueError:  # 29 February, or after the year 9999
        return date(min(day.year + MAX_RANGE_YEARS, 9999), 3, 1)
