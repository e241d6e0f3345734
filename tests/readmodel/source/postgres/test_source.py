"""PostgreSQL as a source: one instant, whatever happens meanwhile."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest

from readmodel.source.blocking import BlockRange, KeyBounds, choose_blocking
from readmodel.source.postgres.faults import TextRow
from readmodel.tables import Table
from testbed.postgres import Database
from tests.readmodel.source.postgres.reading import (
    THINGS,
    assert_nobody_is_left,
    blocking,
    digests,
    read,
    read_from,
    source_of,
)
from tests.support.effort import some_long
from util.errors import SourceError


def create(database: Database, rows: int = 1000) -> None:
    """Create `things` with *rows*."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, name text)",
        f"INSERT INTO things SELECT i, 'n' || i FROM generate_series(1, {rows}) i",
    )


@pytest.mark.parametrize(
    "statement",
    some_long(
        [
            "TRUNCATE things",
            "ALTER TABLE things ALTER name TYPE varchar(9)",
            "DROP TABLE things",
        ]
    ),
)
def test_what_would_empty_a_table_waits_for_an_open_view(
    postgres: Database, statement: str
) -> None:
    """TRUNCATE and rewriting ALTERs ignore older snapshots: without a lock, 0 rows."""
    create(postgres)
    with source_of(postgres).view([THINGS]) as view:
        with (
            postgres.connect(options="-c lock_timeout=100ms") as other,
            pytest.raises(psycopg.errors.LockNotAvailable),
        ):
            other.execute(statement.encode())
        assert read_from(view).frame.height == 1000


def test_rows_are_written_and_deleted_while_a_view_is_open(postgres: Database) -> None:
    """The lock holds nobody up who only works with rows; the view does not see it."""
    create(postgres)
    with source_of(postgres).view([THINGS]) as view:
        before = read_from(view)
        postgres.run(
            "SET lock_timeout = '1s'; UPDATE things SET name = 'x' WHERE id < 9",
            "DELETE FROM things WHERE id = 500",
            "INSERT INTO things VALUES (5000, 'new')",
        )
        after = read_from(view)
    assert after.blocks == before.blocks
    assert after.frame.equals(before.frame)
    assert digests(postgres) != before.blocks


def test_the_instant_is_after_the_locks(postgres: Database) -> None:
    """What is committed while a lock is waited for is seen, and so is no older state."""
    create(postgres, rows=1)
    with postgres.connect(autocommit=False) as other, ThreadPoolExecutor() as pool:
        other.execute("TRUNCATE things")
        other.execute("INSERT INTO things VALUES (2, 'committed while waiting')")
        reading = pool.submit(read, postgres)
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while postgres.query(waiting) == [(0,)]:
            assert not reading.done()
        other.commit()
        assert reading.result(timeout=30).frame["id"].to_list() == [2]


