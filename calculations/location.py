"""Location and user agent: users per country, region, city, device, OS and browser."""

import polars as pl

from calculations.shapes import ROWS, TOP_GROUPS, as_list, count_by_name, hstack, top


def location(users: pl.LazyFrame, count: pl.Expr = ROWS) -> pl.LazyFrame:
    """One row shaped like LocationAndUserAgent; *count* is TALLIED if *users* is a tally.

    Users are grouped twice; each breakdown then adds up the remaining groups.
    """
    agents = users.group_by("device", "os", "browser").agg(count=count).cache()
    cities = users.group_by("country", "region", "city").agg(count=count).cache()
    return hstack(
        *(
            as_list(name, top(count_by_name(agents, name)))
            for name in ("device", "os", "browser")
        ),
        as_list("country", top(count_by_name(cities, "country"), limit=TOP_GROUPS)),
        *(
            as_list(
                f"country_{place}",
                top(places(cities, place), "country", place, limit=TOP_GROUPS),
            )
            for place in ("region", "city")
        ),
    )


def places(counts: pl.LazyFrame, place: str) -> pl.LazyFrame:
    """Add up ``count`` per ``country`` and *place*. Nulls form groups of their own."""
    return counts.group_by("country", place).agg(pl.col("count").sum())
