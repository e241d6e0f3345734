"""Visitor activity in chronological order, shared by traffic and reoccurring."""

from dataclasses import dataclass

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
    return _unpacked(rows.sort("packed"))


@dataclass(frozen=True, slots=True, eq=False)
class SortedActivity:
    """`activity` of most page views and estimations, sorted when they were stored.

    Attributes:
        rows: `activity` of them.
        unsorted_views: the visits of page views that are not in `rows`; None without any.
        unsorted_estimations: the same of estimations.
    """

    rows: pl.LazyFrame
    unsorted_views: pl.LazyFrame | None = None
    unsorted_estimations: pl.LazyFrame | None = None

    def complete(self, *, with_views: bool = True) -> pl.LazyFrame:
        """`activity` of all rows; each visitor's are together and in order of time.

        Without *with_views* page views may be missing. Visitors with unsorted visits are
        sorted again and come last: that takes half the time of sorting all.
        """
        unsorted = []
        if self.unsorted_views is not None and with_views:
            unsorted.append(_unsorted(self.unsorted_views, "viewed_at", False))
        if self.unsorted_estimations is not None:
            unsorted.append(_unsorted(self.unsorted_estimations, "estimated_at", True))
        if not unsorted:
            return self.rows
        visitor, again = pl.col("visitor"), pl.col("again")
        rows = pl.concat([self.rows.with_columns(is_sorted=pl.lit(True)), *unsorted])
        # A join gives the same result, but is_in() is faster.
        visitors = visitor.filter(~pl.col("is_sorted")).implode()
        marked = rows.with_columns(again=visitor.is_in(visitors)).cache()
        packed = _pack(pl.col("at"), pl.col("estimated").cast(pl.Int64))
        mixed = marked.filter(again).select(packed=packed).sort("packed")
        ready = marked.filter(~again).drop("is_sorted", "again")
        return pl.concat([ready, _unpacked(mixed)])


def _unsorted(visits: pl.LazyFrame, at: str, estimated: bool) -> pl.LazyFrame:
    """The *visits* that have a visitor, with the columns of `activity` and ``is_sorted``."""
    return visits.filter(pl.col("visitor").is_not_null()).select(
        "visitor", at=at, estimated=pl.lit(estimated), is_sorted=pl.lit(False)
    )


def _unpacked(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The columns of `activity` from rows of `_packed`."""
    packed, moment = pl.col("packed"), pl.col("moment")
    return rows.select(
        visitor=(packed // _VISITOR_STEP).cast(pl.UInt64, wrap_numerical=True),
        moment=packed.cast(pl.UInt64, wrap_numerical=True),
    ).select(
        "visitor",
        at=(moment // 2)
        .cast(pl.Int64, wrap_numerical=True)
        .cast(pl.Datetime("us", "UTC")),
        estimated=(moment & 1) == 1,
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
    """The rows that have a visitor as ``packed``, see `_pack`.

    ``visitor`` is a hash: two of a million visitors collide in one of 3·10⁷ databases.
    """
    known = rows.filter(pl.col("visitor").is_not_null())
    return known.select(packed=_pack(pl.col(at), pl.lit(kind, pl.Int64)))


def _pack(at: pl.Expr, kind: pl.Expr) -> pl.Expr:
    """Pack a row into UInt128: 64-bit ``visitor``, 63-bit time *at*, 1-bit *kind*.

    Example: visitor 7 at microsecond 5, kind 1, becomes 7 · 2⁶⁴ + 5 · 2 + 1.
    """
    moment = at.to_physical().fill_null(0).clip(0, 2**TIME_BITS - 1)
    high, low = (
        # Both are non-negative, so wrapping cannot occur and skips the range check.
        number.cast(pl.UInt128, wrap_numerical=True)
        for number in (pl.col("visitor"), moment * 2 + kind)
    )
    return high * _VISITOR_STEP + low
