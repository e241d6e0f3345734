"""Our engine: the plans of `calculations`, collected as the API collects them."""

import polars as pl

from bench.cases import ALL, PERIOD, SECTIONS, Answer, Dataset
from calculations.analytics import (
    SERIES,
    analytics,
    collect,
    collect_side_by_side,
    engine_for,
    halves,
    optimizations_for,
)
from calculations.daily import daily
from calculations.filters import NO_FILTERS, Filters
from calculations.period import Period
from calculations.room_stats import of_room, room_stats
from readmodel.store import snapshot
from readmodel.store.snapshot import Snapshot
from routers.tables import open_tables, read_counts


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
        self._period = period
        self._filters = filters
        self._engine = engine or engine_for(self._snapshot.rows, period.fraction)
        self._tables = read_counts(open_tables(self._snapshot), self._snapshot)
        self._kept: dict[frozenset[str], pl.LazyFrame] = {}
        self._optimizations = optimizations_for(self._snapshot.rows)

    def answer(self, case: str) -> Answer:
        """Collect the plan of *case*, in memory for the few rows of a room or a day."""
        if case == "room_stats":
            return self._in_memory(self._room_stats())
        if case == "daily":
            return self._in_memory(self._daily())
        if case == ALL:
            return self._sections(frozenset(SECTIONS)).row(0, named=True)
        row = self._sections(frozenset({case})).row(0, named=True)
        answer: Answer = row[case] if case in SECTIONS - SERIES else row
        return answer

    def _in_memory(self, plan: pl.LazyFrame) -> Answer:
        return collect(plan, optimizations=self._optimizations).row(0, named=True)

    def _sections(self, sections: frozenset[str]) -> pl.DataFrame:
        """One row, computed as the routers do."""
        if isinstance(self._engine, pl.StreamingEngine):
            return collect(self._keep(sections), self._engine, self._optimizations)
        plans = list(map(self._keep, halves(sections)))
        rows = collect_side_by_side(plans, self._optimizations)
        return pl.concat(rows, how="horizontal")

    def _keep(self, sections: frozenset[str]) -> pl.LazyFrame:
        """The plan of *sections*, kept like the API keeps it for one snapshot and day."""
        if sections not in self._kept:
            self._kept[sections] = analytics(
                self._tables, self._period.at_midnight(), sections, self._filters
            )
        return self._kept[sections]

    def _room_stats(self) -> pl.LazyFrame:
        # Like the API, which opens only this table, for each request.
        votes = of_room(self._snapshot.scan("fpp_votes"), self._room_id)
        return room_stats(votes, self._period)

    def _daily(self) -> pl.LazyFrame:
        return daily(self._tables.votes, self._tables.page_views, self._period)
