"""Whole answers by a cluster, if there is one; who asks computes them otherwise."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Protocol

import polars as pl

from calculations.analytics import engine_for
from calculations.divided import collect_divided, divided_analytics
from calculations.filters import Filters
from calculations.period import Period
from readmodel.store.content import portable
from readmodel.store.snapshot import Snapshot
from routers.plan_cache import MAX_PLANS, PlanCache
from util.errors import ClusterError


class PlanCluster(Protocol):
    """A cluster that runs plans; it counts and logs what fails."""

    def require_workers(self) -> int:
        """How many workers may run plans. Raises ClusterError if there is none."""

    def engine(self, content: str, *, is_streaming: bool) -> pl.Engine:
        """An engine for plans over *content*, whose calls raise ClusterError."""

    def count_answer(self) -> None:
        """An answer was computed by the cluster."""

    def count_fallback(self, error: ClusterError) -> None:
        """An answer has to be computed here, because of *error*."""


class ClusterAnswers:
    """Computes the rows of `GET /` by a cluster, from plans of its own."""

    def __init__(self, cluster: PlanCluster, min_rows: int) -> None:
        """Leave questions about fewer than *min_rows* rows to others."""
        self._cluster = cluster
        self._min_rows = min_rows
        self._plans = PlanCache()
        self._divided = lru_cache(MAX_PLANS)(divided_analytics)

    def rows(
        self,
        snapshot: Snapshot,
        periods: Sequence[Period],
        sections: Collection[str],
        filters: Filters,
    ) -> list[pl.DataFrame] | None:
        """The rows of `analytics` for each of *periods*; None if they are not computed."""
        fraction = periods[0].fraction
        elsewhere = portable(snapshot)
        if elsewhere is None or snapshot.rows * fraction < self._min_rows:
            return None
        try:
            workers = self._cluster.require_workers()
            tables = self._plans.tables(elsewhere)
            question = (frozenset(sections), filters, workers)
            plans = [
                self._divided(tables, period.at_midnight(), *question)
                for period in periods
            ]
            is_streaming = isinstance(
                engine_for(snapshot.rows, fraction), pl.StreamingEngine
            )
            engine = self._cluster.engine(
                str(elsewhere.scan_folder), is_streaming=is_streaming
            )
            rows = collect_divided(plans, engine)
        except ClusterError as error:
            self._cluster.count_fallback(error)
            return None
        self._cluster.count_answer()
        return rows
