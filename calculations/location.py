"""Location and user agent: where users are, and what they use."""

import polars as pl

from calculations.period import Period
from calculations.shapes import TOP, beside, largest, named, regrouped, series, tally


def location(users: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """One row shaped like LocationAndUserAgent; under a range, of users created in it."""
    users = period.of(users, "created_at")
    regions = places(users, "region").cache()
    return beside(
        *(
            series(name, largest(named(tally(users, name))))
            for name in ("device", "os", "browser")
        ),
        series("country", largest(named(regrouped(regions, "country")), top=TOP)),
        series("country_region", largest(regions, "country", "region", top=TOP)),
        series(
            "country_city", largest(places(users, "city"), "country", "city", top=TOP)
        ),
    )


def places(users: pl.LazyFrame, place: str) -> pl.LazyFrame:
    """Users per country and *place*, nulls as they are: ``country``, *place*, ``count``."""
    return users.group_by("country", place).agg(count=pl.len())
