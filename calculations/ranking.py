"""Ranking: the rows of a breakdown for people, searched, ordered and cut in pages."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import polars as pl

from calculations.breakdown import Dimension, breakdown
from calculations.filters import NO_FILTERS, Filters, RoomState
from calculations.period import Period
from calculations.shapes import UNKNOWN, as_signed, count_by, hstack
from calculations.tables import Tables

PLACES: Final = frozenset({Dimension.REGION, Dimension.CITY})
"""Dimensions whose rows have a country."""


class BreakdownOrder(StrEnum):
    """Order of the rows of a breakdown: ascending, or descending with a minus."""

    COUNT = "count"
    COUNT_DESCENDING = "-count"
    NAME = "name"
    NAME_DESCENDING = "-name"


@dataclass(frozen=True, slots=True)
class BreakdownSearch:
    """Which rows to return.

    Attributes:
        limit: number of rows at most.
        offset: rows to skip.
        order: None for the order of the breakdown itself.
        text: part of a row's name, value or country, in any case; empty for all rows.
    """

    limit: int
    offset: int = 0
    order: BreakdownOrder | None = None
    text: str = ""


def ranking(
    tables: Tables,
    dimension: Dimension,
    period: Period,
    search: BreakdownSearch,
    filters: Filters = NO_FILTERS,
) -> pl.LazyFrame:
    """One row: ``total`` and ``total_count`` (Int64), and the list ``rows``.

    A row has ``value`` (String, null if missing), ``name`` (String), ``country``
    (String, null except for places), ``state`` (String, null except for rooms) and
    ``count`` (Int64).
    """
    rows = _rows(tables, dimension, period, filters)
    found = rows.filter(_contains(search.text)) if search.text else rows
    found = found.cache()
    return hstack(
        found.select(total=pl.len().cast(pl.Int64), total_count=pl.col("count").sum()),
        _ordered(found, search.order)
        .slice(search.offset, search.limit)
        .select(rows=pl.struct(pl.all()).implode()),
    )


def _rows(
    tables: Tables, dimension: Dimension, period: Period, filters: Filters
) -> pl.LazyFrame:
    if dimension is Dimension.ROOM:
        return _rooms(filters.apply(tables, period).within(period).votes, tables.rooms)
    rows = breakdown(tables, dimension, period, filters, keep_null=True)
    value = pl.col(dimension.value).cast(pl.String)
    country = pl.col("country") if dimension in PLACES else pl.lit(None, pl.String)
    return rows.select(
        value=value,
        name=value.fill_null(UNKNOWN),
        country=country,
        state=pl.lit(None, pl.String),
        count=pl.col("count").cast(pl.Int64),
    )


def _rooms(votes: pl.LazyFrame, rooms: pl.LazyFrame) -> pl.LazyFrame:
    """Votes per room name, largest first; rooms without a name and deleted ones last."""
    known = rooms.select(key=as_signed("id"), name=pl.col("name").cast(pl.String))
    name, exists = pl.col("name"), pl.col("exists").fill_null(False)
    state = (
        pl.when(~exists)
        .then(pl.lit(RoomState.DELETED.value))
        .when(name.is_null())
        .then(pl.lit(RoomState.UNNAMED.value))
        .otherwise(pl.lit(RoomState.NAMED.value))
    )
    labels = {
        RoomState.UNNAMED: "Rooms without a name",
        RoomState.DELETED: "Deleted rooms",
    }
    label = pl.coalesce(
        *(
            pl.when(pl.col("state") == each).then(pl.lit(text))
            for each, text in labels.items()
        ),
        pl.col("value"),
    )
    counts = count_by(votes, "room_id").with_columns(as_signed("key"))
    return (
        counts.join(known.with_columns(exists=pl.lit(True)), on="key", how="left")
        .group_by(value=name, state=state)
        .agg(pl.col("count").sum().cast(pl.Int64))
        .sort(
            pl.col("state") != RoomState.NAMED,
            "count",
            "state",
            "value",
            descending=[False, True, True, False],
        )
        .select(
            "value",
            name=label,
            country=pl.lit(None, pl.String),
            state="state",
            count="count",
        )
    )


def _contains(text: str) -> pl.Expr:
    wanted = text.lower()
    return pl.any_horizontal(
        pl.col(column)
        .str.to_lowercase()
        .str.contains(wanted, literal=True)
        .fill_null(False)
        for column in ("name", "value", "country")
    )


def _ordered(rows: pl.LazyFrame, order: BreakdownOrder | None) -> pl.LazyFrame:
    """Equal counts or names stay in the order of the breakdown."""
    if order is None:
        return rows
    return rows.sort(
        order.removeprefix("-"),
        descending=order.startswith("-"),
        maintain_order=True,
    )
