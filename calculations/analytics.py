"""All sections in one plan: the whole answer is one row."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

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
    """The six source tables of one snapshot, and the visits in two of them.

    Attributes:
        viewed: the visits of page views: ``visitor`` (UInt64, a hash of ``user_id``,
            null where it is null) and ``viewed_at``.
        estimated: the visits of estimations: ``visitor``, ``estimated_at`` and
            ``room_id``.
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
        """Tables with only the rows in the range of *period*, if it has one.

        Without a range, cache() makes each file be read once: the optimizer does not
        merge scans that differ in columns or rows. With a range it is omitted: it
        would block predicate pushdown into the scan.
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
"""Above this many rows the streaming engine is faster, see docs/performance.md."""

SERIES = {"reoccurring", "historical"}
"""Sections that are a list of rows rather than an object."""

SECTIONS = tuple(Analytics.model_fields)
"""Names of all sections, in the order of the answer."""


def analytics(
    tables: Tables, period: Period, sections: Collection[str] = SECTIONS
) -> pl.LazyFrame:
    """One row shaped like Analytics, with a column for each of *sections*.

    A pure function: the plan depends on ``period.now`` only through ``period.today``.
    A caller that keeps plans passes ``period.at_midnight()``, which is equal for all
    moments of a day. See docs/decisions/kept-plans.md.
    """
    within = tables.within(period)
    # Only traffic needs page views; reoccurring needs estimations alone.
    views = within.viewed if "traffic" in sections else within.viewed.clear()
    # Two sections share the sorted activity. The optimizer does not detect that, so
    # cache() makes sure that it is computed once.
    visits = activity(views, within.estimated).cache()
    all_time = tables if period.range else within
    plans: dict[str, Callable[[], pl.LazyFrame]] = {
        "traffic": lambda: traffic(within.viewed, visits, period),
        "votes": lambda: votes(within.votes, within.estimations, period),
        "behaviour": lambda: behaviour(
            within.page_views, within.events, within.votes, all_time.rooms
        ),
        "reoccurring": lambda: reoccurring(visits, all_time.estimated, period),
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


def engine_for(rows: int, fraction: float = 1) -> pl.Engine:
    """The faster engine for a plan that reads *fraction* (0 to 1) of *rows*."""
    large = rows * fraction > STREAMING_ROWS
    return pl.StreamingEngine() if large else pl.InMemoryEngine()


def collect(plan: pl.LazyFrame, engine: pl.Engine | None = None) -> pl.DataFrame:
    """Run *plan*, by default in memory. No other function collects a plan."""
    return plan.collect(engine=engine or pl.InMemoryEngine())


def collect_as[R: BaseModel](
    model: type[R], plan: pl.LazyFrame, engine: pl.Engine | None = None
) -> R:
    """Run *plan*, by default in memory, and validate its only row as *model*."""
    return validate_row(model, collect(plan, engine))


def validate_row[R: BaseModel](model: type[R], frame: pl.DataFrame) -> R:
    """Validate the only row of *frame* as *model*."""
    return model.model_validate(frame.row(0, named=True))
