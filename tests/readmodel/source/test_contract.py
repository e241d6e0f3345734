"""What every source promises: the mirror equals the database, at the cost of what changed."""

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import polars as pl
import pytest

from readmodel.source.blocking import Blocking, choose_blocking
from readmodel.store.snapshot import current
from readmodel.tables import TABLES, Kind, Table
from testbed import schema
from tests.readmodel.source.conftest import Original, in_order
from util.errors import ReadModelMissing, SourceError

AT = datetime(2025, 3, 30, 1, 59, 59)
ORDERS = Table("orders", key="id")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_tables_hold_exactly_the_rows_of_the_database(
    original: Original, seed: int
) -> None:
    """Columns in their order, and every value: NULLs, quotes, delimiters, emoji."""
    original.create()
    rows = original.fill(seed)
    original.sync()
    for table in TABLES:
        assert original.mirrored(table).columns == list(schema.TABLES[table])
        assert original.rows(table) == in_order(schema.expected(rows[table]))


def test_columns_have_the_dtypes_that_the_database_declares(original: Original) -> None:
    """Nothing is guessed from rows: an empty table has them too."""
    original.create()
    original.sync()
    at = pl.Datetime("us", "UTC")
    assert original.mirrored("fpp_votes").schema == {
        "id": pl.Int32,
        "room_id": pl.Int32,
        "avg_estimation": pl.Decimal(4, 2),
        "max_estimation": pl.Int16,
        "min_estimation": pl.Int16,
        "amount_of_estimations": pl.Int16,
        "amount_of_spectators": pl.Int16,
        "duration": pl.Int16,
        "voted_at": at,
    }
    assert original.mirrored("fpp_estimations").schema["spectator"] == pl.Boolean
    assert set(original.mirrored("fpp_users").schema.dtypes()) == {pl.String, at}
    assert sum(original.mirrored(table).height for table in TABLES) == 0


def test_values_at_the_ends_of_their_types_survive(original: Original) -> None:
    """The widest decimal, the smallest integer, the first and the last second."""
    original.create()
    low = (1, -(2**31), Decimal("-99.99"), *[-32768] * 5, datetime(1970, 1, 1, 0, 0, 1))
    high = (
        2**31 - 1,
        0,
        Decimal("99.99"),
        *[32767] * 5,
        datetime(2038, 1, 19, 3, 14, 7),
    )
    original.put({"fpp_votes": [low, high]})
    original.sync()
    assert original.rows("fpp_votes") == in_order(schema.expected([low, high]))


def test_rows_are_sorted_by_the_sync_column(original: Original) -> None:
    """Whatever the order they were written in."""
    original.create()
    rows = original.fill()["fpp_users"]
    original.put(
        {"fpp_events": [(n, "u", "LEFT_ROOM", AT) for n in (70000, 9000, 400)]}
    )
    original.sync()
    assert original.mirrored("fpp_users")["created_at"].is_sorted()
    assert original.mirrored("fpp_events")["id"].is_sorted()
    assert original.mirrored("fpp_users").height == len(rows)


def test_a_sync_without_changes_fetches_and_writes_nothing(original: Original) -> None:
    """But it is a new snapshot: the data is as fresh as the check."""
    original.create()
    original.fill()
    first = original.sync()
    second = original.sync()
    assert (first.fetched, second.fetched) == (1800, 0)
    assert sum(table.parts_written for table in second.tables) == 0
    assert second.snapshot > first.snapshot
    assert current(original.data_dir).id == second.snapshot


def test_only_the_blocks_that_changed_are_fetched(original: Original) -> None:
    """One new row does not cost the table, and the others cost nothing."""
    original.create()
    original.put({"fpp_events": [(n, "u", "LEFT_ROOM", AT) for n in range(1, 40_001)]})
    original.sync()
    new = (40_001, "v", "LEFT_ROOM", AT)
    original.put({"fpp_events": [new]})
    report = original.sync()
    (events,) = [table for table in report.tables if table.fetched]
    assert events.name == "fpp_events"
    assert events.fetched < 16_384
    assert (events.rows, events.parts_written) == (40_001, 1)
    assert original.mirrored("fpp_events").row(-1) == schema.expected([new])[0]


def test_an_update_a_delete_and_a_late_row_are_mirrored(original: Original) -> None:
    """Wherever they are: a row that commits late has a lower id than the last one."""
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
    assert {t.name for t in report.tables if t.fetched} == {
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
    original: Original,
) -> None:
    """With the same ids and other values, in as many rows as before."""
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


def test_a_full_sync_fetches_every_row(original: Original) -> None:
    """Even where nothing changed."""
    original.create()
    original.fill()
    original.sync()
    assert original.sync(full=True).fetched == 1800


def test_negative_zero_and_huge_keys_fall_into_their_own_blocks(
    original: Original,
) -> None:
    """Blocks are cut downwards, so -1 and 1 are not counted together.

    They are wide where keys are sparse, so that their number stays small.
    """
    original.run("CREATE TABLE orders (id BIGINT PRIMARY KEY, note VARCHAR(20))")
    keys = [-(2**63), -16_385, -16_384, -1, 0, 1, 16_383, 16_384, 2**63 - 1]
    for key in keys:
        original.run(f"INSERT INTO orders VALUES ({key}, 'n')")
    original.sync(ORDERS)
    assert original.mirrored("orders")["id"].to_list() == keys
    original.run("UPDATE orders SET note = 'changed' WHERE id < 0 AND id > -9")
    report = original.sync(ORDERS)
    assert report.fetched == 3
    changed = original.mirrored("orders").filter(note="changed")["id"].to_list()
    assert changed == [-1]


