"""Lines with texts in them are taken only where they are proven to be read exactly."""

from collections.abc import Sequence
from contextlib import closing
from itertools import product
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import KnownBlocks, choose_blocking
from readmodel.source.mysql import fetch, inline, scan
from readmodel.source.mysql import view as mysql_view
from readmodel.source.mysql.columns import NULL_MARK
from readmodel.source.mysql.digests import BlockDigests
from readmodel.source.mysql.source import MysqlSource
from readmodel.source.wire import Batch, Column, is_utf8
from readmodel.tables import Table
from testbed.mariadb import Database
from testbed.schema import TEXTS
from tests.support.effort import examples
from tests.support.mysql import THINGS, mysql_source, stopped_while_asleep
from util.errors import SourceError, Stopped


@pytest.fixture(autouse=True)
def _scan_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scan blocks with few rows, too, which are usually digested together."""
    monkeypatch.setattr(mysql_view, "ROWS_PER_RANGE", 0)


COLUMNS = [
    Column("note", pl.String(), "", pl.Int64(), payload_sql="note", inline_sql="note"),
    Column("id", pl.Int32(), "id", pl.Int32(), inline_sql="id"),
    Column("end", pl.String(), "", pl.Int64(), payload_sql="end", inline_sql="end"),
]
TEXT = st.text(st.characters(codec="utf-8"), max_size=6) | st.text(
    "\x01\t\n\r,\"'\\ \ufeffé", max_size=4
)
BYTES = (
    st.binary(max_size=4)
    | st.lists(st.sampled_from(b"\x01\t\n\ra1\xc3\xa9"), max_size=3).map(bytes)
    | TEXT.map(str.encode)
)


def rows_of(texts: st.SearchStrategy[bytes]) -> st.SearchStrategy["Rows"]:
    """Rows with such texts, or NULL."""
    row = st.tuples(
        st.none() | texts, st.none() | st.integers(-5, 5), st.none() | texts
    )
    return st.lists(row, min_size=1, max_size=6)


type Rows = Sequence[tuple[bytes | None, int | None, bytes | None]]


def lines(rows: Rows) -> bytes:
    """Join rows as the server does."""
    return b"".join(
        b"%b\t%b\t%b\t\n" % (_text(note), b"" if it is None else b"%d" % it, _text(end))
        for note, it, end in rows
    )


def _text(value: bytes | None) -> bytes:
    return NULL_MARK.encode() if value is None else value


def texts_of(rows: Rows) -> list[bytes | None]:
    """All texts, in order."""
    return [text for note, _, end in rows for text in (note, end)]


def unpack(texts: Sequence[bytes], rows: Rows) -> Batch | None:
    """Decode *texts*, from a server that has *rows*."""
    return inline.unpack(texts, COLUMNS, len(rows), texts_of(rows).count(None))


def is_plain(rows: Rows) -> bool:
    """By hand: no character of a text, and no text, means anything."""
    texts = [text for text in texts_of(rows) if text is not None]
    return (
        not set(b"".join(texts)) & set(b"\t\n\r")
        and b"\x01" not in texts
        and all(map(is_utf8, texts))
        and not lines(rows).startswith("\ufeff".encode())
    )


def assert_exact_or_unproven(*blocks: Rows) -> None:
    """Compare what is unpacked with the rows of *blocks*: nothing unless all are plain."""
    rows = [row for block in blocks for row in block]
    batch = unpack([lines(block) for block in blocks], rows)
    assert (batch is not None) is all(map(is_plain, blocks))
    if batch is not None:
        found = batch.frame.with_columns(pl.col(pl.String).cast(pl.Binary))
        assert found.rows() == rows


@settings(max_examples=examples(300))
@given(rows_of(BYTES))
@example([("\ufeff".encode(), 1, b"")])
@example([(b"a", 1, b"b\r")])
@example([(b"a", 1, b"\xed\xa0\x80")])
@example([(b"\xc3", 1, b"\xa9")])
@example([(None, 1, b"a"), (b"\x01", 2, b"b")])
@example([(b"a\x01", 1, None)])
@example([(b"x\ty", 1, b"z")])
@example([(b"a", 1, b"\n")])
def test_plain_rows_are_read_exactly_and_others_are_not_proven(rows: Rows) -> None:
    """Whatever bytes are in their texts."""
    assert_exact_or_unproven(rows)


@settings(max_examples=examples(300))
@given(st.lists(rows_of(BYTES), min_size=2, max_size=4))
@example([[(b"a", 1, b"b")], [(b"a\tb", 2, b"c")]])
@example([[(b"a", 1, b"b")], [(b"a", 2, b"c\td")], [(b"e", 3, b"f")]])
@example([[(b"a", 1, b"b")], [("\ufeff".encode(), 2, b"")]])
@example([[(b"a", 1, b"\n")], [(b"b", 2, b"c")]])
@example([[(b"\xc3", 1, b"")], [(b"\xa9", 2, b"")]])
def test_the_lines_of_several_blocks_are_read_in_their_order(
    blocks: Sequence[Rows],
) -> None:
    """Or not proven, if one of them is not."""
    assert_exact_or_unproven(*blocks)


def test_no_lines_are_no_rows() -> None:
    """Blocks that have all been deleted."""
    batch = unpack([], [])
    assert batch is not None
    assert batch.frame.schema == {it.name: it.dtype for it in COLUMNS}
    assert batch.frame.is_empty()


def test_two_rows_of_any_short_texts_are_read_exactly_or_not_proven() -> None:
    """All texts of at most one character, in each place."""
    texts = [None, b"", b"a", b"1", b"\t", b"\n", b"\r", b"\x01", b"\xff"]
    for first, second, third, fourth in product(texts, repeat=4):
        assert_exact_or_unproven([(first, 1, second), (third, None, fourth)])


@pytest.mark.parametrize(
    "text", [b"a\tb", b"\n", b"\t\n", b"\n\n", b"\x01", b"\xff", b"a"]
)
@pytest.mark.parametrize("place", [0, 1, 29_999, 59_999])
@pytest.mark.parametrize("length", [20, 200])
def test_one_text_among_many_is_noticed(text: bytes, place: int, length: int) -> None:
    """The parser divides long texts among threads."""
    rows: list[tuple[bytes | None, int | None, bytes | None]]
    rows = [(b"x" * length, number, None) for number in range(60_000)]
    rows[place] = (text, 7, b"end")
    assert_exact_or_unproven(rows)


@pytest.mark.parametrize("text", [b"\t", b"\n", b"\t\n", b"\xff", b""])
@pytest.mark.parametrize("length", [1000, 70_000, 5 << 20])
@pytest.mark.parametrize("place", range(3))
def test_a_character_in_a_long_text_is_noticed(
    text: bytes, length: int, place: int
) -> None:
    """Wherever its row is."""
    rows: list[tuple[bytes | None, int | None, bytes | None]]
    rows = [(b"x" * length, number, b"end") for number in range(3)]
    rows[place] = (b"x" * length + text + b"x" * length, place, b"")
    assert_exact_or_unproven(rows)


@given(rows_of(TEXT.map(str.encode)).filter(is_plain), st.data())
def test_plain_lines_that_were_cut_off_at_any_byte_are_not_proven(
    rows: Rows, data: st.DataObject
) -> None:
    """A server that cuts off a long text warns, but does not fail."""
    text = lines(rows)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    assert not inline.is_whole(cut) or unpack([cut], rows) is None


def test_a_value_of_another_type_is_not_proven() -> None:
    """Whoever fetches it in another form says what is wrong."""
    assert unpack([b"a\tseven\tb\t\n"], [(b"a", 7, b"b")]) is None


def both(source: MysqlSource, table: Table = THINGS) -> tuple[Any, Any]:
    """Blocks, rows and counts of one scan, and those of digesting and then fetching.

    Each block is digested as the scan has digested it.
    """
    with source.view() as view:
        columns = view.columns(table)
        blocking = choose_blocking(table, columns)
        scan = view.scan(table, columns, blocking)
        assert scan is not None
        scanned = list(scan)
        found = [block for each in scanned for block in each.blocks]
        known = [KnownBlocks(found, None)]
        blocks = list(view.blocks_since(table, columns, blocking, known))
        fetched = list(view.rows(table, columns, blocking, blocks))
    batches = [each.batch for each in scanned]
    return (found, _summary(batches)), (blocks, _summary(fetched))


def _summary(batches: list[Any]) -> tuple[list[Any], int, int]:
    rows = [row for batch in batches for row in batch.frame.rows()]
    return (
        sorted(rows, key=repr),
        sum(batch.zero_dates for batch in batches),
        sum(batch.repaired_texts for batch in batches),
    )


TYPES = (
    "i int, l bigint unsigned NOT NULL, d decimal(20,4), w decimal(60,2), f float, g double, b bit(9), "
    "y year, c char(9) CHARACTER SET latin1, v varchar(99) COLLATE utf8mb4_general_ci, "
    "t text CHARACTER SET utf8mb3, u varchar(9) CHARACTER SET utf16, n varchar(9) COLLATE utf8mb4_unicode_ci NOT NULL, "
    "e enum('a','é'), s set('a','b c'), j json, a timestamp(3) NULL, m datetime, "
    "o datetime(6), q date, r time(6), x uuid, z inet6"
)
VALUES = (
    "-7, 18446744073709551615, -1234.5, 12345678901234567890.25, 0.1, 1e300, 257, 1901, 'é', "
    "'日本 😀', 'naïve', '😀', 'n', 'é', 'a,b c', '[1, null]', '2038-01-19 03:14:07.125', '2020-00-10', "
    "'9999-12-31 23:59:59.999999', '2023-02-31', '-838:59:59.5', '123e4567-e89b-12d3-a456-426655440000', '::1'"
)
NULLS = "NULL, 0" + ", NULL" * 10 + ", ''" + ", NULL" * 10
"""No values but those of the columns that cannot be null."""


def test_a_scan_has_the_blocks_and_the_rows_of_every_type(database: Database) -> None:
    """Values, NULLs and empty texts, and dates that no calendar has."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        for statement in (
            "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'",
            f"CREATE TABLE things (id int PRIMARY KEY, {TYPES})",
            f"INSERT INTO things VALUES (-20000, {VALUES}), (1, {NULLS}), (2, {VALUES})",
            f"INSERT INTO things VALUES (40000, {NULLS})",
        ):
            cursor.execute(statement)
    scanned, fetched = both(mysql_source(database))
    assert scanned == fetched
    assert (len(scanned[0]), scanned[1][1]) == (3, 4)


