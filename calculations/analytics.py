"""Every section side by side: the whole answer is one row."""

from dataclasses import dataclass

import polars as pl
from pydantic import BaseModel

from calculations.activity import activity
from calculations.behaviour import behaviour
from calculations.historical import historical
from calculations.location import location
from calculations.period import Period
from calculations.reoccurring import reoccurring
from calculations.shapes import beside, section
from calculations.traffic import traffic
from calculations.votes import votes


@dataclass(frozen=True, slots=True)
class Tables:
    """The six tables of one snapshot, as the source has them."""

    page_views: pl.LazyFrame
    estimations: pl.LazyFrame
    votes: pl.LazyFrame
    users: pl.LazyFrame
    events: pl.LazyFrame
    rooms: pl.LazyFrame


def analytics(tables: Tables, period: Period) -> pl.LazyFrame:
    """One row shaped like Analytics.

    The sorted activity is what two sections share; the explicit cache() makes sure
    that it is computed once, since the optimizer does not find it by itself.
    """
    visits = activity(tables.page_views, tables.estimations).cache()
    return beside(
        section("traffic", traffic(tables.page_views, visits, period)),
        section("votes", votes(tables.votes, tables.estimations, period)),
        section(
            "behaviour",
            behaviour(tables.page_views, tables.events, tables.votes, tables.rooms),
        ),
        reoccurring(visits, tables.estimations, period),
        historical(
            users=tables.users,
            page_views=tables.page_views,
            rooms=tables.rooms,
            estimations=tables.estimations,
            votes=tables.votes,
            period=period,
        ),
        section("location_and_user_agent", location(tables.users)),
    )


def answer[R: BaseModel](
    shape: type[R], plan: pl.LazyFrame, engine: pl.Engine | None = None
) -> R:
    """Collect *plan*, once, and read its only row as *shape*."""
    return shape.model_validate(
        plan.collect(engine=engine or "auto").row(0, named=True)
    )
