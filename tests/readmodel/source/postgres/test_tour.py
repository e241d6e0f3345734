"""A tour of the server: every type of its catalog, and every setting of a session.

Both are generated from the catalog, so a new version of PostgreSQL is covered by
running it. An independent client, which reads text by COPY with settings of its own,
says what is right. Types share a table, and settings are set together; one that makes a
difference is tried alone. TEST_EFFORT=thorough tries each value of a setting alone, and the types
of all extensions.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl
import psycopg
import pytest

from readmodel.source.blocking import Blocking, choose_blocking
from readmodel.source.postgres.source import PostgresView
from readmodel.source.wire import Column
from readmodel.tables import Table
from testbed.postgres import Database, Login, fresh_database
from tests.readmodel.source.postgres.reading import Reading, read, source_of
from tests.support.effort import THOROUGH, some_long
from util.errors import SourceError

# Tried as input for every type; each type takes those that it can.
INPUTS = (
    "", " ", "0", "-0", "1", "-1", "127", "32767", "-32768", "2147483647", "-2147483648", "4294967295",
    "9223372036854775807", "-9223372036854775808", "18446744073709551615", "1.10", "1e400", "1e-400",
    "0.1234567890123456789", "NaN", "Infinity", "-Infinity", "3.4028235e38", "1e-45", "5e-324",
    "t", "f", "a", "ab", "Ä", "日本語 👩‍💻", "tab\there", "line\nfeed", "\r", "\x01", "\\", "\\.", "\\x00ff", "'", '"',
    "NULL", "null", "{}", "{1,2}", "{NULL}", "[5:6]={1,2}", '{"a b",""}', "(1,2)", "(1,2),(3,4)", "[(1,2),(3,4)]",
    "((1,2),(3,4))", "{1,2,3}", "<(1,2),3>", "empty", "[1,2)", "(,)", "{[1,2),[4,5)}", "{}",
    "00:00", "24:00", "23:59:59.999999", "24:00:00+15:59", "2024-02-29", "0001-01-01", "9999-12-31", "10000-01-01",
    "0044-03-15 BC", "infinity", "-infinity", "2024-02-29 12:34:56.789012+05:45", "294276-12-31 23:59:59.999999",
    "[2024-01-01,2024-12-31)", "(-infinity,infinity)", "1 year -2 mons 3 days -04:05:06.789", "178000000 years",
    "10.0.0.1", "10.0.0.0/8", "::1/128", "08:00:2b:01:02:03", "08:00:2b:01:02:03:04:05",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", '{"b": 1.00, "a": [null, "x\\ty"]}', "[]", "101", "1" * 65,
    "<a>&lt;</a>", "$.a[*] ? (@ > 1)", "'a' & !'b'", "a:1B b:2", "pg_class", "pg_type", "now", "sum", "+", "C",
    "16/B374D848", "(0,1)", "10:20:10,14,15", "=r/tester", "english", "simple", "UTC", "$1,234.50", "-$0.01",
    "92233720368547758.07", "-92233720368547758.08", "1e131071", "1e-16383", "4713-01-01 BC", "5874897-12-31",
    "294276-12-31", "00:00:00-15:59:59", "FFFFFFFF/FFFFFFFF", "(4294967295,65535)", "x" * 100_000, "a=>1", '"a"=>NULL',
    "a.b.c", "a.*{1,}.b", "978-0-393-04002-9", "1436-4522", "1 .. 2", "~1", "{}", "[1,2],[3,4]", "ÄÖ", "\u00e9", "e\u0301",
)  # fmt: skip


PROBE = """
CREATE FUNCTION accepted(declaration text, inputs text[]) RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE found boolean[] := '{}'; input text;
BEGIN
  FOREACH input IN ARRAY inputs LOOP
    BEGIN
      EXECUTE format('SELECT %L::%s', input, declaration);
      found := found || true;
    EXCEPTION WHEN OTHERS THEN
      found := found || false;
    END;
  END LOOP;
  RETURN found;
