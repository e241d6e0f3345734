"""Values as JSON arrays equal those of packed rows, or are recognised as not held."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import Block, choose_blocking
from readmodel.source.sqlite import arrays
from readmodel.source.sqlite.arrays import (
    NotHeld,
    are_held,
    decode_arrays,
    digest,
)
from readmodel.source.sqlite.columns import mirrored_column
from readmodel.source.sqlite.source import SqliteSource, SqliteView
from readmodel.source.wire import Batch
from readmodel.tables import Table
from testbed.schema import TEXTS
from tests.support.effort import examples
from util.errors import SourceError

BY_ID, BY_NUMBER, BY_TIME = (Table("things", key=key) for key in ("id", "i", "t"))
TYPES = {
    "i": "INT", "b": "BOOLEAN", "v": "VARCHAR(9)", "n": "TEXT NOT NULL DEFAULT ''", "d": "DECIMAL(6,2)",
    "w": "DECIMAL(38,20)", "f": "REAL", "t": "TIMESTAMP", "u": "DATETIME", "y": "DATE", "x": "BLOB", "z": "ANY",
}  # fmt: skip

type Row = Sequence[Any]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A file with an empty table that has a column of each kind."""
    with closing(sqlite3.connect(tmp_path / "source.db", autocommit=True)) as opened:
        opened.execute("PRAGMA synchronous = OFF")
        columns = ", ".join(f"{name} {declared}" for name, declared in TYPES.items())
        opened.execute(f"CREATE TABLE things (id INTEGER PRIMARY KEY, {columns})")
        yield opened


@pytest.fixture
def source(connection: sqlite3.Connection, tmp_path: Path) -> SqliteSource:
    """The file as a source."""
    assert connection
    return SqliteSource(tmp_path / "source.db")


