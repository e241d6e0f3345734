"""The six tables of Free Planning Poker in each SQL dialect, and random rows for them.

The demo owns their declarations.
"""

import random
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import psycopg
from mysql.connector.conversion import MySQLConverter

from demo import schema as sample_schema
from demo.schema import EVENTS, ROUTES

type Row = tuple[Any, ...]

TABLES = sample_schema.COLUMNS


@dataclass(frozen=True)
class Dialect:
    """The spelling of one kind of database."""

    name: sample_schema.Dialect
    placeholder: str
    quote: str

    def identifier(self, name: str) -> str:
        """Quote *name*, whatever characters it contains."""
        return self.quote + name.replace(self.quote, 2 * self.quote) + self.quote


SQLITE = Dialect("sqlite", placeholder="?", quote='"')
MYSQL = Dialect("mysql", placeholder="%s", quote="`")

POSTGRES = Dialect("postgres", placeholder="%s", quote='"')

# Texts that break careless handling of quotes, delimiters, character sets or NULL.
TEXTS = (
    None, "", " ", "null", "NULL", "\\N", '"', '""', "'", "\\", "\\\\", '\\"', "\t",
    "\n", "\r", "\r\n", "a\tb", 'say "hi"', "back\\slash", "line\nbreak", "end\r",
    "naïve", "日本語", "👩‍💻", "😀", "\x00nul", "\x01", "\x01\x01\x1f", "%s", "#", ",", ";", " pad ", "0", "-1",
)  # fmt: skip


def ddl(table: str, dialect: Dialect = MYSQL, **columns: str) -> str:
    """CREATE TABLE for *table*; *columns* adds columns or replaces declarations."""
    return sample_schema.create_table(table, dialect.name, **columns)


def insert(table: str, dialect: Dialect = MYSQL) -> str:
    """INSERT of one row of *table*, with a placeholder per column."""
    return sample_schema.insert_into(table, dialect.placeholder, dialect.name)


def random_rows(
    table: str, count: int, rng: random.Random, first: int = 1
) -> list[Row]:
    """Draw *count* rows of *table* with ids from *first*; timestamps are naive UTC."""
    return [_row(table, number, rng) for number in range(first, first + count)]


def _row(table: str, number: int, rng: random.Random) -> Row:
    user = f"u{rng.randrange(50):020}"
    room = rng.randrange(1, 20)
    at = _timestamp(rng)
    match table:
        case "fpp_estimations":
            estimation = rng.choice([None, 1, 2, 3, 5, 8, -32768, 32767])
            return (number, user, room, estimation, rng.random() < 0.3, at)
        case "fpp_events":
            return (number, user, rng.choice(EVENTS), at)
        case "fpp_page_views":
            room_or_none = rng.choice([None, room])
            source, route = _text(rng, 255), rng.choice(ROUTES)
            return (number, user, source, route, room_or_none, at)
        case "fpp_rooms":
            used = at + timedelta(days=rng.randrange(30))
            return (number, rng.randrange(1_000_000), _text(rng, 15), at, used)
        case "fpp_users":
            place = (_text(rng, 5), _text(rng, 100), _text(rng, 100))
            agent = (_text(rng, 50), _text(rng, 50), _text(rng, 50))
            return (f"u{number:020}", *agent, *place, at)
    low, high = sorted(rng.choices([1, 2, 3, 5, 8, 13], k=2))
    average = Decimal(rng.randrange(low * 100, high * 100 + 1)) / 100
    counts = (rng.randrange(1, 9), rng.randrange(3), rng.randrange(3600))
    return (number, room, average, high, low, *counts, at)


