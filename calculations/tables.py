"""The tables that the statistics read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from calculations.activity import SortedActivity
from calculations.period import Period

TIMES: Final = {
    "users": "created_at",
    "page_views": "viewed_at",
    "rooms": "first_used_at",
    "estimations": "estimated_at",
    "votes": "voted_at",
}
"""Table -> the column that says when its rows happened."""


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The six source tables of one snapshot, and the visits in two of them.

    Attributes:
        viewed: the visits of page views: ``visitor`` (UInt64, a hash of ``user_id``,
            null where it is null), ``viewed_at``, ``route`` and ``source``.
        matching_views: those that a filter selects by their route or source, while
            `viewed` has all of their visitors; None without such a filter.
        estimated: the visits of estimations: ``visitor``, ``estimated_at`` and
            ``room_id``.
        page_view_tally: page views per ``route`` and ``source``, as ``count``; of one
            combination in several rows. None if the page views must be counted.
        event_tally: the same for events per ``event``.
        user_tally: the same for users per device, os, browser, country, region, city.
        estimation_tally: the same for estimations per ``estimation``.
        vote_tally: `vote_sums` of some votes in each row.
        quarters: rows per quarter of an hour, by the name of their table: its time,
            which is the begin of a quarter, ``count``, and of estimations ``room_id``.
            Without those that must be counted.
        sorted_activity: most of the activity, sorted. None if all must be sorted.

    ``estimations``, ``events`` and ``users`` have ``visitor``, too, if their table has a
    column for the user.
    """

    viewed: pl.LazyFrame
    estimations: pl.LazyFrame
    estimated: pl.LazyFrame
    votes: pl.LazyFrame
    users: pl.LazyFrame
    events: pl.LazyFrame
    rooms: pl.LazyFrame
    matching_views: pl.LazyFrame | None = None
    page_view_tally: pl.LazyFrame | None = None
    event_tally: pl.LazyFrame | None = None
    user_tally: pl.LazyFrame | None = None
    estimation_tally: pl.LazyFrame | None = None
    vote_tally: pl.LazyFrame | None = None
    quarters: Mapping[str, pl.LazyFrame] = field(default_factory=dict)
    sorted_activity: SortedActivity | None = None

    @property
    def page_views(self) -> pl.LazyFrame:
        """The page views to count."""
        return self.viewed if self.matching_views is None else self.matching_views

    def without_tallies(self) -> "Tables":
        """Tables whose rows were selected: tallies and the like are of all rows."""
        return replace(self._without_totals(), quarters={})

    def _without_totals(self) -> "Tables":
        """Tables without tallies and sorted activity, which are of all time."""
        return replace(
            self,
            page_view_tally=None,
            event_tally=None,
            user_tally=None,
            estimation_tally=None,
            vote_tally=None,
            sorted_activity=None,
        )

    def moments(self, name: str) -> pl.LazyFrame:
        """The quarters of table *name*, or else its visits or rows."""
        if name in self.quarters:
            return self.quarters[name]
        rows: pl.LazyFrame = getattr(
            self, "estimated" if name == "estimations" else name
        )
        return rows

    def within(self, period: Period) -> "Tables":
        """Tables with only the rows in the range of *period*, if it has one.

        Without a range, cache() makes each file be read once: the optimizer does not
        merge scans that differ in columns or rows. With a range it is omitted: it
        would block predicate pushdown into the scan. There are no tallies of a range,
        and quarters only if it begins and ends with one.
        """
        if period.range is None:
            return replace(
                self,
                viewed=self._read_once("page_views", self.viewed),
                estimated=self._read_once("estimations", self.estimated),
                votes=self.votes.cache(),
                users=self.users.cache(),
                rooms=self.rooms.cache(),
                quarters={name: rows.cache() for name, rows in self.quarters.items()},
            )
        return replace(
            self._without_totals(),
            viewed=period.filter(self.viewed, "viewed_at"),
            estimations=period.filter(self.estimations, "estimated_at"),
            estimated=period.filter(self.estimated, "estimated_at"),
            votes=period.filter(self.votes, "voted_at"),
            users=period.filter(self.users, "created_at"),
            events=period.filter(self.events, "event_at"),
            rooms=period.filter(self.rooms, "first_used_at"),
            quarters={
                name: period.filter(rows, TIMES[name])
                for name, rows in self.quarters.items()
                if period.has_whole_quarters
            },
        )

    def _read_once(self, name: str, visits: pl.LazyFrame) -> pl.LazyFrame:
        """The *visits* of table *name*, cached if they are counted, too."""
        return visits if name in self.quarters else visits.cache()

    def of_visitors(self, number: int, ranges: int) -> "Tables":
        """Tables with only the visits in range *number* of *ranges* of visitors.

        The ranges divide the hash: 0 of 2 has the visitors below 2⁶³, and the rows
        without a visitor.
        """
        first, end = (2**64 * bound // ranges for bound in (number, number + 1))
        low, high = (pl.lit(bound, pl.UInt64) for bound in (first, end - 1))
        inside = pl.col("visitor").fill_null(0).is_between(low, high)
        return replace(
            self,
            viewed=self.viewed.filter(inside),
            estimated=self.estimated.filter(inside),
            sorted_activity=None,
        )
