"""Blocks are read by an index where there is one, each once, and none is missed."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import BlockRange, choose_blocking
from readmodel.source.protocol import PassingFault
from readmodel.source.sqlite import reading
from readmodel.source.sqlite.arrays import are_held
from readmodel.source.sqlite.reading import TableReader
from readmodel.source.sqlite.source import SqliteSource, SqliteView
from readmodel.tables import Table
from tests.support.effort import examples
from util.errors import SourceError

THINGS = Table("things", key="id")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database that `view` reads."""
    with closing(sqlite3.connect(tmp_path / "source.db", autocommit=True)) as opened:
        yield opened


def reader(view: SqliteView, table: Table = THINGS) -> TableReader:
    """Reads all blocks of *table*."""
    columns = view.columns(table)
    return TableReader(
        table, columns, choose_blocking(table, columns), view._query_of(table)
    )


KEYS = [-(2**63), -1, 0, 16_383, 16_384, 2**40, 2**63 - 1]


@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "INT PRIMARY KEY", "INT"])
def test_every_key_is_in_one_block(
    connection: sqlite3.Connection, tmp_path: Path, key: str
) -> None:
    """From the lowest to the highest; only blocks with rows are read."""
    connection.execute(f"CREATE TABLE things (id {key}, v TEXT)")
    connection.executemany("INSERT INTO things VALUES (?, 'x')", ([k] for k in KEYS))
    numbers = [key // 16_384 for key in KEYS if key != 16_383]
    with SqliteSource(tmp_path / "source.db").view() as view:
        found = list(reader(view).read())
        assert [each.block.number for each in found] == numbers
        assert [each.block.rows for each in found] == [1, 1, 2, 1, 1, 1]
        assert all(each.arrays for each in found)
        assert reader(view).decode(found).frame["id"].to_list() == KEYS
        some = reader(view).read(BlockRange(0, 1))
        assert [each.block.number for each in some] == [0, 1]
        some = reader(view).read(numbers=[2**49 - 1, None, -1, 5])
        assert [each.block.number for each in some] == [-1, 2**49 - 1]


def test_an_index_serves_and_finds_rows_without_a_key(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """They come first."""
    connection.execute("CREATE TABLE things (id INT, v TEXT)")
    connection.execute("CREATE INDEX by_id ON things (id)")
    connection.execute("INSERT INTO things VALUES (5, 'a'), (NULL, 'b'), (NULL, NULL)")
    with SqliteSource(tmp_path / "source.db").view() as view:
        assert reader(view)._is_searched()
        found = list(reader(view).read())
        assert [(f.block.number, f.block.rows) for f in found] == [(None, 2), (0, 1)]
        (later,) = reader(view).read(BlockRange(0, None))
        assert later.block.number == 0


@pytest.mark.parametrize("key", ["INT", "INT UNIQUE"])
@pytest.mark.parametrize("value", ["'seven'", "x'01'", "1.5", "9e999", "-1.5"])
def test_a_key_of_another_type_is_refused(
    connection: sqlite3.Connection, tmp_path: Path, key: str, value: str
) -> None:
    """It is not left out."""
    connection.execute(f"CREATE TABLE things (id {key}, v TEXT)")
    connection.execute(f"INSERT INTO things VALUES (1, 'a'), ({value}, 'b'), (3, 'c')")
    with SqliteSource(tmp_path / "source.db").view() as view:
        columns = view.columns(THINGS)
        blocking = choose_blocking(THINGS, columns)
        with pytest.raises(SourceError, match=r"things\.id has a value") as raised:
            list(view.scan(THINGS, columns, blocking))
    assert not isinstance(raised.value, PassingFault)


@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "INT"])
def test_only_a_block_with_bytes_among_its_texts_is_packed(
    connection: sqlite3.Connection, tmp_path: Path, key: str
) -> None:
    """SQLite refuses an array of bytes; where it groups rows, it ends there."""
    connection.execute(f"CREATE TABLE things (id {key}, v TEXT)")
    connection.execute(
        "INSERT INTO things VALUES (1, 'a'), (20000, x'62'), (40000, 'c')"
    )
    with SqliteSource(tmp_path / "source.db").view() as view:
        found = list(reader(view).read())
        assert [each.block.number for each in found] == [0, 1, 2]
        is_searched = key != "INT"
        held = [bool(each.arrays) for each in found]
        assert held == [is_searched, False, is_searched]
        values = reader(view).decode(found).frame["v"].to_list()
    assert values == ["a", "b", "c"]