def naive_utc(*parts: int) -> datetime:
    """A time in UTC without its zone, as the databases take it: year, month, day and so on."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[arg-type, misc]


def _timestamp(rng: random.Random) -> datetime:
    return naive_utc(2024, 6, 3) + timedelta(seconds=rng.randrange(78_000_000))


def _text(rng: random.Random, longest: int) -> str | None:
    text = rng.choice(TEXTS)
    if text is None or rng.random() < 0.5:
        return text and text[:longest]
    return "".join(text or "x" for text in rng.choices(TEXTS, k=3))[:longest]


def create_mysql(connection: Any, tables: Sequence[str] = tuple(TABLES)) -> None:
    """Create *tables* over a DB-API connection to MySQL or MariaDB."""
    cursor = connection.cursor()
    for table in tables:
        cursor.execute(ddl(table))
    cursor.close()


def create_sqlite(
    path: Any, tables: Sequence[str] = tuple(TABLES)
) -> sqlite3.Connection:
    """Create *tables* in a new SQLite file. The caller closes the connection."""
    connection = sqlite3.connect(path)
    connection.executescript(";".join(ddl(table, SQLITE) for table in tables))
    return connection


def fill(
    connection: Any, seed: int = 1, count: int = 300, first: int = 1
) -> dict[str, list[Row]]:
    """Insert *count* random rows into each of the six tables; return them per table."""
    rows = {table: [*several] for table, several in _drawn(seed, count, first).items()}
    if dialect_of(connection) is POSTGRES:
        rows = {
            table: list(map(_without_nul, several)) for table, several in rows.items()
        }
    if dialect_of(connection) is MYSQL and count <= 1000:
        _run_inserts(connection, _mysql_inserts(seed, count, first))
    else:
        put(connection, rows)
    return rows


@cache
def _mysql_inserts(seed: int, count: int, first: int) -> Sequence[bytes]:
    """The rows as one INSERT per table; the driver takes 80 ms for it each time."""
    converter = MySQLConverter("utf8mb4")

    def literal(value: Any) -> bytes:
        converted = converter.escape(converter.to_mysql(value))
        return bytes(converter.quote(converted))

    statements = []
    for table, rows in _drawn(seed, count, first).items():
        start, marks = insert(table).split("VALUES")
        template = marks.strip().encode()
        values = [template % tuple(map(literal, row)) for row in rows]
        statements.append(start.encode() + b"VALUES " + b", ".join(values))
    return statements


def _run_inserts(connection: Any, statements: Sequence[bytes]) -> None:
    with closing(connection.cursor()) as cursor:
        for statement in ("SET time_zone = '+00:00'", *statements):
            cursor.execute(statement)
    connection.commit()


@cache
def _drawn(seed: int, count: int, first: int) -> Mapping[str, Sequence[Row]]:
    """Rows of all tables; many tests use the same."""
    rng = random.Random(seed)
    return {table: random_rows(table, count, rng, first) for table in TABLES}


def dialect_of(connection: Any) -> Dialect:
    """The dialect that the server of a DB-API connection speaks."""
    if isinstance(connection, sqlite3.Connection):
        return SQLITE
    return POSTGRES if isinstance(connection, psycopg.Connection) else MYSQL


def _without_nul(row: Row) -> Row:
    # The one character that no text of PostgreSQL can contain.
    return tuple(v.replace("\0", "0") if isinstance(v, str) else v for v in row)


def put(connection: Any, rows: Mapping[str, Sequence[Row]]) -> None:
    """Insert *rows* per table and commit.

    *connection* is a DB-API connection to MySQL or MariaDB, whose session time zone is
    set to UTC, to PostgreSQL, or of sqlite3.
    """
    dialect = dialect_of(connection)
    is_sqlite = dialect is SQLITE
    cursor = connection.cursor()
    if dialect is MYSQL:
        cursor.execute("SET time_zone = '+00:00'")
    for table, several in rows.items():
        if several and dialect is POSTGRES:
            _copy(cursor, table, several)
        elif several:
            values = [tuple(map(_for_sqlite, row)) for row in several if is_sqlite]
            cursor.executemany(insert(table, dialect), values or several)
    cursor.close()
    connection.commit()


def _copy(cursor: psycopg.Cursor[Any], table: str, rows: Sequence[Row]) -> None:
    """Insert in a tenth of the time of executemany()."""
    columns = ", ".join(f'"{name}"' for name in TABLES[table])
    statement = f'COPY "{table}" ({columns}) FROM STDIN'
    with cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _for_sqlite(value: Any) -> Any:
    """The value as SQLite stores it: UTC text for times, a number for decimals."""
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return float(value) if isinstance(value, Decimal) else value


def expected(rows: Sequence[Row]) -> list[Row]:
    """The rows as they are mirrored: timestamps become aware UTC."""
    return [
        tuple(v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for v in row)
        for row in rows
    ]
