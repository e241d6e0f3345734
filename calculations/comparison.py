"""Comparison: a range next to the previous range, and the change in per cent."""

from typing import Any

import polars as pl
from pydantic import BaseModel

from calculations.analytics import (
    FEW_ROWS,
    NO_COLUMNS,
    collect,
    collect_as,
    validate_row,
)
from calculations.shapes import as_struct, hstack

# A plain assignment, not a `type` statement, which would become a published schema.
PercentChanges = dict[str, float | None]
"""Figure -> change in per cent."""


def compare(current: pl.LazyFrame, previous: pl.LazyFrame) -> pl.LazyFrame:
    """Join two one-row plans into one row: struct columns ``current``, ``previous``."""
    return hstack(as_struct("current", current), as_struct("previous", previous))


def collect_both(
    current: pl.LazyFrame, previous: pl.LazyFrame, engine: pl.Engine | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Run two one-row plans as one, by default in memory; return their rows."""
    if current is NO_COLUMNS:  # then no section of either applies
        return collect(current), collect(previous)
    both = collect(compare(current, previous), engine)
    return both["current"].struct.unnest(), both["previous"].struct.unnest()


def percent_changes(current: BaseModel, previous: BaseModel) -> PercentChanges:
    """Change of each figure in per cent of the previous one, to two decimals.

    Computed from the rounded figures as published; None where the previous one is 0.
    Fields that are not single numbers (breakdowns, series) are left out.
    """
    before = dict(previous)
    return {
        name: _percent_change(figure, before[name])
        for name, figure in current
        if isinstance(figure, int | float)
    }


def collect_figures[R: BaseModel](
    model: type[R], current: pl.LazyFrame, previous: pl.LazyFrame | None
) -> dict[str, Any]:
    """Run *current*, which aggregates few rows, and return the fields of *model*.

    With *previous*, run both as one plan and add ``previous`` (a *model*) and
    ``change`` (PercentChanges).
    """
    if previous is None:
        return dict(collect_as(model, current, optimizations=FEW_ROWS))
    now, before = (validate_row(model, row) for row in collect_both(current, previous))
    return {**dict(now), "previous": before, "change": percent_changes(now, before)}


def _percent_change(current: float, previous: float) -> float | None:
    if not previous:
        return None
    # Adding 0.0 turns -0.0 into 0.0.
    return round((current - previous) / previous * 100, 2) + 0.0
