"""Floating-point numbers are exact, and Python is asked only about rare ones."""

import math
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import choose_blocking
from readmodel.source.sqlite.floats import are_proven
from readmodel.source.sqlite.functions import SqlFunctions
from readmodel.source.sqlite.reading import FoundBlock, TableReader
from readmodel.source.sqlite.source import SqliteSource, SqliteView
from readmodel.tables import Table
from tests.support.effort import examples

THINGS = Table("things", key="id")

BITS = st.binary(min_size=8, max_size=8).map(lambda bits: struct.unpack("d", bits)[0])
EDGES = (0.0, 2.0**-9, 2.0**53, 2.0**62, 2.0**63, 5e-324, 2.2250738585072014e-308)
NUMBERS = (
    BITS.filter(lambda number: not math.isnan(number))
    | st.floats(-1, 1)
    | st.floats(2.0**-9, 2.0**53)
    | st.integers(-(10**9), 10**9).map(lambda number: number / 100)
    | st.sampled_from([*EDGES, *(math.nextafter(edge, 0.0) for edge in EDGES)])
    | st.sampled_from([math.nextafter(edge, math.inf) for edge in EDGES])
    | st.sampled_from([math.inf, -math.inf, -0.0])
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database that `view` reads."""
    with closing(sqlite3.connect(tmp_path / "source.db", autocommit=True)) as opened:
        opened.execute("PRAGMA synchronous = OFF")
        opened.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, f REAL)")
        yield opened


def put(connection: sqlite3.Connection, values: Sequence[float | None]) -> None:
    """Replace all rows."""
    connection.execute("BEGIN")
    connection.execute("DELETE FROM things")
    connection.executemany(
        "INSERT INTO things (f) VALUES (?)", ([value] for value in values)
    )
    connection.execute("COMMIT")


def keep_as_they_are(connection: sqlite3.Connection, values: Sequence[float]) -> None:
    """Replace all rows, without what SQLite does to a value of a column of numbers."""
    alter = "UPDATE sqlite_schema SET sql = replace(sql, 'f {}', 'f {}')"
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(alter.format("REAL", "BLOB"))
    connection.execute("PRAGMA writable_schema = RESET")
    put(connection, values)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(alter.format("BLOB", "REAL"))
    connection.execute("PRAGMA writable_schema = RESET")


def read(view: SqliteView) -> tuple[FoundBlock, list[float | None]]:
    """The one block, and its numbers."""
    columns = view.columns(THINGS)
    blocking = choose_blocking(THINGS, columns)
    reader = TableReader(THINGS, columns, blocking, view._query_of(THINGS))
    (found,) = reader.read()
    return found, reader.decode([found]).frame["f"].to_list()


def bits(values: Sequence[float | None]) -> list[bytes | None]:
    """What tells -0.0 from 0.0."""
    return [None if value is None else struct.pack("d", value) for value in values]


def earlier_array(connection: sqlite3.Connection) -> bytes:
    """The array in which Python compared each text with its number."""
    SqlFunctions().register(connection)
    exact = "exact(f, printf('%!.17g', f))"
    number = f"CASE typeof(f) WHEN 'real' THEN {exact} WHEN 'integer' THEN f END"
    statement = f"SELECT json_group_array(CAST({number} AS TEXT)) FROM things"
    ((array,),) = connection.execute(statement)
    return bytes(array, "ascii")


def test_every_number_is_read_as_sqlite_holds_it(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """And the digest is that of the same text as before, so nothing is fetched again."""

    @settings(max_examples=examples(60), deadline=None)
    @given(st.lists(st.none() | NUMBERS, min_size=1, max_size=30))
    def check(values: Sequence[float | None]) -> None:
        put(connection, values)
        held = [value for (value,) in connection.execute("SELECT f FROM things")]
        with SqliteSource(tmp_path / "source.db").view() as view:
            found, numbers = read(view)
        assert bits(numbers) == bits(held)
        assert [value or 0.0 for value in numbers] == [value or 0.0 for value in values]
        assert found.arrays[1] == earlier_array(connection)

    check()


def test_zero_keeps_its_sign(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """SQLite shows it neither in a text nor in a comparison."""
    keep_as_they_are(connection, [-0.0, 0.0])
    with SqliteSource(tmp_path / "source.db").view() as view:
        assert bits(read(view)[1]) == bits([-0.0, 0.0])


def test_python_is_not_asked_about_usual_numbers(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only about zero, and numbers beyond the range that integers prove."""
    asked = []

    def exact(value: float, text: str) -> str:
        asked.append(value)
        return repr(value) if float(text) != value else text

    monkeypatch.setattr("readmodel.source.sqlite.functions._exact", exact)
    usual = [6.8, -0.1, 2.0**-9, 2.0**53, 0.1 + 0.2, None, 1e15 / 7]
    rare = [0.0, 1e-9, 1e300, math.inf]
    put(connection, [*usual, *rare])
    with SqliteSource(tmp_path / "source.db").view() as view:
        assert read(view)[1] == [*usual, *rare]
    assert asked == rare


def test_a_text_that_is_not_the_number_is_noticed(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """With a version of SQLite that writes other digits, rows are packed and compared."""
    values = [6.8, 0.1 + 0.2]
    put(connection, values)
    with SqliteSource(tmp_path / "source.db").view() as view:
        view._connection.create_function("printf", 2, lambda _, value: f"{value:.15g}")
        found, numbers = read(view)
    assert found.packed
    assert numbers == values


@settings(max_examples=examples(100), deadline=None)
@given(st.floats(2.0**-9, 2.0**53), st.booleans(), st.sampled_from([0.0, math.inf]))
def test_a_neighbour_of_the_number_is_not_proven(
    number: float, negative: bool, towards: float
) -> None:
    """By hand: a whole number, and what is left, as 62 bits."""
    value = -number if negative else number
    whole = int(value)
    fraction = (value - whole) * 2**62
    assert fraction.is_integer()
    proof = pl.Series([whole]), pl.Series([int(fraction)])
    assert are_proven(pl.Series([repr(value)]), *proof)
    neighbour = math.nextafter(value, towards)
    assume(neighbour != value)
    assert not are_proven(pl.Series([repr(neighbour)]), *proof)
