"""Digests of lines: they differ wherever rows do, and each kind is compared with its own."""

import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import Block, KnownBlocks, choose_blocking
from readmodel.source.mysql import digests, inline
from readmodel.source.mysql import view as mysql_view
from readmodel.source.mysql.source import MysqlSource
from readmodel.store.snapshot import latest
from readmodel.sync.part_footer import decode_footer
from readmodel.sync.verify import verify
from testbed.mariadb import Database
from testbed.schema import naive_utc
from tests.readmodel.source.mysql.test_digest_format_1 import TABLES, create, fetched
from tests.support.effort import examples
from tests.support.mirror import not_called
from tests.support.mysql import THINGS, mirror, mysql_source, read_things

OF_ROWS: Final = Path(__file__).parent / "digests_of_rows.tar.gz"
"""A DATA_DIR of the version before lines were digested: what `create` makes, synced."""

TEXT = st.none() | st.sampled_from(
    [
        "",
        "a",
        "b",
        "é",
        "\t",
        "\n",
        "\x01",
        "a\t\n1\tb",
        "\t\n",
        "1",
        " ",
        "\r",
        "\ufeff",
    ]
)
ROW = st.tuples(
    st.none() | st.integers(-1, 12),
    TEXT,
    TEXT,
    TEXT,
    st.none() | st.sampled_from([0.0, 0.1, 0.1 + 0.2, 1e300]),
    st.none()
    | st.sampled_from([naive_utc(2026, 1, 2), naive_utc(2026, 1, 2, 0, 0, 1)]),
)
ROWS = st.lists(ROW, min_size=1, max_size=3)

type Row = tuple[Any, ...]

A: Row = (1, "x", "y", "z", 0.1, None)


@pytest.fixture
def things(database: Database) -> Database:
    """An empty table of one block, with texts of several character sets."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, a int, t varchar(20), u varchar(20) "
        "CHARACTER SET utf16, w varchar(20) CHARACTER SET utf8mb3, f double, d datetime(3))"
    )
    return database


def fill(database: Database, rows: Sequence[Row]) -> None:
    """Replace all rows of `things`."""
    numbered = [(number, *row) for number, row in enumerate(rows)]
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM things")
        marks = ", ".join(["%s"] * len(numbered[0]))
        cursor.executemany(f"INSERT INTO things VALUES ({marks})", numbered)


def stored(source: MysqlSource) -> Sequence[Block]:
    """The blocks of `things` with the digests that a first copy stores."""
    with source.view() as view:
        columns = view.columns(THINGS)
        scan = view.scan(THINGS, columns, choose_blocking(THINGS, columns))
        assert scan is not None
        return [block for each in scan for block in each.blocks]


def compared(source: MysqlSource, known: Sequence[Block]) -> Sequence[Block]:
    """The blocks of `things` as they are compared with those stored."""
    with source.view() as view:
        columns = view.columns(THINGS)
        blocking = choose_blocking(THINGS, columns)
        return view.blocks_since(THINGS, columns, blocking, [KnownBlocks(known, None)])


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ROWS, ROWS)
@example([A], [A, A])
@example([A, (1, "y", *A[2:])], [(1, "y", *A[2:]), A])
@example([(1, "x", "y", *A[3:])], [(1, "y", "x", *A[3:])])
@example([(1, None, *A[2:])], [(1, "", *A[2:])])
@example([(1, None, *A[2:])], [(1, "\x01", *A[2:])])
@example([(1, None, "\x01", *A[3:])], [(1, "\x01", None, *A[3:])])
@example([(None, "1", *A[2:])], [(1, "", *A[2:])])
@example([(1, "a\tb", "c", *A[3:])], [(1, "a", "b\tc", *A[3:])])
@example([(1, "x", "\t", *A[3:])], [(1, "x\t", "", *A[3:])])
@example([(1, "12", "3", *A[3:])], [(1, "1", "23", *A[3:])])
@example([(12, "3", *A[2:])], [(1, "23", *A[2:])])
def test_what_is_stored_equals_exactly_the_same_rows(
    things: Database, rows: list[Row], others: list[Row]
) -> None:
    """Whatever texts there are, in the stored rows or in those of now."""
    fill(things, rows)
    source = mysql_source(things)
    blocks = stored(source)
    texts = "".join(text for row in rows for text in row[1:4] if text)
    is_plain = not set(texts) & set("\t\n\r\x01")
    assert [inline.is_of_lines(block.digest) for block in blocks] == [is_plain]
    assert compared(source, blocks) == blocks
    fill(things, others)
    assert (compared(source, blocks) == blocks) is (rows == others)


def test_every_one_of_many_swaps_changes_a_digest_of_lines(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with digests of rows."""
    monkeypatch.setattr(mysql_view, "ROWS_PER_RANGE", 0)
    database.run("CREATE TABLE things (id bigint PRIMARY KEY, v char(1))")
    database.run(
        "INSERT INTO things SELECT (seq DIV 2) * 16384 + seq % 2, "
        "IF(seq % 2, 'b', 'a') FROM seq_0_to_999"
    )
    source = mysql_source(database)
    before = stored(source)
    database.run("UPDATE things SET v = IF(v = 'a', 'b', 'a')")
    after = compared(source, before)
    assert all(inline.is_of_lines(block.digest) for block in before)
    assert len(before) == len(after) == 500
    assert not set(before) & set(after)


