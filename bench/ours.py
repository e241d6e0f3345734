"""Our engine: the plans of `calculations`, collected as the API collects them."""

from collections.abc import Callable, Mapping
from functools import partial

import polars as pl

from bench.cases import ALL, PERIOD, SECTIONS, Answer, Dataset
from calculations.analytics import (
    SERIES,
    analytics,
    collect,
    engine_for,
    optimizations_for,
)
from calculations.daily import daily
from calculations.filters import NO_FILTERS, Filters
from calculations.period import Period
from calculations.room_stats import of_room, room_stats
from readmodel.store import snapshot
from readmodel.store.snapshot import Snapshot
from routers.tables import open_tables


class OurEngine:
    """Computes answers of one snapshot, which it opens once.

    *engine* replaces the API's choice of the Polars engine, *source* the current
    snapshot, *period* the days, *filters* select rows.
    """

    def __init__(
        self,
        data: Dataset,
        source: Snapshot | None = None,
        *,
        engine: pl.Engine | None = None,
        period: Period = PERIOD,
        filters: Filters = NO_FILTERS,
    ) -> None:
        self._snapshot = source or snapshot.current(data.data_dir)
        self._room_id = data.room_id
        self._engine = engine
        self._period = period
        self._filters = filters
        self._choice = engine_for(self._snapshot.rows, period.fraction)
        self._tables = open_tables(self._snapshot)
        self._kept: dict[str, pl.LazyFrame] = {}
        self._plans: Mapping[str, Callable[[], pl.LazyFrame]] = {
            "room_stats": self._room_stats,
            "daily": self._daily,
            ALL: partial(self._keep, ALL, frozenset(SECTIONS)),
            **{name: partial(self._keep, name, frozenset({name})) for name in SECTIONS},
        }

    def answer(self, case: str) -> Answer:
        """Collect the plan of *case*."""
        plan = self._plans[case]()
        optimizations = optimizations_for(self._snapshot.rows)
        row = collect(plan, self._engine_for(case), optimizations).row(0, named=True)
        answer: Answer = row[case] if case in SECTIONS - SERIES else row
        return answer

    def _engine_for(self, case: str) -> pl.Engine:
        """Like the routers: in memory for the few rows that a room or a day has."""
        large = case == ALL or case in SECTIONS
        return self._engine or (self._choice if large else pl.InMemoryEngine())

    def _keep(self, case: str, sections: frozenset[str]) -> pl.LazyFrame:
        """The plan of *sections*, kept like the API keeps it for one snapshot and day."""
        if case not in self._kept:
            self._kept[case] = analytics(
                self._tables, self._period.at_midnight(), sections, self._filters
            )
        return self._kept[case]

    def _room_stats(self) -> pl.LazyFrame:
        # Like the API, which opens only this table, for each request.
        votes = of_room(self._snapshot.scan("fpp_votes"), self._room_id)
        return room_stats(votes, self._period)

    def _daily(self) -> pl.LazyFrame:
        return daily(self._tables.votes, self._tables.page_views, self._period)
