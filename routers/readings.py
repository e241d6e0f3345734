"""What each kind of computation reads: columns per table, which tell what it costs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from calculations.breakdown import Dimension
from calculations.filters import NO_FILTERS, Filters
from calculations.period import Period
from readmodel.store.snapshot import Snapshot

BYTES_PER_VALUE: Final = 6
"""Memory of a value while it is computed with: 370 MB for 70 million of a whole answer."""

FIXED_BYTES: Final = 4 * 2**20
"""Memory of any computation."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The number of columns that a computation reads of each table.

    `fraction` (0 to 1) estimates how many of the rows. One that `is_whole` uses all
    processors, so it runs alone.
    """

    columns: Mapping[str, int]
    fraction: float = 1
    is_whole: bool = False

    def bytes_of(self, snapshot: Snapshot) -> int:
        """An estimate of the memory that the computation takes."""
        stored = snapshot.manifest.tables if snapshot.manifest else {}
        values = sum(
            stored[table].rows * count
            for table, count in self.columns.items()
            if table in stored
        )
        return FIXED_BYTES + round(values * self.fraction * BYTES_PER_VALUE)


_SECTIONS: Final[Mapping[str, Mapping[str, int]]] = {
    "traffic": {"fpp_page_views": 2, "fpp_estimations": 2},
    "votes": {"fpp_votes": 7, "fpp_estimations": 1},
    "behaviour": {
        "fpp_page_views": 2,
        "fpp_events": 1,
        "fpp_votes": 1,
        "fpp_rooms": 2,
    },
    "reoccurring": {"fpp_estimations": 3},
    "historical": {
        "fpp_users": 1,
        "fpp_page_views": 1,
        "fpp_rooms": 1,
        "fpp_estimations": 1,
        "fpp_votes": 1,
    },
    "location_and_user_agent": {"fpp_users": 6},
}

_DIMENSIONS: Final[Mapping[Dimension, Mapping[str, int]]] = {
    Dimension.ROUTE: {"fpp_page_views": 2},
    Dimension.SOURCE: {"fpp_page_views": 2},
    Dimension.EVENT: {"fpp_events": 2},
    Dimension.ROOM: {"fpp_votes": 2, "fpp_rooms": 3},
    Dimension.WEEKDAY: {"fpp_votes": 2},
    Dimension.ESTIMATION: {"fpp_estimations": 2},
}
_USERS: Final[Mapping[str, int]] = {"fpp_users": 3}

_FILTERED: Final[Mapping[str, int]] = {
    "fpp_estimations": 3,
    "fpp_events": 2,
    "fpp_page_views": 3,
    "fpp_rooms": 2,
    "fpp_users": 3,
    "fpp_votes": 2,
}
"""What filters read besides: attributes of users, rooms and page views."""

ROOM_STATS: Final = Reading({"fpp_votes": 8})
ROOM_DETAILS: Final = Reading({"fpp_votes": 8, "fpp_estimations": 4, "fpp_rooms": 3})
RETENTION: Final = Reading({"fpp_estimations": 3})
ROOM_LIST: Final = Reading({"fpp_votes": 5, "fpp_estimations": 3, "fpp_rooms": 3})


def reading_of_sections(
    sections: Iterable[str], period: Period, filters: Filters = NO_FILTERS
) -> Reading:
    """The reading of `analytics`; without a range all sections read all rows."""
    columns: Counter[str] = Counter()
    for section in sections:
        columns.update(_SECTIONS[section])
    return Reading(_with(columns, filters), period.fraction, is_whole=True)


def reading_of_dimension(
    dimension: Dimension, period: Period, filters: Filters
) -> Reading:
    """The reading of a breakdown."""
    columns = _DIMENSIONS.get(dimension, _USERS)
    return Reading(_with(columns, filters), period.fraction)


def reading_of_daily(period: Period, filters: Filters = NO_FILTERS) -> Reading:
    """The reading of `daily`: of its range, or of the last 24 hours."""
    columns = {"fpp_votes": 4, "fpp_page_views": 3}
    return Reading(_with(columns, filters), period.fraction)


def _with(columns: Mapping[str, int], filters: Filters) -> Mapping[str, int]:
    if filters == NO_FILTERS:
        return columns
    return Counter(columns) + Counter(_FILTERED)


def reading_of_table(snapshot: Snapshot, *tables: str) -> Reading:
    """The reading of pages of *tables*, whose columns are never all in memory."""
    stored = snapshot.manifest.tables if snapshot.manifest else {}
    return Reading({name: 1 for name in tables if name in stored})
