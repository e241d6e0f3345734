"""Visitor activity in chronological order, shared by traffic and reoccurring."""

import polars as pl

TIME_BITS = 52
"""Bits for microseconds since 1970; enough until the year 2112."""

_VISITOR_STEP = pl.lit(2**64, dtype=pl.UInt128)


def activity(viewed: pl.LazyFrame, estimated: pl.LazyFrame) -> pl.LazyFrame:
    """All page views and estimations, sorted by visitor, then by time.

    *viewed* and *estimated* are those of `Tables`.

    Columns: ``visitor`` (UInt64), ``at`` (Datetime[us, UTC]) and ``estimated``
    (Boolean, false for a page view). Rows without a visitor are dropped; a missing
    time counts as 1970.

    Sorting millions of pairs dominates the cost of the whole answer, so each row is
    first packed into one 128-bit integer: visitor, time, kind.
    """
    rows = pl.concat(
        [_packed(viewed, "viewed_at", 0), _packed(estimated, "estimated_at", 1)]
    )
    packed, moment = pl.col("packed"), pl.col("moment")
    return (
        rows.sort("packed")
        .select(
            visitor=(packed // _VISITOR_STEP).cast(pl.UInt64, wrap_numerical=True),
            moment=packed.cast(pl.UInt64, wrap_numerical=True),
        )
        .select(
            "visitor",
            at=(moment // 2)
            .cast(pl.Int64, wrap_numerical=True)
            .cast(pl.Datetime("us", "UTC")),
            estimated=(moment & 1) == 1,
        )
    )


def visitors(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """Count distinct visitors in *rows* of `activity`: one row, column *name* (Int64).

    *rows* must still be sorted by visitor.
    """
    return rows.select(starts_run("visitor").sum().cast(pl.Int64).alias(name))


def starts_run(column: str) -> pl.Expr:
    """True where *column* (without nulls) differs from the row before; true first."""
    return pl.col(column).ne_missing(pl.col(column).shift(1))


def _packed(rows: pl.LazyFrame, at: str, kind: int) -> pl.LazyFrame:
    """Pack each row into ``packed`` (UInt128): 64-bit visitor, 63-bit time, 1-bit *kind*.

    Example: visitor 7 at microsecond 5, kind 1, becomes 7 · 2⁶⁴ + 5 · 2 + 1.

    ``visitor`` is a hash: two of a million visitors collide in one of 3·10⁷ databases.
    """
    moment = pl.col(at).to_physical().fill_null(0).clip(0, 2**TIME_BITS - 1)
    high, low = (
        # Both are non-negative, so wrapping cannot occur and skips the range check.
        number.cast(pl.UInt128, wrap_numerical=True)
        for number in (pl.col("visitor"), moment * 2 + kind)
    )
    return rows.filter(pl.col("visitor").is_not_null()).select(
        packed=high * _VISITOR_STEP + low
    )