FAKED = "CONCAT('a', CHAR(9), CHAR(10), '2', CHAR(9), 'b')"
"""Within the first row's line, it makes a second."""


@pytest.mark.parametrize("size", [1_100_000, 1_048_576])
def test_a_row_that_lines_lack_is_not_taken_for_one_that_a_text_fakes(
    adjustable_database: Database, tmp_path: Path, size: int
) -> None:
    """A line that exceeds a packet is left out, and only a warning tells."""
    adjustable_database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v longtext)",
        f"INSERT INTO things VALUES (1, {FAKED}), (2, REPEAT('x', {size}))",
    )
    with adjustable_database.global_variable("max_allowed_packet", 1 << 20):
        mirror(adjustable_database, tmp_path)
        assert read_things(tmp_path)["v"].to_list() == ["a\t\n2\tb", "x" * size]
        assert mirror(adjustable_database, tmp_path).rows_fetched == 0


@contextmanager
def smallest_packets(database: Database, kept_warnings: int = 64) -> Iterator[None]:
    """Texts end at a megabyte, and a session keeps so many warnings."""
    with (
        database.global_variable("max_allowed_packet", 1 << 20),
        database.global_variable("max_error_count", kept_warnings),
    ):
        yield


@pytest.mark.parametrize("kept_warnings", [0, 1])
def test_a_row_that_became_too_long_is_noticed_though_the_lines_stay_the_same(
    adjustable_database: Database, tmp_path: Path, kept_warnings: int
) -> None:
    """However few warnings a session keeps."""
    adjustable_database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v longtext)",
        "INSERT INTO things VALUES (1, 'a'), (2, 'b')",
    )
    mirror(adjustable_database, tmp_path)
    assert kinds(tmp_path) == ["lines"]
    adjustable_database.run(
        f"UPDATE things SET v = {FAKED} WHERE id = 1",
        "UPDATE things SET v = REPEAT('x', 1100000) WHERE id = 2",
    )
    with smallest_packets(adjustable_database, kept_warnings):
        assert mirror(adjustable_database, tmp_path).rows_fetched == 2
    assert read_things(tmp_path)["v"].to_list() == ["a\t\n2\tb", "x" * 1_100_000]


def test_lines_that_are_cut_off_behind_a_faked_line_are_noticed(
    adjustable_database: Database, tmp_path: Path
) -> None:
    """What is left of them equals what was stored."""
    padding = (1 << 20) - len("1\ta\t\n2\tb\t\n")
    adjustable_database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v longtext)",
        f"INSERT INTO things VALUES (1, 'a'), (2, CONCAT('b', REPEAT('x', {padding})))",
    )
    mirror(adjustable_database, tmp_path)
    assert kinds(tmp_path) == ["lines"]
    adjustable_database.run(
        f"UPDATE things SET v = CONCAT({FAKED}, REPEAT('x', {padding})) WHERE id = 1",
        "UPDATE things SET v = 'anything' WHERE id = 2",
    )
    with smallest_packets(adjustable_database):
        assert mirror(adjustable_database, tmp_path).rows_fetched == 2
    assert read_things(tmp_path)["v"].str.len_bytes().to_list() == [padding + 6, 8]