def test_a_block_that_is_too_long_for_an_array_is_packed(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """SQLite has a limit for the length of a text."""
    connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, v TEXT)")
    rows = ([n, "x" * 1_000] for n in range(40))
    connection.executemany("INSERT INTO things VALUES (?, ?)", rows)
    with SqliteSource(tmp_path / "source.db").view() as view:
        view._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 20_000)
        (found,) = reader(view).read()
        assert not found.arrays
        assert reader(view).decode([found]).frame.height == 40


def test_days_and_times_without_a_day_are_told_apart(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """A key that is no day belongs to the block without a number, as NULL does."""
    connection.execute("CREATE TABLE things (id INT, at TIMESTAMP)")
    times = [None, "2024-02-29 01:00:00", "2024-03-01T00:00:00Z", "2024-02-29 00:00:00"]
    connection.executemany("INSERT INTO things VALUES (1, ?)", ([t] for t in times))
    table = Table("things", key="at")
    with SqliteSource(tmp_path / "source.db").view() as view:
        found = list(reader(view, table).read())
        numbers = [(each.block.number, each.block.rows) for each in found]
        assert numbers == [(None, 1), (739_310, 2), (739_311, 1)]
        assert all(each.arrays for each in found)
    connection.execute("INSERT INTO things VALUES (2, '2023-02-31 00:00:00')")
    with SqliteSource(tmp_path / "source.db").view() as view:
        found = list(reader(view, table).read())
        numbers = [(each.block.number, each.block.rows) for each in found]
        assert numbers == [(None, 2), (739_310, 2), (739_311, 1)]


BY_DAY = Table("things", key="at")
DAYS = st.none() | st.dates(date(2024, 1, 1), date(2024, 1, 6)).map(str)
WORDS = st.sampled_from(
    [None, "", "a", '"', ",", "\\", ",1", "[1", "null", 7, 1.5, b"x"]
)
NUMBERS = st.none() | st.integers(-9, 9) | st.sampled_from(["x", 1.5, b"1"])
USUAL_ROWS = st.tuples(DAYS, st.integers(0, 9), st.sampled_from(["a", "b", None]))


@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(
    st.lists(USUAL_ROWS, max_size=8),
    st.lists(st.tuples(DAYS, NUMBERS, WORDS), max_size=2),
)
def test_groups_together_are_what_each_is_by_itself(
    connection: sqlite3.Connection,
    tmp_path: Path,
    usual: list[tuple[object, ...]],
    odd: list[tuple[object, ...]],
) -> None:
    """Whether arrays tell the values, and so their digests, is the same for each block."""
    connection.execute("DROP TABLE IF EXISTS things")
    connection.execute("CREATE TABLE things (at TIMESTAMP, n INT, v VARCHAR)")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executemany("INSERT INTO things VALUES (?, ?, ?)", [*usual, *odd])
    with (
        SqliteSource(tmp_path / "source.db").view() as view,
        pytest.MonkeyPatch.context() as patch,
    ):
        together = list(reader(view, BY_DAY).read())
        patch.setattr(reading, "_ROWS_TOGETHER", 1)
        assert together == list(reader(view, BY_DAY).read())


def test_groups_of_usual_values_are_examined_together(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten days take one look at each column."""
    connection.execute("CREATE TABLE things (at TIMESTAMP, v VARCHAR)")
    rows = [(f"2024-01-{day:02}", None if day % 3 else "a") for day in range(1, 11)]
    connection.executemany("INSERT INTO things VALUES (?, ?)", rows)
    examined: list[int] = []

    def recorded(numbers: Sequence[bool], arrays: Sequence[bytes], rows: int) -> bool:
        examined.append(rows)
        return are_held(numbers, arrays, rows)

    monkeypatch.setattr(reading, "are_held", recorded)
    with SqliteSource(tmp_path / "source.db").view() as view:
        assert len(list(reader(view, BY_DAY).read())) == 10
    assert examined == [10]
