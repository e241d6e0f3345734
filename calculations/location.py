"""Location and user agent: where users are, and what they use."""

import polars as pl

from calculations.shapes import TOP_GROUPS, as_list, count_by_name, hstack, top


def location(users: pl.LazyFrame) -> pl.LazyFrame:
    """One row shaped like LocationAndUserAgent.

    All users are grouped twice; every breakdown adds up what is then left.
    """
    agents = users.group_by("device", "os", "browser").agg(count=pl.len()).cache()
    everywhere = users.group_by("country", "region", "city").agg(count=pl.len()).cache()
    return hstack(
        *(
            as_list(name, top(count_by_name(agents, name)))
            for name in ("device", "os", "browser")
        ),
        as_list("country", top(count_by_name(everywhere, "country"), limit=TOP_GROUPS)),
        *(
            as_list(
                f"country_{place}",
                top(places(everywhere, place), "country", place, limit=TOP_GROUPS),
            )
            for place in ("region", "city")
        ),
    )


def places(counts: pl.LazyFrame, place: str) -> pl.LazyFrame:
    """Add up counts per country and *place*, nulls as they are: both, and ``count``."""
    return counts.group_by("country", place).agg(pl.col("count").sum())