@settings(
    deadline=None,
    max_examples=examples(15),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.tuples(st.none() | TEXT | st.sampled_from(TEXTS), TEXT), max_size=5),
)
def test_a_scan_has_the_blocks_and_the_rows_of_any_texts(
    database: Database, texts: list[tuple[str | None, str]]
) -> None:
    """A block whose texts are not plain is fetched in another form; the others are not."""
    rows = [(number * 9000, *pair) for number, pair in enumerate(texts)]
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS things "
            "(v varchar(99), id int PRIMARY KEY, w varchar(99) NOT NULL)"
        )
        cursor.execute("DELETE FROM things")
        cursor.executemany("INSERT INTO things (id, v, w) VALUES (%s, %s, %s)", rows)
    scanned, fetched = both(mysql_source(database))
    assert scanned == fetched
    expected = [(v, number, w) for number, v, w in rows]
    assert scanned[1][0] == sorted(expected, key=repr)


@pytest.mark.parametrize(
    "text", ["'a\\tb'", "x'01'", "'\\r'", "_utf8mb4 x'EDA080'", "'a\\nb'"]
)
def test_only_the_block_that_is_not_plain_is_fetched_in_another_form(
    database: Database, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Also a surrogate, which is replaced and counted."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v text)",
        "INSERT INTO things SELECT seq * 100, 'plain' FROM seq_1_to_2000",
        f"UPDATE things SET v = {text} WHERE id = 50000",
    )
    scanned, fetched = both(mysql_source(database))
    assert scanned == fetched
    others: list[int | None] = []
    batches = fetch.BlockFetch.batches

    def recorded(each: fetch.BlockFetch, blocks: Any) -> Any:
        others.extend(block.number for block in blocks)
        return batches(each, blocks)

    monkeypatch.setattr(fetch.BlockFetch, "batches", recorded)
    with mysql_source(database).view() as view:
        columns = view.columns(THINGS)
        assert list(view.scan(THINGS, columns, choose_blocking(THINGS, columns)) or ())
    assert others == [50_000 // 16_384]


def test_lines_that_the_server_cuts_off_are_fetched_in_another_form(
    adjustable_database: Database,
) -> None:
    """A packed text ends at max_allowed_packet."""
    adjustable_database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v text)",
        "INSERT INTO things SELECT seq, REPEAT('x', 1017) FROM seq_1_to_3000",
        "INSERT INTO things SELECT 20000 + seq, 'y' FROM seq_1_to_9",
    )
    with adjustable_database.global_variable("max_allowed_packet", 1 << 20):
        scanned, fetched = both(mysql_source(adjustable_database))
    assert scanned == fetched
    assert len(scanned[1][0]) == 3009