def test_a_table_that_is_being_altered_is_a_passing_fault(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view waits a while for the lock; reading says for which table."""
    create(postgres)
    monkeypatch.setattr("readmodel.source.postgres.source.LOCK_SECONDS", 1)
    with postgres.connect(autocommit=False) as other:
        other.execute("ALTER TABLE things ADD extra int")
        with (
            source_of(postgres).view([THINGS]) as view,
            pytest.raises(SourceError, match="things is being altered: waited") as told,
        ):
            view.columns(THINGS)
    assert type(told.value).__name__ == "PassingFault"


def test_views_are_read_only_and_leave_nothing_behind(postgres: Database) -> None:
    """No prepared statements either, which a pooler would hand to somebody else."""
    create(postgres)
    with source_of(postgres).view([THINGS]) as view:
        with pytest.raises(SourceError, match="read-only transaction"):
            view.execute("CREATE TABLE more (id int)")
        assert view._connection.prepare_threshold is None
    with source_of(postgres).view([THINGS]) as view:
        for _ in range(9):
            view.blocks(THINGS, view.columns(THINGS), blocking(view))
        prepared = view.execute("SELECT count(*) FROM pg_prepared_statements")
    assert prepared == [("0",)]
    sessions = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{postgres.reader.user}'"
    deadline = time.monotonic() + 10
    while postgres.query(sessions) != [(0,)]:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("key", "value"),
    some_long([
        ("smallint", "-32768"), ("int", "-2147483648"), ("bigint", "-9223372036854775808"),
        ("smallint", "32767"), ("int", "2147483647"), ("bigint", "9223372036854775807"),
        ("oid", "4294967295"), ("oid", "0"),
    ], 3),
)  # fmt: skip
def test_integer_keys_reach_to_the_ends_of_their_type(
    postgres: Database, key: str, value: str
) -> None:
    """Blocks are cut downwards, also where the shift is wider than the type."""
    postgres.run(
        f"CREATE TABLE things (id {key}, n int)",
        f"INSERT INTO things VALUES ('{value}', 1), (5, 2), (NULL, 3)",
    )
    with source_of(postgres).view([THINGS]) as view:
        columns = view.columns(THINGS)
        bounds = view.key_bounds(THINGS)
        low, high = sorted([int(value), 5])
        assert bounds == KeyBounds(low, high, 3)
        for width in (2**14, 2**40, 2**62):
            cut = choose_blocking(THINGS, columns, width)
            blocks = view.blocks(THINGS, columns, cut)
            expected = {None, int(value) // width, 5 // width}
            assert {block.number for block in blocks} == expected
            for block in blocks:
                (batch,) = view.rows(THINGS, columns, cut, [block])
                numbers = batch.frame.select(cut.block_number()).to_series().to_list()
                assert numbers == [block.number] * block.rows


@pytest.mark.parametrize("key", some_long(["timestamptz", "timestamp", "date"]))
def test_a_block_of_time_is_a_day(postgres: Database, key: str) -> None:
    """In UTC, as the mirrored frame cuts it; outside the calendar, no day at all."""
    postgres.run(
        f"CREATE TABLE things (id {key}, n int)",
        "INSERT INTO things VALUES ('0001-01-01', 1), ('1969-12-31 23:59:59.999999', 2), "
        "('2024-02-29', 3), ('9999-12-31 23:59:59.999999', 4), (NULL, 5), ('infinity', 6), "
        "('-infinity', 7), ('0044-03-15 BC', 8), ('10000-01-01', 9)",
        f"ALTER ROLE {postgres.reader.user} SET timezone = 'Pacific/Kiritimati'",
        "SET timezone = 'UTC'",
    )
    with source_of(postgres).view([THINGS]) as view:
        reading = read_from(view)
        cut = blocking(view)
        numbers = reading.frame.select(cut.block_number()).to_series()
        assert sorted(b.number for b in reading.blocks if b.number is not None) == (
            sorted(numbers.drop_nulls().unique())
        )
        assert [b.rows for b in reading.blocks if b.number is None] == [5]
        assert reading.replaced == 4
        for block in reading.blocks:
            (batch,) = view.rows(THINGS, reading.columns, cut, [block])
            assert batch.frame.height == block.rows


def test_ranges_of_blocks_leave_no_row_out(postgres: Database) -> None:
    """Rows without a key belong to the first range."""
    postgres.run(
        "CREATE TABLE things (id bigint, at timestamp)",
        "INSERT INTO things SELECT i * 1000, '2024-01-01'::timestamp + i * interval '7 h' "
        "FROM generate_series(-99, 99) i",
        "INSERT INTO things VALUES (NULL, NULL), (NULL, 'infinity')",
    )
    for table in (THINGS, Table("things", key="at")):
        with source_of(postgres).view([table]) as view:
            columns, cut = view.columns(table), blocking(view, table)
            blocks = view.blocks(table, columns, cut)
            middle = blocks[len(blocks) // 2].number
            assert middle is not None
            parts = [BlockRange(None, middle - 1), BlockRange(middle, None)]
            shares = [view.blocks(table, columns, cut, part) for part in parts]
            assert [*shares[0], *shares[1]] == list(blocks)
            assert all(map(parts[0].covers, shares[0]))
            only = view.blocks(table, columns, cut, BlockRange(middle, middle))
            assert only == [block for block in blocks if block.number == middle]


@pytest.mark.parametrize("rows", some_long([1, 7, 300, 10_000]))
def test_a_large_table_is_digested_in_slices(
    postgres: Database, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """A single digest could be silent for longer than a server is waited for."""
    postgres.run(
        "CREATE TABLE things (id bigint)",
        "INSERT INTO things SELECT i * 5000 FROM generate_series(-150, 150) i",
        "INSERT INTO things VALUES (NULL), (NULL)",
    )
    whole = digests(postgres)
    monkeypatch.setattr("readmodel.source.postgres.source.DIGEST_ROWS", rows)
    with source_of(postgres).view([THINGS]) as view:
        columns, cut = view.columns(THINGS), blocking(view)
        view.key_bounds(THINGS)
        statements = 0
        execute = view.execute

        def counted(statement: str, table: Table | None = None) -> list[TextRow]:
            nonlocal statements
            statements += 1
            return execute(statement, table)

        monkeypatch.setattr(view, "execute", counted)
        assert view.blocks(THINGS, columns, cut) == whole
    assert (statements > 1) == (rows < 303)


def test_many_scattered_days_are_one_scan(postgres: Database) -> None:
    """Without an index on the time; a list of ranges would take seconds."""
    postgres.run(
        "CREATE TABLE things (n int, id timestamptz)",
        "INSERT INTO things SELECT i, '2000-01-01'::timestamptz + i * interval '1 h' "
        "FROM generate_series(1, 100000) i",
    )
    scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'things'"
    with source_of(postgres).view([THINGS]) as view:
        columns, cut = view.columns(THINGS), blocking(view)
        scattered = view.blocks(THINGS, columns, cut)[::8][:500]
    assert_nobody_is_left(postgres)  # A session that ends reports its counts.
    ((before,),) = postgres.query(scans)
    with source_of(postgres).view([THINGS]) as view:
        rows = sum(b.frame.height for b in view.rows(THINGS, columns, cut, scattered))
    assert rows == sum(block.rows for block in scattered)
    assert_nobody_is_left(postgres)
    ((after,),) = postgres.query(scans)
    assert int(after) - int(before) == 1


def test_many_scattered_blocks_of_ids_are_fetched(postgres: Database) -> None:
    """More than could be listed as ranges."""
    postgres.run(
        "CREATE TABLE things (id bigint PRIMARY KEY)",
        "INSERT INTO things SELECT i * 16384 FROM generate_series(-500, 500) i",
    )
    with source_of(postgres).view([THINGS]) as view:
        columns = view.columns(THINGS)
        cut = choose_blocking(THINGS, columns)
        every = view.blocks(THINGS, columns, cut)[::2]
        ids = [i for b in view.rows(THINGS, columns, cut, every) for i in b.frame["id"]]
    assert sorted(ids) == [i * 16384 for i in range(-500, 501, 2)]


@pytest.mark.parametrize(
    ("declare", "rows"),
    some_long([
        (["CREATE TABLE things (id int, n int) PARTITION BY RANGE (id)",
          "CREATE TABLE low PARTITION OF things FOR VALUES FROM (0) TO (10)",
          "CREATE TABLE high PARTITION OF things DEFAULT",
          "REVOKE ALL ON low, high FROM PUBLIC, {reader}"], 2),
        (["CREATE TABLE things (id int, n int)",
          "CREATE TABLE child (more text) INHERITS (things)",
          "INSERT INTO child VALUES (7, 7, 'x')"], 3),
        (["CREATE TABLE base (id int, n int)", "CREATE VIEW things AS SELECT * FROM base",
          "REVOKE ALL ON base FROM {reader}"], 2),
        (["CREATE UNLOGGED TABLE things (id int, n int)"], 2),
        ([("CREATE TABLE things (id int GENERATED BY DEFAULT AS IDENTITY, n int, "
          "g int GENERATED ALWAYS AS (n * 2) STORED)")], 2),
        (["CREATE TABLE things (id int, gone text, n int)",
          "ALTER TABLE things DROP COLUMN gone"], 2),
    ], 2),
    ids=["partitioned", "inherited", "view", "unlogged", "generated", "dropped column"],
)  # fmt: skip
def test_every_kind_of_relation_counts_as_select_does(
    postgres: Database, declare: Sequence[str], rows: int
) -> None:
    """COPY of a table would leave out partitions and children."""
    postgres.run(*(line.format(reader=postgres.reader.user) for line in declare))
    postgres.run("INSERT INTO things (id, n) VALUES (1, 10), (99, 20)")
    reading = read(postgres)
    assert reading.frame.height == rows == sum(block.rows for block in reading.blocks)
    assert reading.frame.select("id", "n").rows()[:2] == [(1, 10), (99, 20)]


def test_a_row_estimate_that_is_missing_is_replaced_by_a_count(
    postgres: Database,
) -> None:
    """Tables that were never analysed, and partitioned ones, have none."""
    create(postgres, rows=10)
    postgres.run("ALTER TABLE things SET (autovacuum_enabled = off)")
    with source_of(postgres).view([THINGS]) as view:
        assert view.key_bounds(THINGS) == KeyBounds(1, 10, 10)
    postgres.run(
        "ANALYZE things", "INSERT INTO things SELECT generate_series(100, 999)"
    )
    with source_of(postgres).view([THINGS]) as view:
        assert view.key_bounds(THINGS) == KeyBounds(1, 999, 910)
    postgres.run("TRUNCATE things")
    with source_of(postgres).view([THINGS]) as view:
        assert view.key_bounds(THINGS) is None


NAMES = (
    "Order", "select", "t", "per%cent", "%s", "{}", 'quo"te', "a'b", "back\\slash", "naïve 😀",
    "xmin ", " ", "a.b", "$1", "?", ":id", "-- x", "/* y", "tab\tname", "line\nname",
)  # fmt: skip


def test_columns_may_have_any_name(postgres: Database) -> None:
    """Reserved words, quotes, percent signs, and the table's own name."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in NAMES]
    declared = ", ".join(f"{name} int" for name in quoted)
    numbers = ", ".join(str(n) for n in range(len(NAMES)))
    for table in ("t", '"Order % ""x"" \'y\' \\z"'):
        postgres.run(
            f"CREATE TABLE {table} ({declared})",
            f"INSERT INTO {table} VALUES ({numbers})",
        )
    for name in ("t", "Order % \"x\" 'y' \\z"):
        frame = read(postgres, Table(name, key="t")).frame
        assert frame.columns == list(NAMES)
        assert frame.rows() == [tuple(range(len(NAMES)))]


def test_a_table_of_another_schema_is_named_with_it(postgres: Database) -> None:
    """Whatever the search path of the role is."""
    reader = postgres.reader.user
    postgres.run(
        'CREATE SCHEMA "Sales"',
        'CREATE TABLE "Sales".things AS SELECT 1 AS id',
        "CREATE TABLE things AS SELECT 2 AS id",
        f'GRANT USAGE ON SCHEMA "Sales" TO {reader}',
        f'GRANT SELECT ON "Sales".things TO {reader}',
        f'ALTER ROLE {reader} SET search_path = "Sales"',
    )
    assert read(postgres, Table("Sales.things", "id")).frame["id"].to_list() == [1]
    assert read(postgres, Table("public.things", "id")).frame["id"].to_list() == [2]
    assert read(postgres).frame["id"].to_list() == [2]


ODD_SETTINGS = {
    "datestyle": "German, YMD", "timezone": "America/St_Johns", "intervalstyle": "sql_standard",
    "bytea_output": "escape", "extra_float_digits": "-15", "search_path": "nowhere",
    "quote_all_identifiers": "on", "client_encoding": "LATIN1", "jit": "on",
    "default_transaction_isolation": "read committed", "default_transaction_read_only": "off",
    "standard_conforming_strings": "off", "row_security": "on", "xmlbinary": "hex",
    "backslash_quote": "on", "transform_null_equals": "on", "array_nulls": "off",
}  # fmt: skip


def test_the_session_of_a_role_does_not_change_texts(postgres: Database) -> None:
    """Digests and values are those of a role without settings of its own."""
    postgres.run(
        "CREATE TABLE things (id int, a timestamptz, b timestamp, c date, d interval, "
        "e float8, f float4, g bytea, h regclass, i tstzrange, j point, k text, l date[])",
        "INSERT INTO things VALUES (1, '2024-03-04 05:06:07.089+09', '2024-03-04 05:06', "
        "'2024-03-04', '1 year -2 days 03:04:05.6', 0.1::float8 + 0.2, 1.0/3, '\\x00ff5c', "
        "'things', '[2024-03-04 05:06:07+00,)', '(0.1,0.30000000000000004)', 'naïve 😀 \\', "
        "'{2024-03-04}')",
    )
    before = read(postgres)
    for name, value in ODD_SETTINGS.items():
        quoted = value if name == "datestyle" else f"'{value}'"
        postgres.run(f"ALTER ROLE {postgres.reader.user} SET {name} = {quoted}")
    after = read(postgres)
    assert after.frame.equals(before.frame)
    assert after.blocks == before.blocks
    ((_, at, *_),) = after.frame.rows()
    assert at == datetime(2024, 3, 3, 20, 6, 7, 89000, tzinfo=UTC)
    assert after.frame["e"].to_list() == [0.1 + 0.2]
    assert after.frame["h"].to_list() == ["public.things"]


def test_options_of_the_environment_have_no_effect(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libpq would read PGOPTIONS, which a pooler refuses."""
    create(postgres)
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=1ms -c nonsense=1")
    assert read(postgres).frame.height == 1000


def test_large_rows_come_in_small_batches(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded by bytes as well as by rows."""
    postgres.run(
        "CREATE TABLE things (id int, body text)",
        "INSERT INTO things SELECT i, repeat('x', 100000) FROM generate_series(1, 20) i",
    )
    monkeypatch.setattr("readmodel.source.postgres.connection.BYTES_PER_BATCH", 10**6)
    with source_of(postgres).view([THINGS]) as view:
        columns, cut = view.columns(THINGS), blocking(view)
        blocks = view.blocks(THINGS, columns, cut)
        sizes = [b.frame.height for b in view.rows(THINGS, columns, cut, blocks)]
    assert sum(sizes) == 20
    assert max(sizes) == 10


def test_a_view_that_gives_other_rows_each_time_is_a_passing_fault(
    postgres: Database,
) -> None:
    """Its rows cannot be mirrored exactly, and are not published."""
    postgres.run(
        "CREATE SEQUENCE calls",
        f"GRANT USAGE ON SEQUENCE calls TO {postgres.reader.user}",
        "CREATE VIEW things AS SELECT i AS id FROM generate_series(1, 100) i "
        "WHERE random() < 0.5",
    )
    with pytest.raises(SourceError, match=r"things: \d+ rows came where \d+ were"):  # noqa: PT012 - each step may raise
        for _ in range(20):
            read(postgres)
