"""The mirrored tables, and the columns that the statistics need."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import polars as pl

from util.errors import SettingsError

EVENT_TABLE_NAMES: Final = ("events", "events_rejected", "audit")
"""The tables of events, which no database has; see `store.event_tables`."""


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

    @property
    def is_essential(self) -> bool:
        """True if the statistics need the table: without it a sync fails."""
        return bool(self.needs)


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


def serve_statistics(names: Collection[str]) -> bool:
    """True if the tables called *names* include all that the statistics need."""
    return all(name in names for name in TABLES)


def select_tables(
    chosen: Iterable[tuple[str, str]] | None, further: Iterable[tuple[str, str]] = ()
) -> list[Table]:
    """List the tables to mirror: the *further* ones, then those *chosen* by TABLES.

    Both are pairs of a name and a sync column. Without *chosen* they are those of the
    statistics. Some of these alone serve no statistics, so they need no columns. Raises
    SettingsError that names a table with two sync columns.
    """
    if chosen is None:
        chosen = [(table.name, table.key) for table in TABLES.values()]
    keys: dict[str, str] = {}
    for name, key in [*further, *chosen]:
        expected = TABLES[name].key if name in TABLES else keys.get(name, key)
        if key != expected:
            raise SettingsError(
                f"TABLES and SYNC_TABLES give {name} two sync columns, {expected} and "
                f"{key}: name it once"
                if name not in TABLES
                else f"TABLES or SYNC_TABLES names {name}:{key}, but that table's sync "
                f"column is {expected}"
            )
        keys[name] = key
    complete = serve_statistics(keys)
    return [
        TABLES[name] if complete and name in TABLES else Table(name, key)
        for name, key in keys.items()
    ]
