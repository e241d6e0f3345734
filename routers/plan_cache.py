"""Cache of opened tables and of plans; answers are never cached.

See docs/decisions/kept-plans.md.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from threading import Lock
from typing import Final, NamedTuple

import polars as pl

from calculations.analytics import analytics
from calculations.filters import NO_FILTERS, Filters
from calculations.period import Period
from calculations.room_stats import of_room
from calculations.tables import Tables
from readmodel.store import quarters, sorted_activity, tallies, visits
from readmodel.store.damage import READ_ERRORS
from readmodel.store.room_votes import RoomVotes
from readmodel.store.side_files import QUARTERS, TALLIES, VISITS
from readmodel.store.snapshot import Snapshot
from readmodel.store.votes import open_room_votes, open_votes
from routers.tables import open_tables, read_counts

MAX_SNAPSHOTS: Final = 2
"""The current snapshot, and the one before for requests that still read it."""

MAX_PLANS: Final = 16
"""Enough for the ranges of one dashboard's users; a plan takes less than a megabyte."""


class _TablesKey(NamedTuple):
    """A snapshot, and for each kind of derived file whether it can be read."""

    snapshot: Snapshot
    has_files: tuple[bool, ...]


class _PlanKey(NamedTuple):
    tables: _TablesKey
    period: Period
    sections: frozenset[str]
    filters: Filters


class PlanCache:
    """Tables of the last two snapshots, and the last 16 plans for them. Thread-safe.

    Building a plan takes about as long as decoding 130,000 rows, and holds the
    interpreter meanwhile. A plan contains no rows, only small tallies and quarters: each
    collect() reads the files.

    Plain files of the earlier system are never cached: they can be replaced at any
    time, and a scan remembers its file's footer.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._tables: OrderedDict[_TablesKey, Tables] = OrderedDict()
        self._counted: dict[_TablesKey, Tables] = {}
        self._votes: OrderedDict[Snapshot, pl.LazyFrame] = OrderedDict()
        self._room_votes: OrderedDict[Snapshot, RoomVotes | None] = OrderedDict()
        self._plans: OrderedDict[_PlanKey, pl.LazyFrame] = OrderedDict()

    def tables(self, snapshot: Snapshot) -> Tables:
        """The tables of *snapshot*, opened once for each state of its side files."""
        if snapshot.manifest is None:
            return open_tables(snapshot)
        key = _tables_key(snapshot)
        with self._lock:
            return self._cached_tables(key)

    def votes(self, snapshot: Snapshot) -> pl.LazyFrame:
        """The votes of *snapshot*, opened once."""
        if snapshot.manifest is None:
            return open_votes(snapshot)
        with self._lock:
            return _opened(self._votes, snapshot, open_votes)

    def votes_of_room(self, snapshot: Snapshot, room_id: int) -> pl.LazyFrame:
        """The votes of *room_id* in *snapshot*.

        Raises OSError and PolarsError if their files cannot be read.
        """
        with suppress(FileNotFoundError):  # They are copies and may be deleted.
            if by_room := self._votes_by_room(snapshot):
                return by_room.of_room(room_id)
        return of_room(self.votes(snapshot), room_id)

    def votes_of_room_in_memory(
        self, snapshot: Snapshot, room_id: int
    ) -> pl.LazyFrame | None:
        """The same if it takes no time, otherwise None; raises nothing."""
        with suppress(*READ_ERRORS):  # `votes_of_room` meets it again.
            if by_room := self._room_votes.get(snapshot):
                return by_room.of_room_in_memory(room_id)
        return None

    def _votes_by_room(self, snapshot: Snapshot) -> RoomVotes | None:
        """The votes by room of *snapshot*, opened once; None if it has none."""
        votes = self.votes(snapshot)
        with self._lock:
            return _opened(
                self._room_votes, snapshot, lambda found: open_room_votes(found, votes)
            )

    def analytics(
        self,
        snapshot: Snapshot,
        period: Period,
        sections: Collection[str],
        filters: Filters = NO_FILTERS,
    ) -> pl.LazyFrame:
        """The plan of `analytics` for the *period*'s day, whatever the time of day."""
        day, wanted = period.at_midnight(), frozenset(sections)
        if snapshot.manifest is None:
            return analytics(open_tables(snapshot), day, wanted, filters)
        key = _PlanKey(_tables_key(snapshot), day, wanted, filters)
        with self._lock:
            return self._cached_plan(key)

    def _cached_tables(self, key: _TablesKey) -> Tables:
        if key not in self._tables:
            self._tables[key] = open_tables(key.snapshot)
        self._tables.move_to_end(key)
        if len(self._tables) > MAX_SNAPSHOTS:
            self._forget(self._tables.popitem(last=False)[0])
        return self._tables[key]

    def _cached_plan(self, key: _PlanKey) -> pl.LazyFrame:
        tables = self._cached_tables(key.tables)
        if key not in self._plans:
            counted = self._with_counts(key.tables, tables)
            self._plans[key] = analytics(counted, key.period, key.sections, key.filters)
        self._plans.move_to_end(key)
        if len(self._plans) > MAX_PLANS:
            self._plans.popitem(last=False)
        return self._plans[key]

    def _with_counts(self, key: _TablesKey, tables: Tables) -> Tables:
        """*tables* after `read_counts`, once; as they are if a file cannot be read."""
        if key not in self._counted:
            with suppress(*READ_ERRORS):  # A plan that reads this file meets it again.
                self._counted[key] = read_counts(tables, key.snapshot)
        return self._counted.get(key, tables)

    def _forget(self, tables: _TablesKey) -> None:
        self._counted.pop(tables, None)
        for key in [key for key in self._plans if key.tables == tables]:
            del self._plans[key]


def _opened[T](
    opened: OrderedDict[Snapshot, T],
    snapshot: Snapshot,
    open_it: Callable[[Snapshot], T],
) -> T:
    """What *open_it* has made of *snapshot*; the oldest of MAX_SNAPSHOTS is dropped."""
    if snapshot not in opened:
        opened[snapshot] = open_it(snapshot)
        if len(opened) > MAX_SNAPSHOTS:
            opened.popitem(last=False)
    return opened[snapshot]


def _tables_key(snapshot: Snapshot) -> _TablesKey:
    """Looks at the files each time: they are copies and may be deleted."""
    readable = (
        bool(snapshot.side_files(table, kind))
        for kind, tables in (
            (VISITS, visits.COLUMNS),
            (TALLIES, tallies.COLUMNS),
            (QUARTERS, quarters.COLUMNS),
        )
        for table in tables
    )
    return _TablesKey(snapshot, (sorted_activity.is_readable(snapshot), *readable))
