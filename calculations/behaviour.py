"""Behaviour: where visitors go, what they do, where they come from, which rooms vote."""

import polars as pl

from calculations.shapes import (
    TOP_GROUPS,
    as_list,
    count_by,
    count_by_name,
    hstack,
    regroup,
    top,
)

SOURCES = {
    "Teams": r"teams\.",
    "Google Ads": r"ads\.|google_ads",
    "Google Search": r"www\.google\.com",
    "Free Planning Poker": r"free-planning-poker\.com",
    "CV": "cv",
    "Email": "email",
    "GitHub": r"github\.com",
    "Bing": r"bing\.com",
}
"""Category -> the pattern to search for; the first that is found takes the source."""

OTHER = "Other"


def behaviour(
    page_views: pl.LazyFrame,
    events: pl.LazyFrame,
    votes: pl.LazyFrame,
    rooms: pl.LazyFrame,
) -> pl.LazyFrame:
    """One row shaped like Behaviour; page views are grouped once for both of theirs."""
    views = page_views.group_by("route", "source").agg(count=pl.len()).cache()
    return hstack(
        as_list("routes", count_by_name(views, "route").sort("key")),
        as_list("events", top(count_by_name(count_by(events, "event")))),
        as_list("sources", top(sources(regroup(views, "source")))),
        as_list("rooms", top(busy_rooms(votes, rooms), limit=TOP_GROUPS)),
    )


def sources(counts: pl.LazyFrame) -> pl.LazyFrame:
    """Page views per source category (``key``, ``count``); OTHER is always there.

    *counts* are those per source, so that patterns meet each different one once.
    """
    found = counts.drop_nulls("key")
    source = pl.col("key").cast(pl.String)
    category = pl.coalesce(
        pl.when(source.str.contains(pattern)).then(pl.lit(name))
        for name, pattern in SOURCES.items()
    ).fill_null(OTHER)
    always = pl.LazyFrame(
        {"key": [OTHER], "count": [0]},
        schema={"key": pl.String, "count": pl.get_index_type()},
    )
    return (
        pl.concat([found.select(category.alias("key"), "count"), always])
        .group_by("key")
        .agg(pl.col("count").sum())
    )


def busy_rooms(votes: pl.LazyFrame, rooms: pl.LazyFrame) -> pl.LazyFrame:
    """Votes per room name (``key``, ``count``); rooms that are gone have none."""
    names = rooms.select(pl.col("id").cast(pl.Int64), "name")
    counts = count_by(votes, "room_id").with_columns(pl.col("key").cast(pl.Int64))
    return count_by_name(
        counts.join(names, left_on="key", right_on="id", how="left").select(
            "count", key="name"
        )
    )
