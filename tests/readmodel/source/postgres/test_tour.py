"""A tour of the server: every type of its catalog, and every setting of a role.

Both are generated from the catalog, so a new version of PostgreSQL is covered by
running it. An independent client, which reads text by COPY with settings of its own,
says what is right.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import batched, groupby
from operator import itemgetter
from typing import Any

import polars as pl
import psycopg

from readmodel.source.blocking import choose_blocking
from readmodel.source.protocol import PassingFault
from readmodel.tables import Table
from testbed.postgres import Database
from tests.readmodel.source.postgres.reading import Reading, read, source_of
from tests.support.effort import THOROUGH
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
)  # fmt: skip


def types(database: Database) -> list[str]:
    """Every type that a column of a user's table can have."""
    return [
        name
        for (name,) in database.query(
            "SELECT format_type(oid, NULL) FROM pg_type WHERE typtype IN ('b', 'r', 'm', 'e') "
            "AND typname NOT LIKE '\\_%' AND typisdefined AND typnamespace = 'pg_catalog'::regnamespace "
            "ORDER BY oid"
        )
    ]


def declared(database: Database) -> Iterator[str]:
    """The types, some with modifiers, and arrays of them."""
    for name in types(database):
        yield name
        yield f"{name}[]"
    yield from (
        "numeric(4,2)", "numeric(38,10)", "numeric(50,3)", "varchar(2)", "char(4)", "bit(3)", "bit varying(9)",
        "timestamp(0)", "timestamptz(3)", "time(2)", "interval day to second(1)", "interval year",
    )  # fmt: skip


def values_of(connection: psycopg.Connection, declaration: str) -> bool:
    """Fill `things` with all inputs that the type takes; False if it is not possible."""
    try:
        connection.execute(f"CREATE TABLE things (id int, v {declaration})".encode())
    except psycopg.Error:
        return False
    rows = [*INPUTS, *(f"{{{text}}}" for text in INPUTS if declaration.endswith("[]"))]
    connection.execute("CALL pg_temp.try_inputs(%s)", (rows,))
    connection.execute("INSERT INTO things VALUES (-1, NULL)")
    return True


# In the server, because a statement of its own for each input would take half a minute.
TRY_INPUTS = """
CREATE OR REPLACE PROCEDURE pg_temp.try_inputs(inputs text[]) LANGUAGE plpgsql AS $$
BEGIN
    FOR number IN 1 .. cardinality(inputs) LOOP
        BEGIN
            EXECUTE format('INSERT INTO things VALUES (%s, %L)', number - 1, inputs[number]);
        EXCEPTION WHEN OTHERS THEN
        END;
    END LOOP;
END $$
"""


def independent(database: Database) -> list[tuple[int, str | None]]:
    """The rows as text, by another client with settings of its own."""
    with database.connect() as connection:
        connection.execute(
            "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; "
            "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET search_path = pg_catalog"
        )
        with connection.cursor().copy("COPY public.things TO STDOUT") as copy:
            return sorted((int(row[0]), row[1]) for row in copy.rows() if row[0])


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


def test_every_type_of_the_catalog_is_mirrored_exactly(postgres: Database) -> None:
    """With all inputs that it takes, as column and, if it may be, as key."""
    tried, keys, wrong = 0, 0, []
    for declaration in declared(postgres):
        with postgres.connect() as connection:
            connection.execute(TRY_INPUTS)
            connection.execute("DROP TABLE IF EXISTS things")
            if not values_of(connection, declaration):
                continue
        tried += 1
        expected = independent(postgres)
        reading = read(postgres)
        dtype = reading.frame.schema["v"]
        found = sorted(reading.frame.select("id", "v").rows(), key=lambda row: row[0])
        assert [row[0] for row in found] == [row[0] for row in expected], declaration
        beyond = 0
        for (_, value), (_, text) in zip(found, expected, strict=True):
            beyond += text is not None and value is None
            if not matches(dtype, value, text):
                wrong.append((declaration, value, text))
        assert reading.replaced == beyond, declaration
        keys += as_key(postgres, expected)
    assert wrong == []
    assert tried > 100
    assert keys > 6


def as_key(database: Database, expected: Sequence[tuple[int, str | None]]) -> bool:
    """Whether the type may be a key; then block by block it gives all rows."""
    table = Table("things", key="v")
    with source_of(database).view([table]) as view:
        columns = view.columns(table)
        try:
            blocking = choose_blocking(table, columns)
        except SourceError:
            return False
        blocks = view.blocks(table, columns, blocking)
        ids = []
        for block in blocks:
            for batch in view.rows(table, columns, blocking, [block]):
                ids += batch.frame["id"].to_list()
                numbers = batch.frame.select(blocking.block_number()).to_series()
                assert set(numbers) <= {block.number}
    assert sorted(ids) == [row[0] for row in expected]
    return True


