"""Hypothesis strategies: databases and periods around special days, in any time zone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from calculations.filters import Condition, FilterDimension, Filters
from calculations.period import DateRange, Interval, Period
from tests.support.frames import START, databases_at
from tests.support.oracle import Database, Oracle, Term

SPECIAL_DAYS = [
    START,
    date(2024, 10, 27),  # Berlin: clock put back at 3
    date(2025, 3, 30),  # Berlin: clock put forward at 2
    date(2024, 4, 26),  # Cairo: no 00:00
    date(2024, 10, 31),  # Cairo: last hour occurs twice
    date(2024, 11, 3),  # Havana: first hour twice; New York: second hour twice
    date(2024, 10, 6),  # Lord Howe: clock put forward by half an hour
    date(2024, 2, 29),
    date(2024, 12, 31),
    date(2025, 1, 1),
]

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "America/St_Johns",  # UTC-3:30
    "Africa/Cairo",
    "Asia/Kolkata",  # UTC+5:30
    "Asia/Kathmandu",  # UTC+5:45
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",  # UTC+14
]

LENGTHS = [1, 1, 2, 3, 7, 30, 31, 45, 366]


@dataclass(frozen=True)
class Scenario:
    """A database, and one query of its statistics.

    `days` is the range of the query (first and last day); None without a range.
    """

    database: Database
    start: date
    now: datetime
    zone: str
    days: tuple[date, date] | None
    interval: str
    weekends: bool

    @property
    def period(self) -> Period:
        """The query's period."""
        return Period(
            self.start,
            self.now,
            ZoneInfo(self.zone),
            DateRange(*self.days) if self.days else None,
            Interval(self.interval),
            self.weekends,
        )

    def oracle(
        self,
        days: tuple[date, date] | None,
        terms: Iterable[Term] = (),
        until: datetime | None = None,
    ) -> Oracle:
        """The reference implementation for this scenario, with *days* as its range."""
        return Oracle(
            self.database,
            self.start,
            self.now,
            ZoneInfo(self.zone),
            days,
            self.interval,
            self.weekends,
            terms,
            until,
        )


@st.composite
def _scenarios(draw: st.DrawFn, *, ranged: bool) -> Scenario:
    special, name = draw(st.sampled_from(SPECIAL_DAYS)), draw(st.sampled_from(ZONES))
    start = special - _days(draw, [0, 0, 1, 3, 40, 100])
    first = max(start, special - _days(draw, [-40, -3, -1, 0, 0, 1, 2, 30]))
    if draw(st.booleans()):
        first = start
    last = first + _days(draw, LENGTHS) - timedelta(days=1)
    now = _moment(draw, last - _days(draw, [-50, -1, 0, 0, 1, 31, 400]), name)
    moments = _moments(special, first, last, name)
    return Scenario(
        database=draw(databases_at(moments)),
        start=start,
        now=now,
        zone=name,
        days=(first, last) if ranged else None,
        interval=draw(st.sampled_from(["day", "week", "month"])),
        weekends=draw(st.booleans()),
    )


def _days(draw: st.DrawFn, numbers: list[int]) -> timedelta:
    return timedelta(days=draw(st.sampled_from(numbers)))


def _moment(draw: st.DrawFn, day: date, zone: str) -> datetime:
    return draw(_moments(day, day, day, zone))


def _moments(
    special: date, first: date, last: date, zone: str
) -> st.SearchStrategy[datetime]:
    """Instants close to midnight in *zone*, on these days and on days near them."""
    days = st.builds(
        lambda day, offset: day + timedelta(days=offset),
        st.sampled_from([special, first, last]),
        st.sampled_from([0, 0, 0, 1, 1, -1, -2, 3, -30, -31, 31]),
    )
    steps = st.sampled_from([0, 0, -1, 1, 599, 600, -600, 3600, -1800, 9000, 43200])

    def at(day: date, seconds: int) -> datetime:
        midnight = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
        return midnight + timedelta(seconds=seconds)

    return st.builds(at, days, steps)


scenarios_with_range = _scenarios(ranged=True)
scenarios_without_range = _scenarios(ranged=False)

_places = st.sampled_from(["Unknown", "a", "b", "Zürich", ""])
FILTER_VALUES: dict[str, st.SearchStrategy[str | None]] = {
    "country": st.none() | st.sampled_from(["DE", "US", "Unknown"]),
    **dict.fromkeys(("region", "city", "device", "os", "browser"), st.none() | _places),
    "source": st.none() | st.sampled_from(["Teams", "Google Search", "CV", "Other"]),
    "route": st.none() | st.sampled_from(["HOME", "ROOM"]),
    "event": st.sampled_from(["LEFT_ROOM", "ENTERED_NEW_ROOM"]),
    "room": st.none() | _places,
    "room_id": st.sampled_from(["1", "2", "99"]),
    "room_state": st.sampled_from(["named", "unnamed", "deleted"]),
}
"""Dimension -> values, among them some that no row has."""


def _term(dimension: str) -> st.SearchStrategy[Term]:
    return st.tuples(st.just(dimension), st.booleans(), FILTER_VALUES[dimension])


def terms_of(dimensions: Iterable[str]) -> st.SearchStrategy[list[Term]]:
    """One to four terms of a filter by *dimensions*."""
    one = st.sampled_from(sorted(dimensions)).flatmap(_term)
    return st.lists(one, min_size=1, max_size=4)


def filters_of(terms: Iterable[Term]) -> Filters:
    """The value that *terms* are parsed to."""
    values: dict[str, tuple[set[str | None], set[str | None]]] = {}
    for dimension, excluded, value in terms:
        values.setdefault(dimension, (set(), set()))[excluded].add(value)
    return Filters(
        tuple(
            Condition(dimension, *map(frozenset, values[dimension]))
            for dimension in FilterDimension
            if dimension in values
        )
    )
