"""The mirrored tables, and the columns that the statistics need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import polars as pl


class ColumnKind(Enum):
    """The kind of value in a needed column; the source decides the exact dtype."""

    INTEGER = "an integer"
    NUMBER = "a number"
    TEXT = "text"
    INSTANT = "a timestamp"

    def fits(self, dtype: pl.DataType) -> bool:
        """True if a column of *dtype* has values of this kind."""
        match self:
            case ColumnKind.INTEGER:
                return dtype.is_integer()
            case ColumnKind.NUMBER:
                return dtype.is_numeric()
            case ColumnKind.TEXT:
                return isinstance(dtype, pl.String | pl.Enum | pl.Categorical)
            case ColumnKind.INSTANT:
                return isinstance(dtype, pl.Datetime)


@dataclass(frozen=True, slots=True)
class Table:
    """One mirrored table.

    `key` is its sync column, along which it is divided into blocks; `needs` are the
    columns that the statistics read.
    """

    name: str
    key: str
    needs: Mapping[str, ColumnKind] = field(default_factory=dict)


_TABLES = (
    Table(
        "fpp_estimations",
        key="id",
        needs={
            "user_id": ColumnKind.TEXT,
            "room_id": ColumnKind.INTEGER,
            "estimation": ColumnKind.NUMBER,
            "estimated_at": ColumnKind.INSTANT,
        },
    ),
    Table("fpp_events", key="id", needs={"event": ColumnKind.TEXT}),
    Table(
        "fpp_page_views",
        key="id",
        needs={
            "user_id": ColumnKind.TEXT,
            "route": ColumnKind.TEXT,
            "source": ColumnKind.TEXT,
            "viewed_at": ColumnKind.INSTANT,
        },
    ),
    Table(
        "fpp_rooms",
        key="id",
        needs={
            "id": ColumnKind.INTEGER,
            "name": ColumnKind.TEXT,
            "first_used_at": ColumnKind.INSTANT,
        },
    ),
    Table(
        "fpp_users",
        key="created_at",
        needs={
            "device": ColumnKind.TEXT,
            "os": ColumnKind.TEXT,
            "browser": ColumnKind.TEXT,
            "country": ColumnKind.TEXT,
            "region": ColumnKind.TEXT,
            "city": ColumnKind.TEXT,
            "created_at": ColumnKind.INSTANT,
        },
    ),
    Table(
        "fpp_votes",
        key="id",
        needs={
            "room_id": ColumnKind.INTEGER,
            "avg_estimation": ColumnKind.NUMBER,
            "min_estimation": ColumnKind.NUMBER,
            "max_estimation": ColumnKind.NUMBER,
            "amount_of_estimations": ColumnKind.INTEGER,
            "amount_of_spectators": ColumnKind.INTEGER,
            "duration": ColumnKind.INTEGER,
            "voted_at": ColumnKind.INSTANT,
        },
    ),
)

TABLES: Mapping[str, Table] = {table.name: table for table in _TABLES}
