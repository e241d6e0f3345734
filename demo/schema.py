"""Columns of Free Planning Poker's six tables, as each database declares them.

The sample, the tests' databases and the benchmark all use these declarations.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

ROUTES: Final = ("HOME", "CONTACT", "IMPRINT", "ROOM", "ANALYTICS", "ROADMAP")
EVENTS: Final = (
    "CONTACT_FORM_SUBMISSION",
    "ENTERED_RANDOM_ROOM",
    "ENTERED_NEW_ROOM",
    "ENTERED_EXISTING_ROOM",
    "ENTERED_RECENT_ROOM",
    "LEFT_ROOM",
    "COPIED_ROOM_LINK",
    "CHANGED_ROOM_NAME",
)


type Dialect = Literal["mysql", "postgres", "sqlite"]


_QUOTES: Final[Mapping[Dialect, str]] = {"mysql": "`", "postgres": '"', "sqlite": "`"}


class Declaration(NamedTuple):
    """Type and constraints of one column in each dialect."""

    mysql: str
    sqlite: str

    @property
    def postgres(self) -> str:
        """As for SQLite, but PostgreSQL has no integers of 24 bits."""
        return self.sqlite.replace("MEDIUMINT", "INT")


def _same(declaration: str) -> Declaration:
    return Declaration(declaration, declaration)


def _enum(values: tuple[str, ...], length: int) -> Declaration:
    """Declare an ENUM in MySQL; SQLite has none and stores text of *length*."""
    listed = ",".join(f"'{value}'" for value in values)
    return Declaration(f"ENUM({listed}) NOT NULL", f"VARCHAR({length}) NOT NULL")


_ID: Final = Declaration(
    "INT NOT NULL AUTO_INCREMENT PRIMARY KEY", "INTEGER NOT NULL PRIMARY KEY"
)
_USER_ID: Final = _same("VARCHAR(21) NOT NULL")
_SMALLINT: Final = _same("SMALLINT NOT NULL")
_TEXT_50: Final = _same("VARCHAR(50)")
_TIME: Final = Declaration("TIMESTAMP NOT NULL DEFAULT NOW()", "TIMESTAMP NOT NULL")

COLUMNS: Final[Mapping[str, Mapping[str, Declaration]]] = {
    "fpp_estimations": {
        "id": _ID,
        "user_id": _USER_ID,
        "room_id": _same("INT NOT NULL"),
        "estimation": _same("SMALLINT"),
        "spectator": _same("BOOLEAN NOT NULL"),
        "estimated_at": _TIME,
    },
    "fpp_events": {
        "id": _ID,
        "user_id": _USER_ID,
        "event": _enum(EVENTS, 30),
        "event_at": _TIME,
    },
    "fpp_page_views": {
        "id": _ID,
        "user_id": _USER_ID,
        "source": _same("VARCHAR(255)"),
        "route": _enum(ROUTES, 30),
        "room_id": _same("INT"),
        "viewed_at": _TIME,
    },
    "fpp_rooms": {
        "id": _ID,
        "number": _same("MEDIUMINT NOT NULL"),
        "name": _same("VARCHAR(15)"),
        "first_used_at": _TIME,
        "last_used_at": _TIME,
    },
    "fpp_users": {
        "id": _same("VARCHAR(21) NOT NULL PRIMARY KEY"),
        "device": _TEXT_50,
        "os": _TEXT_50,
        "browser": _TEXT_50,
        "country": _same("VARCHAR(5)"),
        "region": _same("VARCHAR(100)"),
        "city": _same("VARCHAR(100)"),
        "created_at": _TIME,
    },
    "fpp_votes": {
        "id": _ID,
        "room_id": _same("INT NOT NULL"),
        "avg_estimation": _same("DECIMAL(4,2) NOT NULL"),
        "max_estimation": _SMALLINT,
        "min_estimation": _SMALLINT,
        "amount_of_estimations": _SMALLINT,
        "amount_of_spectators": _SMALLINT,
        "duration": _SMALLINT,
        "voted_at": _TIME,
    },
}
"""Table -> column -> its declarations, in the order of the product's database."""


def create_table(table: str, dialect: Dialect, **columns: str) -> str:
    """Return the CREATE TABLE statement; *columns* adds or overrides declarations."""
    declared = {
        column: getattr(declaration, dialect)
        for column, declaration in COLUMNS[table].items()
    } | columns
    quote = _QUOTES[dialect]
    listed = ", ".join(
        f"{quote}{column}{quote} {text}" for column, text in declared.items()
    )
    return f"CREATE TABLE {quote}{table}{quote} ({listed})"


def insert_into(table: str, marker: str, dialect: Dialect = "mysql") -> str:
    """Return an INSERT of all columns with *marker* as the placeholder of each."""
    quote = _QUOTES[dialect]
    names = ", ".join(f"{quote}{column}{quote}" for column in COLUMNS[table])
    markers = ", ".join([marker] * len(COLUMNS[table]))
    return f"INSERT INTO {quote}{table}{quote} ({names}) VALUES ({markers})"
