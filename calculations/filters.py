"""Filters: limit the tables of a query to the rows of some users or of some rooms.

See docs/statistics.md for the meaning of each dimension in each table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import polars as pl
from polars._typing import JoinStrategy

from calculations.period import Period
from calculations.shapes import as_signed
from calculations.sources import category
from calculations.tables import Tables


class FilterDimension(StrEnum):
    """What a filter selects by."""

    COUNTRY = "country"
    REGION = "region"
    CITY = "city"
    DEVICE = "device"
    OS = "os"
    BROWSER = "browser"
    SOURCE = "source"
    ROUTE = "route"
    EVENT = "event"
    ROOM = "room"
    ROOM_ID = "room_id"
    ROOM_STATE = "room_state"


class RoomState(StrEnum):
    """What is known of a room."""

    NAMED = "named"
    UNNAMED = "unnamed"
    DELETED = "deleted"


USER_ATTRIBUTES: Final = frozenset(
    {
        FilterDimension.COUNTRY,
        FilterDimension.REGION,
        FilterDimension.CITY,
        FilterDimension.DEVICE,
        FilterDimension.OS,
        FilterDimension.BROWSER,
    }
)
PAGE_VIEW_DIMENSIONS: Final = frozenset({FilterDimension.SOURCE, FilterDimension.ROUTE})
EVENT_DIMENSIONS: Final = frozenset({FilterDimension.EVENT})
ROOM_DIMENSIONS: Final = frozenset(
    {FilterDimension.ROOM, FilterDimension.ROOM_ID, FilterDimension.ROOM_STATE}
)

USER_TABLES: Final = (
    "page_views",
    "viewed",
    "estimations",
    "estimated",
    "users",
    "events",
)
"""Tables whose rows belong to a user."""

ROOM_TABLES: Final = ("votes", "rooms", "estimations", "estimated")
"""Tables whose rows belong to a room."""

_NOUNS: Final = {
    "page_views": "A page view",
    "viewed": "A page view",
    "users": "A user",
    "events": "An event",
    "votes": "A vote",
    "rooms": "A room",
}
"""Table -> one row of it. Estimations belong to a user and to a room."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The values of one dimension that match.

    Attributes:
        included: the values that match; empty if all do that are not excluded. None
            is a missing value.
        excluded: the values that do not match.
    """

    dimension: FilterDimension
    included: frozenset[str | None] = frozenset()
    excluded: frozenset[str | None] = frozenset()

    def matches(self, value: str | None) -> bool:
        """True if *value* matches."""
        included = not self.included or value in self.included
        return included and value not in self.excluded

    def expression(self) -> pl.Expr:
        """True where a row of the table that has the attribute matches; never null."""
        values = _VALUES.get(self.dimension, pl.col(self.dimension).cast(pl.String))
        return self.expression_on(values)

    def expression_on(self, values: pl.Expr) -> pl.Expr:
        """True where the *values* match; never null."""
        tests = []
        if self.included:
            tests.append(values.is_in(self._listed(self.included), nulls_equal=True))
        if self.excluded:
            tests.append(~values.is_in(self._listed(self.excluded), nulls_equal=True))
        return pl.all_horizontal(tests)

    def _listed(self, values: frozenset[str | None]) -> list[str | None] | list[int]:
        """In an order of their own, so that equal conditions have equal plans."""
        if self.dimension is FilterDimension.ROOM_ID:
            return sorted(int(value) for value in values if value is not None)
        return sorted(values, key=lambda value: (value is None, value or ""))


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions that must all match; one per dimension, in the order of dimensions."""

    conditions: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        """True if there is a condition."""
        return bool(self.conditions)

    def select(self, dimensions: Iterable[FilterDimension]) -> "Filters":
        """The conditions on *dimensions* alone."""
        chosen = frozenset(dimensions)
        return Filters(tuple(c for c in self.conditions if c.dimension in chosen))

    def matches_absent(self) -> bool:
        """True if a user or room matches that is no longer in the database."""
        states = {FilterDimension.ROOM_STATE: RoomState.DELETED}
        return all(c.matches(states.get(c.dimension)) for c in self.conditions)

    @property
    def of_users(self) -> "Filters":
        """The conditions that select users rather than rooms."""
        return self.select(USER_ATTRIBUTES | PAGE_VIEW_DIMENSIONS | EVENT_DIMENSIONS)

    @property
    def of_rooms(self) -> "Filters":
        """The conditions that select rooms."""
        return self.select(ROOM_DIMENSIONS)

    @property
    def of_page_views(self) -> "Filters":
        """The conditions on attributes of page views."""
        return self.select(PAGE_VIEW_DIMENSIONS)

    def apply(self, tables: Tables, period: Period) -> Tables:
        """The *tables* with matching rows only; those in `inapplicable` without any.

        Page views and events that select users, and are selected themselves, are those
        in the range of *period*; apart from that the range is not applied.
        """
        if not self:
            return tables
        skipped = self.inapplicable(tables)
        filtered = {name: getattr(tables, name).clear() for name in skipped}
        for names, selections in (
            (USER_TABLES, _select_users(self, tables, period)),
            (ROOM_TABLES, _select_rooms(self, tables)),
        ):
            for name in names:
                if name not in skipped:
                    rows = filtered.get(name, getattr(tables, name))
                    filtered[name] = _select(name, rows, selections)
        views = filtered.pop("page_views")
        if self.of_page_views:
            filtered["matching_views"] = views
        return replace(tables, **filtered).without_tallies()

    def expression(self) -> pl.Expr:
        """True where a row of the table that has all attributes matches."""
        return pl.all_horizontal(c.expression() for c in self.conditions)

    def matching(
        self, rows: pl.LazyFrame, tally: pl.LazyFrame | None = None
    ) -> pl.LazyFrame:
        """The matching *rows* of the table that has all attributes.

        Patterns are searched for in each distinct source rather than in each row: of
        a million page views, that takes 0.1 instead of 0.9 s. A *tally* of the table
        has them all.
        """
        direct = tuple(c for c in self.conditions if c.dimension not in _GROUPED)
        if direct:
            rows = rows.filter(Filters(direct).expression())
        for condition in self.select(_GROUPED).conditions:
            # A column of its own, or the filter would be pushed below unique().
            values = rows if tally is None else tally
            found = values.select(condition.dimension).unique()
            found = found.with_columns(matches=condition.expression()).filter("matches")
            # The join of strings takes twice as long if it must find nulls, too.
            rows = rows.join(
                found,
                on=condition.dimension,
                how="semi",
                nulls_equal=condition.matches(None),
            )
        return rows

    def inapplicable(self, tables: Tables) -> Mapping[str, str]:
        """The *tables* (names of fields) that cannot be filtered, and why."""
        reasons: dict[str, str] = {}
        for filters, owner, owned in (
            (self.of_rooms, "room", ROOM_TABLES),
            (self.of_users, "user", USER_TABLES),
        ):
            if filters:
                reasons |= {
                    name: f"{noun} has no {owner}: {filters.names} does not apply."
                    for name, noun in _NOUNS.items()
                    if name not in owned
                }
        return self.unjoinable(tables) | reasons

    @property
    def names(self) -> str:
        """The dimensions, separated by commas."""
        return ", ".join(c.dimension for c in self.conditions)

    def unjoinable(self, tables: Tables) -> dict[str, str]:
        """Tables whose users are not known, because a column is not mirrored."""
        selecting = {
            table
            for table, dimensions in _OWN_DIMENSIONS.items()
            if self.select(dimensions)
        }
        unknown = {name for name in USER_TABLES if not _has_visitor(tables, name)}
        reasons = {}
        for name in USER_TABLES:
            joined = selecting - {name}
            if joined and (lacking := unknown & (joined | {name})):
                table = min(lacking)
                reasons[name] = f"The mirrored {table} have no column of the user."
        return reasons