END $$
"""

MODIFIED = (
    "numeric(4,2)", "numeric(38,10)", "numeric(38,38)", "numeric(50,3)", "numeric(3,-2)", "numeric(2,4)", "varchar(2)",
    "char(4)", "bit(3)", "bit varying(9)", "timestamp(0)", "timestamptz(3)", "time(2)", "timetz(1)",
    "interval day to second(1)", "interval year",
)  # fmt: skip
"""Types with modifiers; a server that is too old for one refuses it."""

EXTENSIONS = ("citext", "hstore", "ltree", "cube", "seg", "isn", "lo")
"""Extensions with types; in a thorough run, all that are available."""


def declarations(connection: psycopg.Connection) -> list[str]:
    """Every type that a column can have, from the catalog."""
    available = connection.execute(
        "SELECT name FROM pg_available_extensions"
    ).fetchall()
    for (name,) in sorted(available):
        if THOROUGH or name in EXTENSIONS:
            with suppress(psycopg.Error):
                connection.execute(f'CREATE EXTENSION "{name}" CASCADE'.encode())
    connection.execute(
        "CREATE TYPE mood AS ENUM ('', 'a', 'Ä', '{}', 'NULL', 'tab\there', '\"'); "
        "CREATE DOMAIN positive AS numeric(6,2) CHECK (VALUE >= 0); "
        "CREATE DOMAIN deeper AS positive CHECK (VALUE < 9000)"
    )
    found = connection.execute(
        "SELECT format_type(oid, NULL) FROM pg_type WHERE typtype IN ('b', 'r', 'm', 'e', 'd') "
        "AND typisdefined AND (typelem = 0 OR typarray <> 0 OR typname IN ('name', 'point')) "
        "AND typnamespace IN ('pg_catalog'::regnamespace, 'public'::regnamespace) ORDER BY oid"
    ).fetchall()
    return [*(name for (name,) in found), *MODIFIED]


def quoted(text: str) -> str:
    """*text* as a string literal."""
    return "'" + text.replace("'", "''") + "'"


type Columns = Mapping[str, str]
"""The declaration of each column."""


def create_base(connection: psycopg.Connection, names: Sequence[str]) -> Columns:
    """Fill the table `base` with a column for each type, and a row for each input."""
    inputs = list(INPUTS)
    columns: dict[str, str] = {}
    fields: list[list[str]] = []
    for name in names:
        try:
            row = connection.execute(
                "SELECT accepted(%s, %s)", (name, inputs)
            ).fetchone()
            connection.execute(f"CREATE TEMP TABLE probe (v {name})".encode())
        except psycopg.Error:
            continue
        connection.execute("DROP TABLE probe")
        assert row is not None
        columns[f"c{len(columns)}"] = name
        fields.append(
            [
                f"{quoted(text)}::{name}" if fits else "NULL"
                for text, fits in zip(inputs, row[0], strict=True)
            ]
        )
    declared = ",".join(f"{column} {name}" for column, name in columns.items())
    connection.execute(f"CREATE TABLE base (id int PRIMARY KEY, {declared})".encode())
    for number, values in enumerate(zip(*fields, strict=True)):
        statement = f"INSERT INTO base VALUES ({number},{','.join(values)})"
        connection.execute(statement.encode())
    connection.execute("INSERT INTO base (id) VALUES (-1)")
    return columns


DERIVED: Mapping[str, tuple[str, str]] = {
    "arrays": ("", "ARRAY[v, NULL, v]"),
    "matrices": ("", "ARRAY[ARRAY[v], ARRAY[v]]"),
    "domains": ("CREATE DOMAIN {made} AS {name}", "v::{made}"),
    "composites": ("CREATE TYPE {made} AS (a {name}, b {name})", "ROW(v, NULL)::{made}"),
    "ranges": ("CREATE TYPE {made} AS RANGE (subtype = {name})", "{made}(v, v, '[]')"),
    "open_ranges": ("CREATE TYPE {made} AS RANGE (subtype = {name})", "{made}(NULL, v)"),
    "multiranges": (
        "CREATE TYPE {made} AS RANGE (subtype = {name}, multirange_type_name = m{made})",
        "m{made}({made}(NULL, v), {made}(v, NULL))",
    ),
}  # fmt: skip
"""Types that are made of another: how each is created, and made of a value v."""


def derive(connection: psycopg.Connection, base: Columns, kind: str) -> Columns:
    """Fill the table *kind* with the columns of `base`, each made into another type."""
    create, value = DERIVED[kind]
    columns: dict[str, str] = {}
    values: list[str] = []
    for column, name in base.items():
        made = f"{kind[:3]}_{column}"
        expression = re.sub(r"\bv\b", column, value.format(made=made))
        try:
            with connection.transaction():
                if create:
                    connection.execute(create.format(made=made, name=name).encode())
                connection.execute(
                    f"SELECT count(({expression})::text) FROM base".encode()
                )
        except psycopg.Error:
            continue
        columns[column] = made if create else f"{name}[]"
        values.append(
            f"CASE WHEN {column} IS NOT NULL THEN {expression} END AS {column}"
        )
    listed = ",".join(values)
    connection.execute(f"CREATE TABLE {kind} AS SELECT id, {listed} FROM base".encode())
    return columns


def assert_exact(database: Database, table: str, columns: Columns) -> int:
    """Compare each value with what the independent client reads; how many there are."""
    expected = independent(database, table)
    reading = read(database, Table(table, key="id"))
    wrong, beyond, seen = [], 0, 0
    assert reading.frame["id"].sort().to_list() == sorted(expected)
    for position, (column, name) in enumerate(columns.items()):
        dtype = reading.frame.schema[column]
        for key, value in reading.frame.select("id", column).rows():
            text = expected[key][position]
            seen += text is not None
            beyond += text is not None and value is None
            if not matches(dtype, value, text):
                wrong.append((name, value, text))
    assert wrong == []
    assert reading.replaced == beyond
    return seen


type Texts = Mapping[int, Sequence[str | None]]
"""The id of each row, and its other columns as text."""


def independent(database: Database, table: str) -> Texts:
    """The rows as another client reads them, with settings of its own."""
    with database.connect() as connection:
        connection.execute(
            "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; "
            "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET search_path = pg_catalog"
        )
        with connection.cursor().copy(
            f"COPY public.{table} TO STDOUT".encode()
        ) as copy:
            return {int(row[0] or 0): row[1:] for row in copy.rows()}


def matches(dtype: pl.DataType, value: Any, text: str | None) -> bool:
    """Whether *value* of the mirror is what *text* says."""
    if text is None:
        return value is None
    if value is None:
        return is_beyond(dtype, text)
    match dtype:
        case pl.String():
            return bool(value == text)
        case pl.Boolean():
            return bool(value == (text == "t"))
        case pl.Binary():
            return bool(value == bytes.fromhex(text.removeprefix("\\x")))
        case pl.Float32() | pl.Float64():
            exact = pl.Series([text]).cast(dtype).item()
            return repr(value) == repr(exact)
        case pl.Date():
            return bool(value == date.fromisoformat(text))
        case pl.Datetime():
            aware = datetime.fromisoformat(text)
            return bool(value == (aware if aware.tzinfo else aware.replace(tzinfo=UTC)))
        case pl.Duration():
            hours, minutes, seconds = text.split(":")
            micros = round(Decimal(seconds) * 1_000_000)
            clock = timedelta(
                hours=int(hours), minutes=int(minutes), microseconds=micros
            )
            return bool(value == clock)
    return bool(value == number(text))


def number(text: str) -> Decimal:
    """A number as numeric and money write it."""
    return Decimal(text.replace("$", "").replace(",", ""))


def is_beyond(dtype: pl.DataType, text: str) -> bool:
    """Whether no value of *dtype* can be *text*, so that NULL stands for it."""
    if isinstance(dtype, pl.Decimal):
        try:
            return not number(text).is_finite()
        except InvalidOperation:
            return False
    outside = "infinity" in text or "BC" in text
    return isinstance(dtype, pl.Date | pl.Datetime) and (
        outside or len(text.partition("-")[0]) > 4
    )


@pytest.fixture(scope="module")
def catalog(postgres_login: Login) -> Iterator[tuple[Database, Columns]]:
    """The table `base` with all types."""
    with fresh_database(postgres_login) as database:
        with database.connect() as connection:
            connection.execute(PROBE.encode())
            base = create_base(connection, declarations(connection))
        yield database, base


def test_every_type_of_the_catalog_is_mirrored_exactly(
    catalog: tuple[Database, Columns],
) -> None:
    """With all inputs that it takes, as column and, if it may be, as key."""
    database, base = catalog
    assert len(base) > 75
    assert assert_exact(database, "base", base) > 1_000
    assert as_keys(database, base) > 8


@pytest.mark.parametrize("kind", some_long(DERIVED, 2))
def test_types_made_of_others_are_mirrored_exactly(
    catalog: tuple[Database, Columns], kind: str
) -> None:
    """Arrays, domains, composites, ranges and multiranges of each type."""
    database, base = catalog
    with database.connect() as connection:
        columns = derive(connection, base, kind)
    assert len(columns) > 20
    assert assert_exact(database, kind, columns) > 300


def as_keys(database: Database, columns: Columns) -> int:
    """How many columns may be keys; for these, block by block gives all rows."""
    keys = 0
    with source_of(database).view([Table("base", key="id")]) as view:
        all_columns = view.columns(Table("base", key="id"))
        for column in columns:
            table = Table("base", key=column)
            wanted = [c for c in all_columns if c.name in ("id", column)]
            with suppress(SourceError):
                blocking = choose_blocking(table, wanted)
                assert_blocks_hold_all(view, table, wanted, blocking)
                keys += 1
    return keys


def assert_blocks_hold_all(
    view: PostgresView, table: Table, columns: Sequence[Column], blocking: Blocking
) -> None:
    """Each block has the rows of its number, and all blocks have all rows."""
    ids: list[int] = []
    for block in view.blocks(table, columns, blocking):
        for batch in view.rows(table, columns, blocking, [block]):
            ids += batch.frame["id"].to_list()
            numbers = batch.frame.select(blocking.block_number()).to_series()
            assert set(numbers) == {block.number}
    assert sorted(ids) == [*range(-1, len(INPUTS))]


@dataclass(frozen=True)
class Setting:
    """A setting that a role may be given, and odd values of it."""

    name: str
    values: Sequence[str]


def odd_values(
    kind: str, low: str | None, high: str | None, choices: str | None
) -> Sequence[str]:
    """Values of a setting at its ends, or all that it can take."""
    match kind:
        case "bool":
            return ("on", "off")
        case "enum":
            return (choices or "").strip("{}").replace('"', "").split(",")
        case "integer" | "real":
            return (str(low), str(high))
    return (
        "", "nonsense", "pg_temp", "LATIN1", "German, DMY", "Asia/Kathmandu", "ja_JP.UTF-8",
    )  # fmt: skip


def settings_of(database: Database) -> list[Setting]:
    """Every setting that can be set for a role or a database."""
    return [
        Setting(name, odd_values(*limits))
        for name, *limits in database.query(
            "SELECT name, vartype, min_val, max_val, enumvals::text FROM pg_settings "
            "WHERE context IN ('user', 'superuser') AND name NOT LIKE 'debug_discard%' ORDER BY name"
        )
    ]


# Time-outs that an administrator may mean, and settings that let no session begin.
REFUSING = {
    "statement_timeout", "transaction_timeout", "local_preload_libraries", "session_preload_libraries", "exit_on_error",
    "restrict_nonsystem_relation_kind", "role", "temp_file_limit", "log_statement_max_length",
}  # fmt: skip
LISTS = (
    "datestyle", "search_path", "local_preload_libraries", "session_preload_libraries", "DateStyle",
)  # fmt: skip


class Role:
    """The reader, whose sessions begin with settings that an administrator chose."""

    def __init__(self, database: Database, connection: psycopg.Connection) -> None:
        self.database = database
        self.connection = connection
        self.reference = read(database)
        self.refused: list[tuple[str, str, SourceError]] = []

    def try_together(self, chosen: Sequence[tuple[str, str]], where: str) -> int:
        """Set all of *chosen*, or each if together they change anything; how many."""
        owner = where.format(
            role=self.database.reader.user, database=self.database.name
        )
        possible = [pair for pair in chosen if self._set(owner, *pair)]
        try:
            reading = self._read()
        except SourceError as error:
            if len(possible) == 1:
                self.refused.append((*possible[0], error))
        else:
            if self._is_same(reading):
                return len(possible)
            assert len(possible) > 1, possible
        finally:
            self.connection.execute(f"ALTER {owner} RESET ALL".encode())
        if len(possible) == 1:
            return 0
        return sum(self.try_together([pair], where) for pair in possible)

    def _read(self) -> Reading:
        return read(self.database, read_seconds=20)

    def _is_same(self, reading: Reading) -> bool:
        return reading.frame.equals(self.reference.frame) and (
            reading.blocks == self.reference.blocks
        )

    def _set(self, owner: str, name: str, value: str) -> bool:
        text = (value or "''") if name in LISTS else quoted(value)
        try:
            self.connection.execute(f"ALTER {owner} SET {name} = {text}".encode())
        except psycopg.Error:
            return False
        return True


def rounds(settings: Sequence[Setting]) -> Iterator[list[tuple[str, str]]]:
    """Each value of each setting once; together, one value of each setting."""
    harmless = [setting for setting in settings if setting.name not in REFUSING]
    for setting in settings:
        if THOROUGH or setting not in harmless:
            yield from ([(setting.name, value)] for value in setting.values)
    for index in range(0 if THOROUGH else max(len(s.values) for s in harmless)):
        yield [(s.name, s.values[index]) for s in harmless if index < len(s.values)]


OWNERS = (
    "ROLE {role}",
    'DATABASE "{database}"',
    'ROLE {role} IN DATABASE "{database}"',
)


@pytest.mark.long(
    "tests/readmodel/source/postgres/test_source.py::test_the_session_of_a_role_does_not_change_texts"
)
def test_no_setting_of_a_session_changes_what_is_mirrored(postgres: Database) -> None:
    """Set to odd values for the role or the database: the same rows, or a refusal in one line."""
    postgres.run(
        "CREATE TABLE things (id int PRIMARY KEY, a timestamptz, b date, c interval, d float8, "
        "e bytea, f numeric(9,2), g text, h regclass, i money, k int[], l boolean)",
        "INSERT INTO things SELECT i, '2024-03-04 05:06:07.089'::timestamptz + i * interval '1 h', "
        "'2024-03-04', '1 year -2 days 03:04:05.6', i / 3.0, '\\x00ff5c', i, 'é\\' || i, 'things', i, "
        "ARRAY[i, NULL], i % 2 = 0 FROM generate_series(1, 40) i",
    )
    with suppress(psycopg.Error):  # Not every server is built with XML.
        postgres.run("ALTER TABLE things ADD j xml DEFAULT '<a/>'")
    with postgres.connect() as connection:
        role = Role(postgres, connection)
        same = sum(
            role.try_together(chosen, OWNERS[number % 3])
            for number, chosen in enumerate(rounds(settings_of(postgres)))
        )
    assert same > 300
    assert {name for name, *_ in role.refused} <= REFUSING, role.refused
    assert not [error for *_, error in role.refused if "\n" in str(error)]