def odd_values(
    kind: str, low: str | None, high: str | None, choices: str | None
) -> list[str]:
    """Values of a setting at its ends, or all that it can take."""
    match kind:
        case "bool":
            return ["on", "off"]
        case "enum":
            return (choices or "").strip("{}").replace('"', "").split(",")
        case "integer" | "real":
            return [str(value) for value in (low, high)]
    return [
        "",
        "nonsense",
        "pg_temp",
        "LATIN1",
        "German, DMY",
        "Asia/Kathmandu",
        "ja_JP.UTF-8",
    ]


def test_no_setting_of_a_role_changes_what_is_mirrored(postgres: Database) -> None:
    """Each set to odd values in turn: the same rows, or a refusal in one line.

    Several are set at once; those of a group that changes the answer are set one by one.
    """
    postgres.run(
        "CREATE TABLE things (id int PRIMARY KEY, a timestamptz, b date, c interval, d float8, "
        "e bytea, f numeric(9,2), g text, h regclass, i money, j xml, k int[], l boolean)",
        "INSERT INTO things SELECT i, '2024-03-04 05:06:07.089'::timestamptz + i * interval '1 h', "
        "'2024-03-04', '1 year -2 days 03:04:05.6', i / 3.0, '\\x00ff5c', i, 'é\\' || i, 'things', i, "
        "'<a/>', ARRAY[i, NULL], i % 2 = 0 FROM generate_series(1, 40) i",
    )
    reference = read(postgres)
    same, refused = 0, []
    with postgres.connect() as connection:
        for group in groups(settings(postgres)):
            accepted, whole = try_settings(postgres, connection, group, reference)
            same += len(accepted) if whole is True else 0
            if whole is True or not accepted:
                continue
            for name, value in accepted:
                _, alone = try_settings(
                    postgres, connection, [(name, value)], reference
                )
                assert alone is not False, (name, value)
                if isinstance(alone, SourceError):
                    passing = isinstance(alone, PassingFault)
                    refused.append((name, value, passing, str(alone)))
                else:
                    same += 1
    assert same > 150
    assert {name for name, *_ in refused} <= REFUSING, refused
    assert not [message for *_, message in refused if "\n" in message]


# Time-outs that an administrator may mean, and settings that let no session begin.
REFUSING = {
    "statement_timeout", "transaction_timeout", "local_preload_libraries", "exit_on_error",
    "restrict_nonsystem_relation_kind", "role",
}  # fmt: skip


def settings(database: Database) -> list[tuple[str, str]]:
    """Each setting that a role may change, with each of its odd values."""
    return [
        (name, value)
        for name, *limits in database.query(
            "SELECT name, vartype, min_val, max_val, enumvals::text FROM pg_settings "
            "WHERE context = 'user' AND name NOT LIKE 'debug_discard%' ORDER BY name"
        )
        for value in odd_values(*limits)
    ]


def groups(pairs: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Settings of different names to set at once; those that may refuse are alone."""
    if THOROUGH:
        return [[pair] for pair in pairs]
    rounds: dict[int, list[tuple[str, str]]] = {}
    for name, same_name in groupby(pairs, key=itemgetter(0)):
        for number, pair in enumerate(same_name):
            rounds.setdefault(-1 if name in REFUSING else number, []).append(pair)
    alone = [[pair] for pair in rounds.pop(-1, [])]
    return alone + [list(some) for each in rounds.values() for some in batched(each, 8)]


def try_settings(
    database: Database,
    connection: psycopg.Connection,
    pairs: Sequence[tuple[str, str]],
    reference: Reading,
) -> tuple[list[tuple[str, str]], bool | SourceError]:
    """The settings that the server accepts, and whether the rows are the same then.

    An error stands for a refusal.
    """
    role = database.reader.user
    accepted = [pair for pair in pairs if set_for(role, connection, *pair)]
    if not accepted:
        return [], True
    try:
        reading = read(database, read_seconds=20)
    except SourceError as error:
        return accepted, error
    finally:
        connection.execute(f"ALTER ROLE {role} RESET ALL".encode())
    same = reading.frame.equals(reference.frame) and reading.blocks == reference.blocks
    return accepted, same


def set_for(role: str, connection: psycopg.Connection, name: str, value: str) -> bool:
    """Set it for the role; False if that is not possible."""
    is_list = name in ("datestyle", "search_path", "local_preload_libraries")
    text = (value or "''") if is_list else f"'{value}'"
    try:
        connection.execute(f"ALTER ROLE {role} SET {name} = {text}".encode())
    except psycopg.Error:
        return False
    return True
