"""Activity: what every visitor did, in order; shared by traffic and reoccurring."""

import polars as pl

TIME_BITS = 52
"""Microseconds since 1970 fit in here until the year 2112."""

IDENTITY_BITS = 128 - TIME_BITS - 1

IDENTITY_STEP = 2**24
"""Identities are multiples of it, so that a number of days fits in between."""


def activity(page_views: pl.LazyFrame, estimations: pl.LazyFrame) -> pl.LazyFrame:
    """All page views and estimations, sorted by visitor and then by time.

    Columns: ``visitor`` (UInt32, 1, 2, 3 … in no meaningful order), ``at``
    (Datetime[us, UTC]) and ``estimated`` (Boolean, false for a page view). Rows
    without a ``user_id`` are left out; one without a time counts as 1970.

    Sorting millions of (text, timestamp) pairs is what costs most in the whole
    answer, so each row becomes one integer first: who, when and what in 128 bits.
    """
    rows = pl.concat(
        [_packed(page_views, "viewed_at", 0), _packed(estimations, "estimated_at", 1)]
    )
    here, moment = pl.col("packed"), pl.col("moment")
    newcomer = (here ^ here.shift(1)) >= _power(TIME_BITS + 1)
    low_half = here.cast(pl.UInt64, wrap_numerical=True)
    return (
        rows.sort("packed")
        .select(
            visitor=newcomer.fill_null(True).cum_sum().cast(pl.UInt32),
            moment=low_half & (2 ** (TIME_BITS + 1) - 1),
        )
        .select(
            "visitor",
            at=(moment // 2).cast(pl.Int64).cast(pl.Datetime("us", "UTC")),
            estimated=(moment & 1) == 1,
        )
    )


def visitors(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """How many different visitors are in *rows* of activity (in its order): one column."""
    return rows.select(changes("visitor").sum().cast(pl.Int64).alias(name))


def changes(column: str) -> pl.Expr:
    """Where *column*, which has no nulls, differs from the row before; the first does."""
    return pl.col(column).ne_missing(pl.col(column).shift(1))


def _packed(rows: pl.LazyFrame, at: str, kind: int) -> pl.LazyFrame:
    """One column ``packed``: 75 bits of identity, 52 of time, one of *kind*.

    The identity is a hash, so two of a million visitors fall together once in
    10¹¹ snapshots; that is rarer than a memory error.
    """
    who = pl.col("user_id")
    moment = pl.col(at).to_physical().fill_null(0).clip(0, 2**TIME_BITS - 1)
    rest = who.hash(2) % 2 ** (IDENTITY_BITS - 64)
    low = rest * 2 ** (TIME_BITS + 1) + moment.cast(pl.UInt64) * 2 + kind
    return rows.filter(who.is_not_null()).select(
        packed=who.hash(1).cast(pl.UInt128) * _power(64) + low.cast(pl.UInt128)
    )


def _power(exponent: int) -> pl.Expr:
    return pl.lit(2**exponent, dtype=pl.UInt128)