NO_FILTERS: Final = Filters()

_OWN_DIMENSIONS: Final[Mapping[str, frozenset[FilterDimension]]] = {
    "users": USER_ATTRIBUTES,
    "page_views": PAGE_VIEW_DIMENSIONS,
    "events": EVENT_DIMENSIONS,
}
"""Table -> the dimensions that are columns of it."""

_IN_RANGE: Final = {"page_views": "viewed_at", "events": "event_at"}
"""Table of which only rows in the range select users -> when they happened."""

_GROUPED: Final = frozenset({FilterDimension.SOURCE})
"""Dimensions whose condition is costly to compute."""

_VALUES: Final[Mapping[FilterDimension, pl.Expr]] = {
    FilterDimension.SOURCE: category(pl.col("source")),
    FilterDimension.ROOM: pl.col("name").cast(pl.String),
    FilterDimension.ROOM_ID: as_signed("room_id"),
    FilterDimension.ROOM_STATE: pl.when(pl.col("name").is_null())
    .then(pl.lit(RoomState.UNNAMED.value))
    .otherwise(pl.lit(RoomState.NAMED.value)),
}
"""Values of a dimension that is not a text column of the same name."""


@dataclass(frozen=True, slots=True, eq=False)
class _Selection:
    """Users or rooms that have, or do not have, a matching row in one table.

    Attributes:
        table: that table.
        matching: its matching rows.
        key: the column by which other tables refer to users or rooms.
        owners: one column, ``owner``: the chosen ones, or those to leave out.
        excludes: whether *owners* are left out. Rows without an owner then stay.
    """

    table: str
    matching: pl.LazyFrame
    key: pl.Expr
    owners: pl.LazyFrame
    excludes: bool = False

    def join(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The *rows* whose owner is chosen."""
        how: JoinStrategy = "anti" if self.excludes else "semi"
        return rows.join(self.owners, left_on=self.key, right_on="owner", how=how)


@dataclass(frozen=True, slots=True)
class _RoomIds:
    """Rooms chosen by their id, which all tables of rooms have."""

    condition: Condition

    def filter(self, name: str, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The *rows* of table *name* with a matching id."""
        column = "id" if name == "rooms" else "room_id"
        return rows.filter(self.condition.expression_on(as_signed(column)))


type _Selections = Sequence[_Selection | _RoomIds]


def _select(name: str, rows: pl.LazyFrame, selections: _Selections) -> pl.LazyFrame:
    """The *rows* of table *name* that match all *selections*.

    The last one has no owners but those that all before it chose.
    """
    last = None
    for selection in selections:
        if isinstance(selection, _RoomIds):
            rows = selection.filter(name, rows)
            continue
        if selection.table == name:
            rows = selection.matching
        last = selection
    if last is None or last.table == name:
        return rows
    return last.join(rows)


def _select_users(
    filters: Filters, tables: Tables, period: Period
) -> Sequence[_Selection]:
    """Users by their attributes, by a page view in the range, by an event in it.

    Each selects among the users that the one before it chose.
    """
    selections: list[_Selection] = []
    unjoinable = filters.unjoinable(tables)
    for table, dimensions in _OWN_DIMENSIONS.items():
        if (chosen := filters.select(dimensions)) and table not in unjoinable:
            rows: pl.LazyFrame = getattr(tables, table)
            if table in _IN_RANGE:
                rows = period.filter(rows, _IN_RANGE[table])
            if selections:
                rows = selections[-1].join(rows)
            selections.append(_select_by(table, chosen, rows, tables.page_view_tally))
    return selections


def _select_by(
    table: str, chosen: Filters, rows: pl.LazyFrame, tally: pl.LazyFrame | None
) -> _Selection:
    """The users with one of the *rows* of *table* that match *chosen*."""
    visitor = pl.col("visitor")
    if table == "users":
        matching, excludes = chosen.matching(rows), chosen.matches_absent()
    else:
        # They are counted, and select users.
        matching, excludes = chosen.matching(rows, tally).cache(), False
    owners = rows.filter(~chosen.expression()) if excludes else matching
    owners = owners.select(owner=visitor).cache()
    return _Selection(table, matching, visitor, owners, excludes)


def _select_rooms(filters: Filters, tables: Tables) -> _Selections:
    """Rooms by id, and by their attributes."""
    selections: list[_Selection | _RoomIds] = [
        _RoomIds(condition)
        for condition in filters.select({FilterDimension.ROOM_ID}).conditions
    ]
    if chosen := filters.select(ROOM_DIMENSIONS - {FilterDimension.ROOM_ID}):
        excludes = chosen.matches_absent()
        matching = chosen.matching(tables.rooms)
        owners = tables.rooms.filter(~chosen.expression()) if excludes else matching
        ids = owners.select(owner=as_signed("id")).drop_nulls().cache()
        key = as_signed("room_id")
        selections.insert(0, _Selection("rooms", matching, key, ids, excludes))
    return selections


def _has_visitor(tables: Tables, name: str) -> bool:
    rows: pl.LazyFrame = getattr(tables, name)
    return "visitor" in rows.collect_schema()