def test_rows_without_a_key_are_mirrored(original: Original) -> None:
    """A sync column may be NULL; those rows are a block of their own."""
    original.run("CREATE TABLE orders (id INT, at TIMESTAMP NULL)")
    original.run("INSERT INTO orders VALUES (NULL, NULL), (1, NULL), (NULL, NULL)")
    original.sync(ORDERS)
    assert original.rows("orders") == in_order([(None, None), (1, None), (None, None)])
    original.sync(Table("orders", key="at"))
    assert original.rows("orders") == in_order([(None, None), (1, None), (None, None)])
    original.run("DELETE FROM orders WHERE id IS NULL")
    original.sync(Table("orders", key="at"))
    assert original.rows("orders") == [(1, None)]


def test_a_table_of_one_column_keeps_its_nulls(original: Original) -> None:
    """A row that is only a NULL is an empty line, and still a row."""
    original.run("CREATE TABLE orders (id INT)")
    original.run("INSERT INTO orders VALUES (NULL), (NULL), (5)")
    original.sync(ORDERS)
    assert original.rows("orders") == in_order([(5,), (None,), (None,)])


def test_names_may_be_odd(original: Original) -> None:
    """Reserved words, spaces, quotes and non-ASCII letters in names."""
    odd = Table('select "from', key="group")
    quote = "`" if original.dialect == "mysql" else '"'
    name = odd.name if original.dialect == "mysql" else odd.name.replace('"', '""')
    columns = f"{quote}group{quote} INT, {quote}naïve 😀col{quote} VARCHAR(9)"
    if original.dialect == "mysql":
        columns = columns.replace("😀", "%s")
    original.run(f"CREATE TABLE {quote}{name}{quote} ({columns})")
    original.run(f"INSERT INTO {quote}{name}{quote} VALUES (1, 'a'), (2, NULL)")
    original.sync(odd)
    assert original.rows(odd.name) == in_order([(1, "a"), (2, None)])


def test_what_is_written_after_the_view_opened_is_not_in_it(original: Original) -> None:
    """One view is one instant, for all tables."""
    original.create()
    original.fill()
    votes = TABLES["fpp_votes"]
    if original.dialect == "sqlite":
        original.run("PRAGMA journal_mode = WAL")
    with original.source.view() as view:
        columns = view.columns(votes)
        before = view.blocks(votes, columns, cut(original))
        original.run("UPDATE fpp_votes SET duration = duration + 1")
        original.fill(count=5, first=1000)
        assert view.blocks(votes, columns, cut(original)) == before
    with original.source.view() as view:
        assert view.blocks(votes, columns, cut(original)) != before


def cut(original: Original, table: str = "fpp_votes") -> Blocking:
    with original.source.view() as view:
        return choose_blocking(TABLES[table], view.columns(TABLES[table]))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("DROP TABLE fpp_rooms", "Table fpp_rooms is missing"),
        ("ALTER TABLE fpp_rooms DROP COLUMN first_used_at", "fpp_rooms has no column first_used_at"),
        ("ALTER TABLE fpp_events RENAME COLUMN event TO happening", "fpp_events has no column event"),
    ],
)  # fmt: skip
def test_what_the_statistics_lack_is_named_before_anything_is_written(
    original: Original, broken: str, message: str
) -> None:
    """The message names the table and the column; no snapshot comes of it."""
    original.create()
    original.run(broken)
    with pytest.raises(SourceError, match=message):
        original.sync()
    with pytest.raises(ReadModelMissing):
        current(original.data_dir)
    assert not list(original.data_dir.glob("**/*.parquet"))


def test_a_column_of_the_wrong_kind_is_named(original: Original) -> None:
    """Text where a number is needed cannot be mirrored for the statistics."""
    original.create(*(set(TABLES) - {"fpp_votes"}))
    original.run(schema.ddl("fpp_votes", original.dialect, duration="VARCHAR(9)"))
    with pytest.raises(
        SourceError, match="fpp_votes.duration holds String, but must be"
    ):
        original.sync()


def test_a_key_that_cannot_cut_is_named(original: Original) -> None:
    """Text cannot say which rows are near each other."""
    original.run("CREATE TABLE orders (id VARCHAR(9), n INT)")
    with pytest.raises(SourceError, match=r"orders.id holds String, but a sync column"):
        original.sync(ORDERS)
    with pytest.raises(SourceError, match="orders has no column nr"):
        original.sync(Table("orders", key="nr"))


def test_further_columns_and_another_order_flow_through(original: Original) -> None:
    """The schema is the database's; what the statistics need may stand anywhere."""
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


def test_needs_are_what_a_table_of_ones_own_says(original: Original) -> None:
    """Any table can be mirrored, with any demands on its columns."""
    original.run("CREATE TABLE orders (id INT, total DECIMAL(10,2), at DATETIME)")
    original.run("INSERT INTO orders VALUES (1, 2.5, '2026-01-02 03:04:05')")
    needs = {"total": Kind.NUMBER, "at": Kind.INSTANT}
    original.sync(Table("orders", key="id", needs=needs))
    assert original.rows("orders") == [
        (1, Decimal("2.50"), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    ]