def test_a_limit_on_the_rows_of_a_scan_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block is one row."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY)",
        "INSERT INTO things SELECT seq * 100 FROM seq_1_to_2000",
    )
    monkeypatch.setattr(BlockDigests, "each_sql", lambda *_: "SELECT 0, 0, 0, ''")
    with mysql_source(database).view() as view:
        columns = view.columns(THINGS)
        scan = view.scan(THINGS, columns, choose_blocking(THINGS, columns))
        with pytest.raises(SourceError, match="no setting may limit the rows"):
            list(scan or ())


@pytest.mark.parametrize(
    ("most_bytes", "counts"), [(1 << 20, [2, 4, 8, 8, 3]), (50, [2, *[3] * 7, 2])]
)
def test_a_statement_reads_more_blocks_as_long_as_they_are_small(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    most_bytes: int,
    counts: list[int],
) -> None:
    """Blocks of 14 bytes, up to eight of them or so many bytes."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v text)",
        "INSERT INTO things SELECT 100000 + seq * 16384, 'plain' FROM seq_1_to_25",
    )
    monkeypatch.setattr(scan, "SCANNED_BYTES", most_bytes)
    read: list[int] = []
    read_lines = scan.BlockScan._read_lines

    def recorded(each: scan.BlockScan, numbers: Sequence[int]) -> Any:
        read.append(len(numbers))
        return read_lines(each, numbers)

    monkeypatch.setattr(scan.BlockScan, "_read_lines", recorded)
    scan_things(mysql_source(database))
    assert read == counts


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        ("id int, v blob, PRIMARY KEY (id)", "id"),
        ("id int, v text", "id"),
        ("id date, v blob, PRIMARY KEY (id)", "id"),
    ],
)
def test_other_tables_are_digested_first(
    database: Database, declared: str, key: str
) -> None:
    """Bytes would travel as hexadecimal, and other keys are no ranges of rows."""
    database.run(f"CREATE TABLE things ({declared})")
    table = Table("things", key=key)
    with mysql_source(database).view() as view:
        columns = view.columns(table)
        assert view.scan(table, columns, choose_blocking(table, columns)) is None


def scan_things(source: MysqlSource) -> None:
    """Read all blocks of `things`."""
    with source.view() as view:
        columns = view.columns(THINGS)
        list(view.scan(THINGS, columns, choose_blocking(THINGS, columns)) or ())


def test_a_stop_during_a_scan_waits_for_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statement is ended on the server, and with it the thread that reads."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY)", "INSERT INTO things VALUES (1)"
    )
    monkeypatch.setattr(BlockDigests, "each_sql", lambda *_: "SELECT SLEEP(600)")
    with stopped_while_asleep(database, 1), pytest.raises(Stopped):
        scan_things(mysql_source(database))
