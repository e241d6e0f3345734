"""The contract of every source: an exact mirror, and only changed blocks are fetched.

Each test runs once per source. See conftest.py for how to add one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import polars as pl
import pytest

from readmodel.source.blocking import Block, choose_blocking
from readmodel.store.snapshot import current
from readmodel.tables import TABLES, ColumnKind, Table
from testbed import schema
from testbed.schema import MYSQL, SQLITE
from tests.readmodel.source.conftest import SourceDatabase, in_order
from tests.support.effort import some_long
from util.errors import ReadModelMissing, SourceError

AT = schema.naive_utc(2025, 3, 30, 1, 59, 59)
ORDERS = Table("orders", key="id")
THINGS = Table("things", key="id")


@pytest.mark.parametrize("seed", some_long([1, 2, 3]))
def test_all_tables_hold_exactly_the_rows_of_the_database(
    original: SourceDatabase, seed: int
) -> None:
    """Columns in their order, and all values: NULLs, quotes, delimiters, emoji."""
    original.create()
    rows = original.fill(seed)
    original.sync()
    for table in TABLES:
        assert original.mirrored(table).columns == list(schema.TABLES[table])
        assert original.rows(table) == in_order(schema.expected(rows[table]))


def test_columns_have_the_dtypes_that_the_database_declares(
    original: SourceDatabase,
) -> None:
    """They are not inferred from rows: an empty table has them, too."""
    original.create()
    original.sync()
    # SQLite stores 64 bits in an integer column, whatever its declared type is called.
    is_sqlite = original.dialect is SQLITE
    int32, int16 = (pl.Int64, pl.Int64) if is_sqlite else (pl.Int32, pl.Int16)
    assert original.mirrored("fpp_votes").schema == {
        "id": int32,
        "room_id": int32,
        "avg_estimation": pl.Decimal(4, 2),
        "max_estimation": int16,
        "min_estimation": int16,
        "amount_of_estimations": int16,
        "amount_of_spectators": int16,
        "duration": int16,
        "voted_at": pl.Datetime("us", "UTC"),
    }
    at = pl.Datetime("us", "UTC")
    # MySQL's BOOLEAN is an integer, TINYINT(1).
    spectator = original.mirrored("fpp_estimations").schema["spectator"]
    assert spectator == (pl.Int8 if original.dialect is MYSQL else pl.Boolean)
    assert set(original.mirrored("fpp_users").schema.dtypes()) == {pl.String, at}
    assert sum(original.mirrored(table).height for table in TABLES) == 0


def test_values_at_the_ends_of_their_types_survive(original: SourceDatabase) -> None:
    """The widest decimals, the extreme integers, the first and the last second."""
    original.create()
    low = (
        1,
        -(2**31),
        Decimal("-99.99"),
        *[-32768] * 5,
        schema.naive_utc(1970, 1, 1, 0, 0, 1),
    )
    high = (
        2**31 - 1,
        0,
        Decimal("99.99"),
        *[32767] * 5,
        schema.naive_utc(2038, 1, 19, 3, 14, 7),
    )
    original.put({"fpp_votes": [low, high]})
    original.sync()
    assert original.rows("fpp_votes") == in_order(schema.expected([low, high]))


def test_rows_are_sorted_by_the_sync_column(original: SourceDatabase) -> None:
    """Their order in the database does not matter."""
    original.create()
    rows = original.fill()["fpp_users"]
    original.put(
        {"fpp_events": [(n, "u", "LEFT_ROOM", AT) for n in (70000, 9000, 400)]}
    )
    original.sync()
    assert original.mirrored("fpp_users")["created_at"].is_sorted()
    assert original.mirrored("fpp_events")["id"].is_sorted()
    assert original.mirrored("fpp_users").height == len(rows)


def test_a_sync_without_changes_fetches_and_writes_nothing(
    original: SourceDatabase,
) -> None:
    """It still publishes a snapshot, which is as fresh as the comparison."""
    original.create()
    original.fill()
    first = original.sync()
    second = original.sync()
    assert (first.rows_fetched, second.rows_fetched) == (1800, 0)
    assert sum(table.counts.parts_rewritten for table in second.tables) == 0
    assert second.snapshot > first.snapshot
    assert current(original.data_dir).id == second.snapshot


def test_only_the_blocks_that_changed_are_fetched(original: SourceDatabase) -> None:
    """One new row costs a fetch of its block, and the other tables cost nothing."""
    original.create()
    original.put({"fpp_events": [(n, "u", "LEFT_ROOM", AT) for n in range(1, 20_001)]})
    original.sync()
    new = (20_001, "v", "LEFT_ROOM", AT)
    original.put({"fpp_events": [new]})
    report = original.sync()
    (events,) = [table for table in report.tables if table.counts.rows_fetched]
    assert events.name == "fpp_events"
    assert events.counts.rows_fetched < 16_384
    assert (events.rows, events.counts.parts_rewritten) == (20_001, 1)
    assert original.mirrored("fpp_events").row(-1) == schema.expected([new])[0]


def test_an_update_a_delete_and_a_late_row_are_mirrored(
    original: SourceDatabase,
) -> None:
    """A row that is committed late has a lower id than the last one."""
    original.create()
    rows = original.fill()
    original.run("DELETE FROM fpp_rooms WHERE id = 7")
    original.sync()
    original.run(
        "UPDATE fpp_votes SET duration = 5 WHERE id = 3",
        "DELETE FROM fpp_events WHERE id = 300",
    )
    original.put({"fpp_rooms": [rows["fpp_rooms"][6]]})
    report = original.sync()
    assert {t.name for t in report.tables if t.counts.rows_fetched} == {
        "fpp_votes",
        "fpp_events",
        "fpp_rooms",
    }
    assert original.mirrored("fpp_votes").filter(id=3)["duration"].to_list() == [5]
    assert original.rows("fpp_events") == in_order(
        schema.expected(rows["fpp_events"][:-1])
    )
    assert original.rows("fpp_rooms") == in_order(schema.expected(rows["fpp_rooms"]))


def test_a_table_that_was_emptied_and_filled_again_is_mirrored(
    original: SourceDatabase,
) -> None:
    """It has as many rows as before, with the same ids and other values."""
    original.create()
    original.fill(seed=1)
    original.sync()
    original.run("DELETE FROM fpp_votes")
    assert original.sync().rows == 1500
    assert original.rows("fpp_votes") == []
    other = schema.random_rows("fpp_votes", 300, Random(99))
    original.put({"fpp_votes": other})
    original.sync()
    assert original.rows("fpp_votes") == in_order(schema.expected(other))


def test_a_full_sync_fetches_every_row(original: SourceDatabase) -> None:
    """Also those that did not change."""
    original.create()
    original.fill()
    original.sync()
    assert original.sync(full=True).rows_fetched == 1800


def test_negative_and_huge_keys_belong_to_blocks_of_their_own(
    original: SourceDatabase,
) -> None:
    """Block numbers are rounded down, so -1 and 1 are in different blocks.

    Blocks are wide where keys are sparse, so that their number stays small.
    """
    original.run("CREATE TABLE orders (id BIGINT PRIMARY KEY, note VARCHAR(20))")
    keys = [-(2**63), -16_385, -16_384, -1, 0, 1, 16_383, 16_384, 2**63 - 1]
    for key in keys:
        original.run(f"INSERT INTO orders VALUES ({key}, 'n')")
    original.sync(ORDERS)
    assert original.mirrored("orders")["id"].to_list() == keys
    original.run("UPDATE orders SET note = 'changed' WHERE id < 0 AND id > -9")
    report = original.sync(ORDERS)
    assert report.rows_fetched == 3
    changed = original.mirrored("orders").filter(note="changed")["id"].to_list()
    assert changed == [-1]


def test_rows_without_a_key_are_mirrored(original: SourceDatabase) -> None:
    """A sync column may be NULL; such rows are a block of their own."""
    original.run("CREATE TABLE orders (id INT, at TIMESTAMP NULL)")
    original.run("INSERT INTO orders VALUES (NULL, NULL), (1, NULL), (NULL, NULL)")
    original.sync(ORDERS)
    assert original.rows("orders") == in_order([(None, None), (1, None), (None, None)])
    original.sync(Table("orders", key="at"))
    assert original.rows("orders") == in_order([(None, None), (1, None), (None, None)])
    original.run("DELETE FROM orders WHERE id IS NULL")
    original.sync(Table("orders", key="at"))
    assert original.rows("orders") == [(1, None)]


def test_a_table_of_one_column_keeps_its_nulls(original: SourceDatabase) -> None:
    """A row of one NULL is packed as an empty line, and is still a row."""
    original.run("CREATE TABLE orders (id INT)")
    original.run("INSERT INTO orders VALUES (NULL), (NULL), (5)")
    original.sync(ORDERS)
    assert original.rows("orders") == in_order([(5,), (None,), (None,)])


def test_names_may_contain_any_characters(original: SourceDatabase) -> None:
    """Reserved words, spaces, quotes and non-ASCII letters in names."""
    odd = Table('select "from', key="group")
    quoted = original.dialect.identifier
    table, key, column = quoted(odd.name), quoted(odd.key), quoted(original.odd_name)
    original.run(
        f"CREATE TABLE {table} ({key} INT, {column} VARCHAR(9))",
        f"INSERT INTO {table} VALUES (1, 'a'), (2, NULL)",
    )
    original.sync(odd)
    assert original.mirrored(odd.name).columns == [odd.key, original.odd_name]
    assert original.rows(odd.name) == in_order([(1, "a"), (2, None)])


@pytest.mark.parametrize("key", ["*", "^.*$"])
def test_names_are_never_patterns(original: SourceDatabase, key: str) -> None:
    """An expression over the key is over no other column."""
    quoted = original.dialect.identifier
    original.run(
        f"CREATE TABLE things ({quoted(key)} INT, n INT, at TIMESTAMP NULL)",
        "INSERT INTO things VALUES (5, 1, NULL), (2, NULL, '2026-01-01 00:00:00')",
    )
    things = Table("things", key=key)
    original.sync(things)
    original.run(f"UPDATE things SET n = 3 WHERE {quoted(key)} = 2")
    original.run("INSERT INTO things VALUES (70000, 1, NULL)")
    assert original.sync(things).rows_fetched == 3
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [(2, 3, at), (5, 1, None), (70000, 1, None)]
    assert original.mirrored("things").rows() == rows


def test_a_view_does_not_contain_later_writes(original: SourceDatabase) -> None:
    """It shows the instant at which it was opened."""
    original.create()
    original.fill()
    votes = TABLES["fpp_votes"]
    original.run(*original.before_concurrent_writes)
    with original.source.view([votes]) as view:
        columns = view.columns(votes)
        blocking = choose_blocking(votes, columns)
        before = view.blocks(votes, columns, blocking)
        original.run("UPDATE fpp_votes SET duration = duration + 1")
        original.fill(count=5, first=1000)
        assert view.blocks(votes, columns, blocking) == before
    with original.source.view([votes]) as view:
        assert view.blocks(votes, columns, blocking) != before


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("DROP TABLE fpp_rooms", "Table fpp_rooms is missing"),
        ("ALTER TABLE fpp_rooms DROP COLUMN first_used_at", "fpp_rooms has no column first_used_at"),
        ("ALTER TABLE fpp_events RENAME COLUMN event TO happening", "fpp_events has no column event"),
    ],
)  # fmt: skip
def test_a_table_or_column_that_the_statistics_miss_is_named(
    original: SourceDatabase, broken: str, message: str
) -> None:
    """Nothing is written in that case."""
    original.create()
    original.run(broken)
    with pytest.raises(SourceError, match=message):
        original.sync()
    with pytest.raises(ReadModelMissing):
        current(original.data_dir)
    assert not list(original.data_dir.glob("**/*.parquet"))


def test_a_column_of_the_wrong_kind_is_named(original: SourceDatabase) -> None:
    """The statistics need a number where the table has text."""
    original.create(*(set(TABLES) - {"fpp_votes"}))
    original.run(schema.ddl("fpp_votes", original.dialect, duration="VARCHAR(9)"))
    with pytest.raises(
        SourceError, match=r"fpp_votes.duration holds String, but must be"
    ):
        original.sync()


def test_an_unsuitable_or_missing_sync_column_is_named(
    original: SourceDatabase,
) -> None:
    """Text has no distances, so it cannot be divided into blocks."""
    original.run("CREATE TABLE orders (id VARCHAR(9), n INT)")
    with pytest.raises(SourceError, match=r"orders.id holds String, but a sync column"):
        original.sync(ORDERS)
    with pytest.raises(SourceError, match="orders has no column nr"):
        original.sync(Table("orders", key="nr"))


def test_further_columns_and_another_order_are_mirrored(
    original: SourceDatabase,
) -> None:
    """The schema is the database's; needed columns may be at any position."""
    original.create()
    original.fill(count=5)
    original.sync()
    original.run(
        "DROP TABLE fpp_events",
        "CREATE TABLE fpp_events (note TEXT, event TEXT, id BIGINT, extra DECIMAL(20,6))",
        "INSERT INTO fpp_events VALUES ('n', 'LEFT_ROOM', 9007199254740993, 12345.6789)",
    )
    original.sync()
    events = original.mirrored("fpp_events")
    assert events.schema == {
        "note": pl.String,
        "event": pl.String,
        "id": pl.Int64,
        "extra": pl.Decimal(20, 6),
    }
    assert events.rows() == [
        ("n", "LEFT_ROOM", 9007199254740993, Decimal("12345.6789"))
    ]


