"""The six tables as Free Planning Poker declares them, for MariaDB and for SQLite."""

import random
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from demo.schema import COLUMNS, EVENTS, ROUTES, create_table, insert_into

type Row = tuple[Any, ...]
TABLES = COLUMNS

# What breaks a careless quoting, delimiter, charset or NULL.
TEXTS = (
    None, "", " ", "null", "NULL", "\\N", '"', '""', "'", "\\", "\\\\", '\\"', "\t",
    "\n", "\r", "\r\n", "a\tb", 'say "hi"', "back\\slash", "line\nbreak", "end\r",
    "naïve", "日本語", "👩‍💻", "😀", "\x00nul", "\x01", "\x01\x01\x1f", "%s", "#", ",", ";", " pad ", "0", "-1",
)  # fmt: skip


def ddl(table: str, dialect: str = "mysql", **columns: str) -> str:
    """CREATE TABLE in *dialect*; *columns* adds or overrides declarations."""
    return create_table(table, "mysql" if dialect == "mysql" else "sqlite", **columns)


def insert(table: str, marker: str = "%s") -> str:
    """An INSERT of all columns, with a placeholder each."""
    return insert_into(table, marker)


def random_rows(
    table: str, count: int, dice: random.Random, first: int = 1
) -> list[Row]:
    """*count* rows of *table* with ids from *first*; timestamps are naive UTC."""
    return [_row(table, number, dice) for number in range(first, first + count)]


def _row(table: str, number: int, dice: random.Random) -> Row:
    user = f"u{dice.randrange(50):020}"
    room = dice.randrange(1, 20)
    at = _instant(dice)
    match table:
        case "fpp_estimations":
            estimation = dice.choice([None, 1, 2, 3, 5, 8, -32768, 32767])
            return (number, user, room, estimation, dice.random() < 0.3, at)
        case "fpp_events":
            return (number, user, dice.choice(EVENTS), at)
        case "fpp_page_views":
            room_or_none = dice.choice([None, room])
            return (
                number,
                user,
                _text(dice, 255),
                dice.choice(ROUTES),
                room_or_none,
                at,
            )
        case "fpp_rooms":
            used = at + timedelta(days=dice.randrange(30))
            return (number, dice.randrange(1_000_000), _text(dice, 15), at, used)
        case "fpp_users":
            place = (_text(dice, 5), _text(dice, 100), _text(dice, 100))
            agent = (_text(dice, 50), _text(dice, 50), _text(dice, 50))
            return (f"u{number:020}", *agent, *place, at)
    low, high = sorted(dice.choices([1, 2, 3, 5, 8, 13], k=2))
    average = Decimal(dice.randrange(low * 100, high * 100 + 1)) / 100
    counts = (dice.randrange(1, 9), dice.randrange(3), dice.randrange(3600))
    return (number, room, average, high, low, *counts, at)


def _instant(dice: random.Random) -> datetime:
    return datetime(2024, 6, 3) + timedelta(seconds=dice.randrange(78_000_000))


def _text(dice: random.Random, longest: int) -> str | None:
    text = dice.choice(TEXTS)
    if text is None or dice.random() < 0.5:
        return text and text[:longest]
    return "".join(text or "x" for text in dice.choices(TEXTS, k=3))[:longest]


def create_mysql(connection: Any, tables: Sequence[str] = tuple(TABLES)) -> None:
    """Create the tables over a DB-API connection to MySQL or MariaDB."""
    cursor = connection.cursor()
    for table in tables:
        cursor.execute(ddl(table))
    cursor.close()


def fill(
    connection: Any, seed: int = 1, count: int = 300, first: int = 1
) -> dict[str, list[Row]]:
    """Insert random rows into all six tables over a DB-API connection; commits.

    Works for MySQL/MariaDB (session time zone set to UTC) and for sqlite3.
    Returns what was inserted, per table.
    """
    dice = random.Random(seed)
    rows = {table: random_rows(table, count, dice, first) for table in TABLES}
    put(connection, rows)
    return rows


def put(connection: Any, rows: Mapping[str, Sequence[Row]]) -> None:
    """Insert *rows* per table and commit."""
    lite = isinstance(connection, sqlite3.Connection)
    cursor = connection.cursor()
    if not lite:
        cursor.execute("SET time_zone = '+00:00'")
    for table, several in rows.items():
        if several:
            given = [tuple(map(_lite, row)) for row in several] if lite else several
            cursor.executemany(insert(table, "?" if lite else "%s"), given)
    cursor.close()
    connection.commit()


def _lite(value: Any) -> Any:
    """A value as the SQLite source stores it: UTC text, numbers for decimals."""
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return float(value) if isinstance(value, Decimal) else value


def create_sqlite(
    path: Any, tables: Sequence[str] = tuple(TABLES)
) -> sqlite3.Connection:
    """A new SQLite file with the tables; the caller closes the connection."""
    connection = sqlite3.connect(path)
    for table in tables:
        connection.execute(ddl(table, "sqlite"))
    connection.commit()
    return connection


def expected(rows: Sequence[Row]) -> list[Row]:
    """*rows* as the mirror must hold them: timestamps aware UTC."""
    return [
        tuple(v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for v in row)
        for row in rows
    ]
