"""A table whose key is a time is copied in one scan, or digested first if lines lie."""

from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import choose_blocking
from readmodel.source.mysql import scan
from readmodel.source.mysql.source import MysqlView
from readmodel.source.protocol import PassingFault, ScannedBatch, Unscannable
from readmodel.sync.verify import verify
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.readmodel.source.mysql.test_inline import TYPES, VALUES
from tests.support.effort import examples
from tests.support.mirror import not_called
from tests.support.mysql import mirror, mysql_source, read_things

THINGS: Final = Table("things", key="at")

TEXT = st.none() | st.sampled_from(
    ["", "a", "é", "\t", "\n", "\x01", "a\tb", "\r", "\ufeff", "\t\n2026"]
)
DAYS = st.none() | st.sampled_from(
    ["0000-00-00 00:00:00", "1999-12-31 23:59:59", "2026-01-01", "2026-01-01 12:00:00"]
)
ROWS = st.lists(st.tuples(DAYS, TEXT, TEXT), max_size=6)

type Row = tuple[str | None, str | None, str | None]


def scanned(database: Database, table: Table = THINGS) -> list[ScannedBatch]:
    """All that a scan yields."""
    with mysql_source(database).view() as view:
        columns = view.columns(table)
        found = view.scan(table, columns, choose_blocking(table, columns))
        assert found is not None
        return list(found)


def fetched(database: Database, table: Table = THINGS) -> tuple[Any, list[Any]]:
    """The blocks and the sorted rows, digested first and then fetched."""
    with mysql_source(database).view() as view:
        columns = view.columns(table)
        blocking = choose_blocking(table, columns)
        blocks = view.blocks(table, columns, blocking)
        batches = list(view.rows(table, columns, blocking, blocks))
    rows = [row for batch in batches for row in batch.frame.rows()]
    return blocks, sorted(rows, key=repr)


def assert_equal(database: Database, found: list[ScannedBatch]) -> None:
    """Compare a scan with what is digested and then fetched."""
    blocks, rows = fetched(database)
    assert [block for each in found for block in each.blocks] == blocks
    got = [row for each in found for row in each.batch.frame.rows()]
    assert sorted(got, key=repr) == rows


@pytest.mark.parametrize("kind", ["timestamp NULL", "datetime(3)", "date"])
def test_a_scan_has_the_blocks_and_the_rows_of_every_type(
    database: Database, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Rows without a key come first, and then each day, in small batches."""
    monkeypatch.setattr(scan, "ROWS_PER_QUERY", 2)
    nulls = "NULL, 0" + ", NULL" * 10 + ", ''" + ", NULL" * 10
    types = TYPES.replace("q date", "qd date")
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        for statement in (
            "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'",
            f"CREATE TABLE things (at {kind}, {types})",
            f"INSERT INTO things VALUES ('2026-01-02', {VALUES}), (NULL, {nulls})",
            f"INSERT INTO things VALUES ('2026-01-01', {nulls}), (0, {VALUES})",
            f"INSERT INTO things VALUES ('2026-01-02', {VALUES})",
        ):
            cursor.execute(statement)
    found = scanned(database)
    assert [len(each.blocks) for each in found] == [1, 2]
    assert_equal(database, found)


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ROWS)
@example([(None, "", ""), (None, None, None)])
@example([("2026-01-01", "a\t\n", "b"), ("1999-12-31 23:59:59", "a", "b")])
@example([("2026-01-01", "\x01", "b")])
def test_a_scan_yields_exactly_the_rows_or_ends(
    database: Database, rows: list[Row]
) -> None:
    """A text that means something in a line ends it; others do not."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS things "
            "(at datetime NULL, v varchar(9), w varchar(9))"
        )
        cursor.execute("DELETE FROM things")
        cursor.executemany("INSERT INTO things VALUES (%s, %s, %s)", rows)
    texts = "".join(text for row in rows for text in row[1:] if text)
    if set(texts) & set("\t\n\r\x01"):
        with pytest.raises(Unscannable):
            scanned(database)
    else:
        assert_equal(database, scanned(database))


def test_a_first_copy_is_one_scan(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next sync compares its digests."""
    database.run(
        "CREATE TABLE things (id varchar(9) PRIMARY KEY, at datetime)",
        "INSERT INTO things SELECT seq, '2026-01-01' + INTERVAL seq HOUR FROM seq_1_to_99",
    )
    with monkeypatch.context() as patch:
        patch.setattr(MysqlView, "blocks_since", not_called)
        patch.setattr(MysqlView, "rows", not_called)
        assert mirror(database, tmp_path, [THINGS]).rows_fetched == 99
    assert mirror(database, tmp_path, [THINGS]).rows_fetched == 0
    assert read_things(tmp_path)["at"].is_sorted()


@pytest.mark.parametrize("last", ["a\\tb", "plain"])
def test_a_table_that_cannot_be_scanned_is_digested_first(
    adjustable_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    last: str,
) -> None:
    """Also if that shows after parts were written: by a text, or by a warning at the end.

    A row that exceeds a packet is not in the lines, and a text stands in for it.
    """
    monkeypatch.setattr(scan, "ROWS_PER_QUERY", 10)
    monkeypatch.setattr("readmodel.sync.planner.PART_ROWS", 40)
    adjustable_database.run(
        "CREATE TABLE things (at datetime, v longtext)",
        "INSERT INTO things SELECT '2026-01-01' + INTERVAL seq HOUR, 'plain' FROM seq_1_to_999",
        f"INSERT INTO things VALUES ('2027-01-01', '{last}')",
    )
    if last == "plain":
        adjustable_database.run(
            "INSERT INTO things VALUES ('2028-01-01', REPEAT('x', 1200000)), "
            "('2028-01-01', 'a\\t\\n20280101000000\\tb')"
        )
    with adjustable_database.global_variable("max_allowed_packet", 1 << 20):
        source = mysql_source(adjustable_database)
        report = mirror(source, tmp_path, [THINGS])
        (compared,) = verify(source, tmp_path, [THINGS])
    assert compared.differences == ()
    assert report.rows == read_things(tmp_path).height
    assert len(list(tmp_path.glob("snapshots/*/things.parquet"))) == 1


def test_a_count_of_rows_that_do_not_arrive_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the rows of an answer does not apply to one row."""
    database.run(
        "CREATE TABLE things (at datetime)", "INSERT INTO things VALUES (NOW())"
    )
    monkeypatch.setattr(MysqlView, "_count", lambda *_: 2)
    with pytest.raises(PassingFault, match="fetched 1 rows where 2 were counted"):
        scanned(database)