@pytest.fixture
def mixed(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Three blocks; a text of the second has a tab."""
    monkeypatch.setattr(mysql_view, "ROWS_PER_RANGE", 0)
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v varchar(20))",
        "INSERT INTO things SELECT seq * 10, seq FROM seq_1_to_4000",
        "UPDATE things SET v = 'a\\tb' WHERE id = 20000",
    )
    return database


def kinds(data_dir: Path) -> Sequence[str]:
    """What was digested of each stored block of `things`."""
    return [
        "lines" if inline.is_of_lines(block.digest) else "rows"
        for block in stored_blocks(data_dir)
    ]


def stored_blocks(data_dir: Path) -> Iterator[Block]:
    """The blocks in the footers of `things`."""
    folder = latest(data_dir).path / "things.parquet"
    for file in sorted(folder.iterdir()):
        footer = decode_footer(file)
        assert footer is not None
        yield from footer.blocks


def test_each_block_is_compared_as_it_was_digested(
    mixed: Database, tmp_path: Path
) -> None:
    """By a sync and by verify; a block that changes may change its kind."""
    mirror(mixed, tmp_path)
    assert kinds(tmp_path) == ["lines", "rows", "lines"]
    assert mirror(mixed, tmp_path).rows_fetched == 0
    mixed.run("UPDATE things SET v = 'a\\nb' WHERE id IN (10, 20010)")
    (found,) = verify(mysql_source(mixed), tmp_path, [THINGS])
    assert "4 digests differ" in str(found.differences[0])
    assert mirror(mixed, tmp_path).rows_fetched == 1638 + 1638
    assert kinds(tmp_path) == ["rows", "rows", "lines"]
    mixed.run("UPDATE things SET v = 'plain' WHERE v LIKE 'a%'")
    assert mirror(mixed, tmp_path).rows_fetched == 1638 + 1638
    assert kinds(tmp_path) == ["lines"] * 3
    assert mirror(mixed, tmp_path).rows_fetched == 0
    (found,) = verify(mysql_source(mixed), tmp_path, [THINGS])
    assert not found.differences
    assert "plain" in read_things(tmp_path)["v"]


def test_lines_are_compared_whatever_the_estimate_of_rows_is_now(
    mixed: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks with few rows are digested together; those of lines are not."""
    mirror(mixed, tmp_path)
    monkeypatch.setattr(mysql_view, "ROWS_PER_RANGE", 1 << 40)
    assert mirror(mixed, tmp_path).rows_fetched == 0
    mixed.run("UPDATE things SET v = 'new' WHERE id IN (10, 20010, 40000)")
    mixed.run("INSERT INTO things VALUES (50000, 'new'), (99999, 'new')")
    assert mirror(mixed, tmp_path).rows_fetched == 4002
    assert kinds(tmp_path) == ["lines", "rows", "lines", "rows", "rows"]
    assert read_things(tmp_path).filter(v="new").height == 5
    assert mirror(mixed, tmp_path).rows_fetched == 0


@pytest.mark.parametrize(
    "alter", ["DROP PRIMARY KEY", "DROP PRIMARY KEY, ADD PRIMARY KEY (v, id)"]
)
def test_without_a_primary_key_rows_are_digested_again(
    mixed: Database, tmp_path: Path, alter: str
) -> None:
    """The order of the lines is that of the key."""
    mirror(mixed, tmp_path)
    mixed.run(f"ALTER TABLE things {alter}")
    before = read_things(tmp_path).rows()
    mirror(mixed, tmp_path)
    assert kinds(tmp_path) == ["rows"] * 3
    assert read_things(tmp_path).rows() == before
    assert mirror(mixed, tmp_path).rows_fetched == 0


def test_a_data_dir_with_digests_of_rows_is_continued(
    database: Database, tmp_path: Path
) -> None:
    """Nothing that is unchanged is fetched; what changed may get digests of lines."""
    with tarfile.open(OF_ROWS) as archive:
        archive.extractall(tmp_path, filter="data")
    create(database)
    found = verify(mysql_source(database), tmp_path, TABLES)
    assert [table.table for table in found if table.differences] == []
    assert fetched(mirror(database, tmp_path, TABLES)) == {}
    database.run("UPDATE flags SET flag = 3 WHERE id = 2")
    database.run("UPDATE moments SET n = 5 WHERE n = 1")
    changed = mirror(database, tmp_path, TABLES)
    assert fetched(changed) == {"moments": 1, "flags": 2}
    assert fetched(mirror(database, tmp_path, TABLES)) == {}


def test_the_server_is_asked_for_few_blocks_of_lines_at_a_time(
    mixed: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lines of all blocks of a query; the digests are the same."""
    source = mysql_source(mixed)
    blocks = stored(source)
    together = compared(source, blocks)
    monkeypatch.setattr(digests, "LINES_BLOCKS", 1)
    monkeypatch.setattr(digests, "ROWS_BLOCKS", 1)
    assert compared(source, blocks) == together == blocks


def test_a_copy_of_plain_rows_asks_for_no_digest(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is computed from what arrives."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v varchar(9))",
        "INSERT INTO things SELECT seq, seq FROM seq_1_to_40000",
    )
    with monkeypatch.context() as patch:
        patch.setattr(digests.BlockDigests, "of_rows", not_called)
        patch.setattr(digests.BlockDigests, "of_lines", not_called)
        mirror(database, tmp_path)
    assert kinds(tmp_path) == ["lines"] * 3
    assert mirror(database, tmp_path).rows_fetched == 0


def test_many_nullable_columns_do_not_exhaust_the_servers_stack(
    database: Database, tmp_path: Path
) -> None:
    """It computes a sum recursively."""
    columns = ", ".join(f"c{n} varchar(3)" for n in range(900))
    database.run(
        f"CREATE TABLE things (id int PRIMARY KEY, {columns}) ENGINE=Aria",
        "INSERT INTO things (id, c7) VALUES (1, 'x'), (2, NULL)",
    )
    mirror(database, tmp_path)
    assert kinds(tmp_path) == ["lines"]
    assert read_things(tmp_path)["c7"].to_list() == ["x", None]
