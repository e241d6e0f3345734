"""Comparison: a stretch hstack the one before, and the change in per cent."""

from typing import Any

import polars as pl
from pydantic import BaseModel

from calculations.analytics import answer
from calculations.results import Result
from calculations.shapes import as_struct, hstack

type Change = dict[str, float | None]


class Compared[R: BaseModel](Result):
    """The same answer about two stretches."""

    now: R
    before: R


def compared(now: pl.LazyFrame, before: pl.LazyFrame) -> pl.LazyFrame:
    """Two one-row plans as one row shaped like Compared."""
    return hstack(as_struct("now", now), as_struct("before", before))


def change(now: BaseModel, before: BaseModel) -> Change:
    """Per figure of both answers, the change in per cent of the earlier one.

    From the figures as they are shown, two decimals; null where the earlier is 0.
    Only single numbers are compared, neither breakdowns nor series.
    """
    earlier = dict(before)
    return {
        name: _per_cent(figure, earlier[name])
        for name, figure in now
        if isinstance(figure, int | float)
    }


def single_figures[R: BaseModel](
    shape: type[R], now: pl.LazyFrame, before: pl.LazyFrame | None
) -> dict[str, Any]:
    """The fields of *shape*, and ``previous`` and ``change`` where *before* is given."""
    if before is None:
        return dict(answer(shape, now))
    both = answer(Compared[shape], compared(now, before))  # type: ignore[valid-type]
    return {
        **dict(both.now),
        "previous": both.before,
        "change": change(both.now, both.before),
    }


def _per_cent(now: float, before: float) -> float | None:
    if not before:
        return None
    return round((now - before) / before * 100, 2) + 0.0  # no minus zero
