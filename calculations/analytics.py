"""Every section side by side: the whole answer is one row."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import lru_cache

import polars as pl
from pydantic import BaseModel

from calculations.activity import activity
from calculations.behaviour import behaviour
from calculations.historical import historical
from calculations.location import location
from calculations.period import Period
from calculations.reoccurring import reoccurring
from calculations.results import Analytics
from calculations.shapes import as_struct, hstack
from calculations.traffic import traffic
from calculations.votes import votes


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The six tables of one snapshot, as the source has them, and who visited when.

    `viewed` and `estimated` are the rows of page views and estimations with ``visitor``
    (UInt64, a hash of ``user_id``; null where that is) and ``viewed_at``, or
    ``estimated_at`` and ``room_id``.
    """

    page_views: pl.LazyFrame
    viewed: pl.LazyFrame
    estimations: pl.LazyFrame
    estimated: pl.LazyFrame
    votes: pl.LazyFrame
    users: pl.LazyFrame
    events: pl.LazyFrame
    rooms: pl.LazyFrame

    def within(self, period: Period) -> "Tables":
        """The rows of the *period*.

        Where that is all of them, the explicit cache() makes sure that each file is
        read once. The optimizer does not find it by itself where one reader wants
        other columns or fewer rows; and it would no longer let a range choose what is
        read, below a cache with one reader.
        """
        if period.range is None:
            return replace(
                self,
                viewed=self.viewed.cache(),
                estimated=self.estimated.cache(),
                votes=self.votes.cache(),
                users=self.users.cache(),
                rooms=self.rooms.cache(),
            )
        return Tables(
            page_views=period.filter(self.page_views, "viewed_at"),
            viewed=period.filter(self.viewed, "viewed_at"),
            estimations=period.filter(self.estimations, "estimated_at"),
            estimated=period.filter(self.estimated, "estimated_at"),
            votes=period.filter(self.votes, "voted_at"),
            users=period.filter(self.users, "created_at"),
            events=period.filter(self.events, "event_at"),
            rooms=period.filter(self.rooms, "first_used_at"),
        )


STREAMING_ROWS = 3_000_000
"""From so many on the streaming engine is the faster one, see docs/performance.md."""

KEPT_PLANS = 16
"""What a dashboard's users ask for by turns; a plan takes less than a megabyte."""

SERIES = {"reoccurring", "historical"}
"""Sections that are one list of rows already."""

SECTIONS = tuple(Analytics.model_fields)
"""What `analytics` can answer, in the order in which it does."""


def analytics(
    tables: Tables, period: Period, sections: Collection[str] = SECTIONS
) -> pl.LazyFrame:
    """One row shaped like Analytics, with only the *sections* asked for.

    The plan is kept for whoever asks the same of the same *tables* on the same day: at
    130,000 rows, making it takes as long as decoding them. Nothing that was read is in
    it. See docs/decisions/kept-plans.md.
    """
    return _plan(tables, period.at_midnight(), frozenset(sections))


@lru_cache(maxsize=KEPT_PLANS)
def _plan(tables: Tables, period: Period, sections: frozenset[str]) -> pl.LazyFrame:
    # The sorted activity is what two sections share; the explicit cache() makes sure
    # that it is computed once, since the optimizer does not find it by itself.
    within = tables.within(period)
    # Who comes back is told by estimations alone; only traffic needs the page views.
    views = within.viewed if "traffic" in sections else within.viewed.clear()
    visits = activity(views, within.estimated).cache()
    ever = tables if period.range else within
    plans: dict[str, Callable[[], pl.LazyFrame]] = {
        "traffic": lambda: traffic(within.viewed, visits, period),
        "votes": lambda: votes(within.votes, within.estimations, period),
        "behaviour": lambda: behaviour(
            within.page_views, within.events, within.votes, ever.rooms
        ),
        "reoccurring": lambda: reoccurring(visits, ever.estimated, period),
        "historical": lambda: historical(
            users=within.users,
            page_views=within.viewed,
            rooms=within.rooms,
            estimations=within.estimated,
            votes=within.votes,
            period=period,
        ),
        "location_and_user_agent": lambda: location(within.users),
    }
    return hstack(
        *(
            plan() if name in SERIES else as_struct(name, plan())
            for name, plan in plans.items()
            if name in sections
        )
    )


def engine_for(rows: int, share: float = 1) -> pl.Engine:
    """The engine that answers fastest over that *share* of so many *rows* together."""
    much = rows * share > STREAMING_ROWS
    return pl.StreamingEngine() if much else pl.InMemoryEngine()


def answer[R: BaseModel](
    shape: type[R], plan: pl.LazyFrame, engine: pl.Engine | None = None
) -> R:
    """Collect *plan*, once, and `read` its only row as *shape*; in memory by default."""
    return read(shape, rows(plan, engine))


def rows(plan: pl.LazyFrame, engine: pl.Engine | None = None) -> pl.DataFrame:
    """Collect *plan*: the only place that does; in memory by default."""
    return plan.collect(engine=engine or pl.InMemoryEngine())


def read[R: BaseModel](shape: type[R], row: pl.DataFrame) -> R:
    """The only row of *row*, validated as *shape*."""
    return shape.model_validate(row.row(0, named=True))
