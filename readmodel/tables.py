"""The tables that are mirrored, and what the statistics need of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import polars as pl


class Kind(Enum):
    """What a needed column must hold; the source decides the exact dtype."""

    INTEGER = "an integer"
    NUMBER = "a number"
    TEXT = "text"
    INSTANT = "a timestamp"

    def fits(self, dtype: pl.DataType) -> bool:
        """Whether a column of *dtype* can serve."""
        match self:
            case Kind.INTEGER:
                return dtype.is_integer() or dtype == pl.Boolean
            case Kind.NUMBER:
                return dtype.is_numeric()
            case Kind.TEXT:
                return isinstance(dtype, pl.String | pl.Enum | pl.Categorical)
            case Kind.INSTANT:
                return isinstance(dtype, pl.Datetime)


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its name, its sync column, and the columns the statistics read."""

    name: str
    key: str
    needs: Mapping[str, Kind] = field(default_factory=dict)


_TABLES = (
    Table(
        "fpp_estimations",
        key="id",
        needs={
            "user_id": Kind.TEXT,
            "room_id": Kind.INTEGER,
            "estimation": Kind.NUMBER,
            "estimated_at": Kind.INSTANT,
        },
    ),
    Table("fpp_events", key="id", needs={"event": Kind.TEXT}),
    Table(
        "fpp_page_views",
        key="id",
        needs={
            "user_id": Kind.TEXT,
            "route": Kind.TEXT,
            "source": Kind.TEXT,
            "viewed_at": Kind.INSTANT,
        },
    ),
    Table(
        "fpp_rooms",
        key="id",
        needs={
            "id": Kind.INTEGER,
            "name": Kind.TEXT,
            "first_used_at": Kind.INSTANT,
        },
    ),
    Table(
        "fpp_users",
        key="created_at",
        needs={
            "device": Kind.TEXT,
            "os": Kind.TEXT,
            "browser": Kind.TEXT,
            "country": Kind.TEXT,
            "region": Kind.TEXT,
            "city": Kind.TEXT,
            "created_at": Kind.INSTANT,
        },
    ),
    Table(
        "fpp_votes",
        key="id",
        needs={
            "room_id": Kind.INTEGER,
            "avg_estimation": Kind.NUMBER,
            "min_estimation": Kind.NUMBER,
            "max_estimation": Kind.NUMBER,
            "amount_of_estimations": Kind.INTEGER,
            "amount_of_spectators": Kind.INTEGER,
            "duration": Kind.INTEGER,
            "voted_at": Kind.INSTANT,
        },
    ),
)

TABLES: Mapping[str, Table] = {table.name: table for table in _TABLES}
