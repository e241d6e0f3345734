"""Activity: what every visitor did, in order; shared by traffic and reoccurring."""

import polars as pl

TIME_BITS = 52
"""Microseconds since 1970 fit in here until the year 2112."""

_VISITOR_STEP = pl.lit(2**64, dtype=pl.UInt128)


def activity(viewed: pl.LazyFrame, estimated: pl.LazyFrame) -> pl.LazyFrame:
    """All page views and estimations, sorted by visitor and then by time.

    *viewed* and *estimated* are those of `Tables`.

    Columns: ``visitor`` (UInt32, 1, 2, 3 … in no meaningful order), ``at``
    (Datetime[us, UTC]) and ``estimated`` (Boolean, false for a page view). Rows
    without a visitor are left out; one without a time counts as 1970.

    Sorting millions of pairs is what costs most in the whole answer, so each row
    becomes one integer first: who, when and what in 128 bits.
    """
    rows = pl.concat(
        [_packed(viewed, "viewed_at", 0), _packed(estimated, "estimated_at", 1)]
    )
    here, moment = pl.col("packed"), pl.col("moment")
    newcomer = (here ^ here.shift(1)) >= _VISITOR_STEP
    return (
        rows.sort("packed")
        .select(
            visitor=newcomer.fill_null(True).cum_sum().cast(pl.UInt32),
            moment=here.cast(pl.UInt64, wrap_numerical=True),
        )
        .select(
            "visitor",
            at=(moment // 2).cast(pl.Int64).cast(pl.Datetime("us", "UTC")),
            estimated=(moment & 1) == 1,
        )
    )


def visitors(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """How many different visitors are in *rows* of activity (in its order): one column."""
    return rows.select(starts_run("visitor").sum().cast(pl.Int64).alias(name))


def starts_run(column: str) -> pl.Expr:
    """Where *column*, which has no nulls, differs from the row before; the first does."""
    return pl.col(column).ne_missing(pl.col(column).shift(1))


def _packed(rows: pl.LazyFrame, at: str, kind: int) -> pl.LazyFrame:
    """One column ``packed`` (UInt128): 64 bits of identity, then time, one of *kind*.

    The identity is a hash: two of a million visitors fall together in one of 3·10⁷
    databases.
    """
    moment = pl.col(at).to_physical().fill_null(0).clip(0, 2**TIME_BITS - 1)
    high, low = (
        # Neither is negative, so nothing can wrap, and nothing has to be checked.
        number.cast(pl.UInt128, wrap_numerical=True)
        for number in (pl.col("visitor"), moment * 2 + kind)
    )
    return rows.filter(pl.col("visitor").is_not_null()).select(
        packed=high * _VISITOR_STEP + low
    )
