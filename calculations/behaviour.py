"""Behaviour: pages visited, events, traffic sources, and the busiest rooms."""

import polars as pl

from calculations.shapes import (
    ROWS,
    TOP_GROUPS,
    as_list,
    as_signed,
    count_by,
    count_by_name,
    hstack,
    regroup,
    top,
)
from calculations.sources import OTHER, category


def behaviour(
    page_views: pl.LazyFrame,
    events: pl.LazyFrame,
    votes: pl.LazyFrame,
    rooms: pl.LazyFrame,
    *,
    view_count: pl.Expr = ROWS,
    event_count: pl.Expr = ROWS,
) -> pl.LazyFrame:
    """One row shaped like Behaviour; a count is TALLIED where rows are tallied.

    Page views are grouped once, by route and source together, for both breakdowns.
    """
    views = page_views.group_by("route", "source").agg(count=view_count).cache()
    return hstack(
        as_list("routes", count_by_name(views, "route").sort("key")),
        as_list("events", top(count_by_name(count_by(events, "event", event_count)))),
        as_list("sources", top(sources(regroup(views, "source")))),
        as_list("rooms", top(busy_rooms(votes, rooms), limit=TOP_GROUPS)),
    )


def sources(counts: pl.LazyFrame) -> pl.LazyFrame:
    """Page views per source category: ``key``, ``count``. OTHER is always present.

    *counts* is already grouped by source, so each distinct source is matched once.
    Null sources are not counted.
    """
    known = counts.drop_nulls("key")
    zero_other = pl.LazyFrame(
        {"key": [OTHER], "count": [0]},
        schema={"key": pl.String, "count": pl.get_index_type()},
    )
    return (
        pl.concat(
            [known.select(category(pl.col("key")).alias("key"), "count"), zero_other]
        )
        .group_by("key")
        .agg(pl.col("count").sum())
    )


def busy_rooms(votes: pl.LazyFrame, rooms: pl.LazyFrame) -> pl.LazyFrame:
    """Votes per room name: ``key``, ``count``. Deleted rooms count as ``UNKNOWN``."""
    names = rooms.select(as_signed("id"), "name")
    counts = count_by(votes, "room_id").with_columns(as_signed("key"))
    return count_by_name(
        counts.join(names, left_on="key", right_on="id", how="left").select(
            "count", key="name"
        )
    )