def put(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Replace all rows."""
    connection.execute("BEGIN")
    connection.execute("DELETE FROM things")
    places = ", ".join("?" * (1 + len(TYPES)))
    connection.executemany(f"INSERT INTO things VALUES ({places})", rows)
    connection.execute("COMMIT")


def read(view: SqliteView, table: Table, packed: bool) -> tuple[list[Any], ...] | str:
    """Numbers and rows of the blocks, all values and counts; or why there are none."""
    columns = view.columns(table)
    blocking = choose_blocking(table, columns)
    if packed:
        columns = [replace(column, array_sql="") for column in columns]
    try:
        scanned = list(view.scan(table, columns, blocking))
        blocks = view.blocks(table, columns, blocking)
        fetched = list(view.rows(table, columns, blocking, blocks))
    except SourceError as error:
        return str(error)
    found = [block for each in scanned for block in each.blocks]
    assert found == list(blocks)
    batches = [each.batch for each in scanned]
    assert summary(fetched) == summary(batches)
    return [(block.number, block.rows) for block in blocks], summary(batches)


def summary(batches: Sequence[Batch]) -> list[Any]:
    """Sorted rows, dtypes, and counts."""
    rows = [row for batch in batches for row in batch.frame.rows()]
    dtypes = [batch.frame.dtypes for batch in batches[:1]]
    dates = sum(batch.zero_dates for batch in batches)
    repaired = sum(batch.repaired_texts for batch in batches)
    return [sorted(map(repr, rows)), dtypes, dates, repaired]


ODD_TEXTS = (
    *TEXTS,
    "\x03",
    "\x04\\",
    'a"b\\',
    "null",
    ",null",
    '","',
    ',"',
    '"',
    "\\",
    '\\"',
    "a,1",
    "[",
    "]",
    "\ufeffx",
    "\0",
    "\r",
    "\x02",
)
KEYS = st.integers(-40_000, 40_000)
TEXT = st.none() | st.sampled_from(ODD_TEXTS) | st.text(max_size=5)
NUMBER = (
    st.none()
    | st.integers(-9999, 9999).map(lambda number: number / 100)
    | st.integers(-9999, 9999)
)
TIME = (
    st.none()
    | st.datetimes().map(lambda time: time.isoformat(" "))
    | st.datetimes().map(lambda time: time.replace(microsecond=0).isoformat(" "))
    | st.datetimes().map(lambda time: f"{time.isoformat('T')}Z")
    | st.sampled_from(["0000-00-00 00:00:00", "2023-02-31 00:00:00", "0000-01-01 00:00:00"])
)  # fmt: skip
DAY = st.none() | st.dates().map(str) | st.sampled_from(["2023-02-31", "0000-01-01"])
ROW = st.tuples(
    KEYS, st.none() | KEYS, st.sampled_from([None, 0, 1]), TEXT, TEXT.map(lambda text: text or ""),
    NUMBER, NUMBER, st.none() | st.floats(allow_nan=False), TIME, TIME, DAY, st.none() | st.binary(max_size=4),
    TEXT | st.integers(-9, 9) | st.floats(allow_nan=False) | st.binary(max_size=4),
)  # fmt: skip
ANY = TEXT | NUMBER | st.floats(allow_nan=False) | st.binary(max_size=4) | TIME


def rows_of(row: st.SearchStrategy[Row], most: int) -> st.SearchStrategy[list[Row]]:
    """Rows with different ids."""
    return st.lists(row, max_size=most, unique_by=lambda values: values[0])


WIDE = settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)


@WIDE
@given(rows_of(ROW, 8), st.sampled_from([BY_ID, BY_NUMBER, BY_TIME]))
def test_arrays_hold_what_packed_rows_hold(
    source: SqliteSource,
    connection: sqlite3.Connection,
    rows: list[Row],
    table: Table,
) -> None:
    """Blocks found by an index, and grouped ones, by number and by day."""
    put(connection, rows)
    with source.view() as view:
        found = read(view, table, packed=False)
        assert found == read(view, table, packed=True)


@WIDE
@given(rows_of(ROW, 3), st.integers(1, len(TYPES)), ANY)
def test_what_packed_rows_refuse_is_refused(
    source: SqliteSource,
    connection: sqlite3.Connection,
    rows: list[Row],
    place: int,
    value: Any,
) -> None:
    """Any value in any column: the same copy, or the same message."""
    odd: list[Any] = [0] * (1 + len(TYPES))
    odd[0], odd[1], odd[place] = 50_000, 1, value
    odd[8:11] = [None] * 3
    odd[place] = value if value is not None or place != 4 else ""
    put(connection, [*rows, odd])
    with source.view() as view:
        assert read(view, BY_ID, packed=False) == read(view, BY_ID, packed=True)


@WIDE
@given(rows_of(ROW, 4), rows_of(ROW, 4))
def test_blocks_are_equal_only_if_their_rows_are(
    source: SqliteSource,
    connection: sqlite3.Connection,
    rows: list[Row],
    others: list[Row],
) -> None:
    """The digests of what differs differ."""
    digests, copies = [], []
    for each in (rows, others):
        put(connection, each)
        with source.view() as view:
            columns = view.columns(BY_ID)
            blocking = choose_blocking(BY_ID, columns)
            digests.append(view.blocks(BY_ID, columns, blocking))
            copies.append(read(view, BY_ID, packed=True))
    assert (digests[0] == digests[1]) == (copies[0] == copies[1])


def block_of(view: SqliteView) -> Block:
    """The only block of `things`."""
    columns = view.columns(BY_ID)
    (block,) = view.blocks(BY_ID, columns, choose_blocking(BY_ID, columns))
    return block


BEFORE = "INSERT INTO things (id, i, v, n, z) VALUES (1, 1, 'a', 'b', 1), (2, 2, 'c', 'd', 'e')"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE things SET v = n, n = v WHERE id = 1",
        "UPDATE things SET v = CASE id WHEN 1 THEN 'c' ELSE 'a' END",
        "UPDATE things SET i = CASE id WHEN 1 THEN 2 ELSE 1 END",
        "UPDATE things SET v = '' WHERE id = 1",
        "UPDATE things SET v = NULL WHERE id = 1",
        "UPDATE things SET v = 'null' WHERE id = 1",
        "UPDATE things SET z = NULL WHERE id = 1",
        "UPDATE things SET z = 1.5 WHERE id = 1",
        "UPDATE things SET v = 'a\"' WHERE id = 1",
        "UPDATE things SET id = 3 WHERE id = 2",
        "UPDATE things SET f = 0.1",
        "UPDATE things SET f = 0.1 + 1e-17",
    ],
)
def test_a_change_changes_the_digest(
    source: SqliteSource, connection: sqlite3.Connection, change: str
) -> None:
    """Swapped values, and NULL against an empty text."""
    connection.execute(BEFORE)
    with source.view() as view:
        before = block_of(view)
    connection.execute(change)
    with source.view() as view:
        after = block_of(view)
    assert after.rows == before.rows
    assert after.digest != before.digest


def test_a_null_and_an_empty_text_differ(
    source: SqliteSource, connection: sqlite3.Connection
) -> None:
    """And so does the text that looks like NULL."""
    found = set()
    for value in ("NULL", "''", "'null'", "'\"\"'"):
        connection.execute("DELETE FROM things")
        connection.execute(f"INSERT INTO things (id, v) VALUES (1, {value})")
        with source.view() as view:
            found.add(block_of(view).digest)
    assert len(found) == 4


def test_numbers_left_in_a_column_of_texts_keep_their_digits(
    source: SqliteSource, connection: sqlite3.Connection
) -> None:
    """The declared type can be changed while the values stay, by writable_schema."""
    connection.execute(
        "INSERT INTO things (id, f) VALUES (1, 0.1), (2, ?)", [0.1 + 0.2]
    )
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, 'f REAL', 'f TEXT')"
    )
    connection.execute("PRAGMA writable_schema = RESET")
    with source.view() as view:
        found = read(view, BY_ID, packed=False)
        assert found == read(view, BY_ID, packed=True)
        digest = block_of(view).digest
    assert "0.30000000000000004" in str(found)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, 'f TEXT', 'f REAL')"
    )
    connection.execute("PRAGMA writable_schema = RESET")
    connection.execute("UPDATE things SET f = 0.3 WHERE id = 2")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, 'f REAL', 'f TEXT')"
    )
    connection.execute("PRAGMA writable_schema = RESET")
    with source.view() as view:
        assert block_of(view).digest != digest


def test_a_view_of_json_is_read_as_text(
    source: SqliteSource, connection: sqlite3.Connection
) -> None:
    """An array would contain it as it is."""
    connection.execute(
        "CREATE VIEW odd AS SELECT 1 AS id, json_array('a', 1.5) AS v, CAST(1 AS INT) AS i"
    )
    odd = Table("odd", key="id")
    with source.view() as view:
        assert not any(column.array_sql for column in view.columns(odd))


NUMBERS, WORDS = mirrored_column("n", "INT"), mirrored_column("v", "TEXT")


@pytest.mark.parametrize(
    ("array", "rows", "held"),
    [
        (b"[1,null,-2]", 3, True),
        (b"[1.0]", 1, False),
        (b"[1e3]", 1, False),
        (b"[Inf]", 1, False),
        (b'["1"]', 1, False),
    ],
)
def test_an_array_of_integers_has_nothing_else(
    array: bytes, rows: int, held: bool
) -> None:
    """Not even a text of digits."""
    assert are_held([True], [array], rows) == held


@pytest.mark.parametrize(
    ("array", "rows", "held"),
    [
        (b'["a","b"]', 2, True),
        (b'["a",null]', 2, True),
        (b"[null]", 1, True),
        (b'["a",1]', 2, False),
        (b"[1]", 1, False),
        (b'["a,1",null]', 2, True),
        (b'["a,1",null,-1.5]', 3, False),
        (rb'["\",1,\"",2]', 2, False),
        (rb'["\\",2,"\""]', 3, False),
        (rb'["\\",null,"\"2"]', 3, True),
        (rb'["\\\",1"]', 1, True),
    ],
)
def test_an_array_of_texts_has_no_number(array: bytes, rows: int, held: bool) -> None:
    """Whatever the texts contain."""
    assert are_held([False], [array], rows) == held


@given(
    st.lists(st.none() | st.sampled_from(ODD_TEXTS) | st.text(max_size=6), min_size=1)
)
def test_texts_are_read_as_json_reads_them(texts: list[str | None]) -> None:
    """By a simple encoder, which writes what SQLite writes."""
    array = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
    batch = decode_arrays([WORDS], [[array]], len(texts))
    assert batch.frame["v"].to_list() == texts


WORDS_OR_NONE = st.none() | st.sampled_from(ODD_TEXTS) | st.text(max_size=6)


@given(st.lists(st.lists(WORDS_OR_NONE, min_size=1), min_size=1, max_size=3))
def test_nulls_are_noticed_wherever_they_are(blocks: list[list[str | None]]) -> None:
    """Also if none is near the beginning of an array, where it is looked for."""
    encoded = [
        json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
        for texts in blocks
    ]
    expected = [text for texts in blocks for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_HEAD_BYTES", len(b"[null"))
        found = arrays.read_texts(encoded, len(expected))
    assert found.to_list() == expected


def test_blocks_are_decoded_together() -> None:
    """In their order."""
    blocks = [[b"[1]", b'["a"]'], [b"[2,null]", b'[null,""]']]
    batch = decode_arrays([NUMBERS, WORDS], blocks, 3)
    assert batch.frame.rows() == [(1, "a"), (2, None), (None, "")]
    assert batch.frame.schema == {"n": pl.Int64(), "v": pl.String()}


def test_bytes_that_are_not_utf_8_are_not_held() -> None:
    """They are repaired, and counted, in packed rows."""
    with pytest.raises(NotHeld):
        decode_arrays([WORDS], [[b'["\xff"]']], 1)


def test_the_digest_is_the_beginning_of_a_sha_256() -> None:
    """`printf '[1]["a"]' | sha256sum` begins with these digits."""
    import hashlib

    assert digest([b"[1]", b'["a"]']) == int(
        hashlib.sha256(b'[1]["a"]').hexdigest()[:16], 16
    )