def test_a_further_table_may_need_columns_of_its_own(original: SourceDatabase) -> None:
    """Its `needs` are checked as those of the statistics are."""
    timestamp = "TIMESTAMP" if original.dialect.name == "postgres" else "DATETIME"
    original.run(f"CREATE TABLE orders (id INT, total DECIMAL(10,2), at {timestamp})")
    original.run("INSERT INTO orders VALUES (1, 2.5, '2026-01-02 03:04:05')")
    needs = {"total": ColumnKind.NUMBER, "at": ColumnKind.INSTANT}
    original.sync(Table("orders", key="id", needs=needs))
    assert original.rows("orders") == [
        (1, Decimal("2.50"), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    ]


def digests(original: SourceDatabase) -> Sequence[Block]:
    """The blocks of `things` as they are now."""
    with original.source.view([THINGS]) as view:
        columns = view.columns(THINGS)
        return view.blocks(THINGS, columns, choose_blocking(THINGS, columns))


def create_things(original: SourceDatabase, *rows: str) -> None:
    """Create `things` with *rows*, written as SQL tuples."""
    original.run(
        "CREATE TABLE things (id INT PRIMARY KEY, a VARCHAR(20), b VARCHAR(20))"
    )
    for row in rows:
        original.run(f"INSERT INTO things VALUES {row}")


@pytest.mark.parametrize(
    ("rows", "change"),
    some_long([
        (["(1, 'x', 'p')", "(2, 'y', 'p')"], [
            "UPDATE things SET a = CASE id WHEN 1 THEN 'y' ELSE 'x' END",
        ]),
        (["(1, 'x', 'y')"], ["UPDATE things SET a = 'y', b = 'x'"]),
        (["(1, NULL, 'p')"], ["UPDATE things SET a = ''"]),
        (["(1, '', 'p')"], ["UPDATE things SET a = NULL"]),
        (["(1, NULL, 'p')"], ["UPDATE things SET a = 'p', b = NULL"]),
        (["(1, 'x\ty', 'z')"], ["UPDATE things SET a = 'x', b = 'y\tz'"]),
        (["(1, 'x', 'yz')"], ["UPDATE things SET a = 'xy', b = 'z'"]),
        (["(1, 'x\x01', 'y')"], ["UPDATE things SET a = 'x', b = '\x01y'"]),
        (["(1, 'x', 'y')", "(2, 'x', 'y')"], [
            "DELETE FROM things WHERE id = 2",
            "INSERT INTO things VALUES (3, 'x', 'y')",
        ]),
        (["(1, 'A', 'p')"], ["UPDATE things SET a = 'a'"]),
        (["(1, 'a', 'p')"], ["UPDATE things SET a = 'a '"]),
        (["(1, 'e', 'p')"], ["UPDATE things SET a = 'é'"]),
        (["(12, '3', 'p')"], ["UPDATE things SET id = 1, a = '23'"]),
    ], 5),
    ids=[
        "values swapped between rows", "values swapped within a row", "NULL to empty",
        "empty to NULL", "NULL moved", "delimiter moved", "border moved", "quote moved",
        "row replaced", "letter case", "trailing space", "accent", "digit moved",
    ],
)  # fmt: skip
def test_every_change_of_a_block_changes_its_digest(
    original: SourceDatabase, rows: list[str], change: list[str]
) -> None:
    """Even if the number of rows and their length stay the same."""
    create_things(original, *rows)
    before = digests(original)
    original.run(*change)
    after = digests(original)
    assert [block.rows for block in after] == [block.rows for block in before]
    assert after != before


def test_a_changed_order_of_columns_is_mirrored(original: SourceDatabase) -> None:
    """Digests do not include names, so columns are compared, too."""
    create_things(original, "(1, 'x', 'x')")
    original.sync(THINGS)
    original.run(
        "DROP TABLE things",
        "CREATE TABLE things (id INT PRIMARY KEY, b VARCHAR(20), a VARCHAR(20))",
        "INSERT INTO things VALUES (1, 'x', 'x')",
    )
    assert original.sync(THINGS).rows_fetched == 1
    assert original.mirrored("things").columns == ["id", "b", "a"]
