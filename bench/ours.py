"""What this project answers with."""

from collections.abc import Callable

import polars as pl

from bench.cases import ALL, FLAT, PERIOD, SECTIONS, Asked, Row
from calculations.analytics import Tables, analytics, engine_for
from calculations.daily import daily
from calculations.period import Period
from calculations.room_stats import room_stats
from readmodel.store import snapshot

type Scan = Callable[[str], pl.LazyFrame]
"""Opens a table by its name."""


class Ours:
    """The plans of `calculations`, collected as the API collects them.

    With *engine* they are collected by that one instead of the API's choice, with
    *scan* and *visits* they read what those open, with *period* they are about other days.
    """

    def __init__(
        self,
        asked: Asked,
        scan: Scan | None = None,
        visits: Scan | None = None,
        *,
        engine: pl.Engine | None = None,
        period: Period = PERIOD,
    ) -> None:
        current = snapshot.current(asked.data_dir)
        self._scan = scan or current.scan
        self._visits = visits or current.visits
        self._room_id = asked.room_id
        self._engine = engine
        self._period = period
        self._choice = engine_for(current.rows, period.fraction)
        self._tables = self._opened()

    def ask(self, question: str) -> Row:
        plan = self._plan(question, self._tables)
        row = plan.collect(engine=self._engine_of(question)).row(0, named=True)
        section: Row = row[question] if question in SECTIONS - FLAT else row
        return section

    def _engine_of(self, question: str) -> pl.Engine:
        """As the routers choose: for few rows, which the filter leaves, in memory."""
        large = question == ALL or question in SECTIONS
        return self._engine or (self._choice if large else pl.InMemoryEngine())

    def _plan(self, question: str, tables: Tables) -> pl.LazyFrame:
        match question:
            case "room_stats":
                # The API opens votes anew for it, and no other table.
                votes = self._scan("fpp_votes")
                return room_stats(votes, self._room_id, self._period)
            case "daily":
                return daily(tables.votes, tables.page_views, self._period)
            case _ if question == ALL:
                return analytics(tables, self._period)
            case _:
                return analytics(tables, self._period, {question})

    def _opened(self) -> Tables:
        """Kept, as the API keeps them for one snapshot; opened by each question."""
        return Tables(
            page_views=self._scan("fpp_page_views"),
            viewed=self._visits("fpp_page_views"),
            estimations=self._scan("fpp_estimations"),
            estimated=self._visits("fpp_estimations"),
            votes=self._scan("fpp_votes"),
            users=self._scan("fpp_users"),
            events=self._scan("fpp_events"),
            rooms=self._scan("fpp_rooms"),
        )
