"""Digests of PostgreSQL: where cheaper hashes would miss a change."""

import pytest

from testbed.postgres import Database
from tests.readmodel.source.postgres.reading import digests, read
from tests.support.effort import by_effort, some_long

BLOCKS = by_effort(5_000, 50_000)


def test_no_swap_among_many_goes_unseen(postgres: Database) -> None:
    """In a plain sum of hash_record_extended, most of these swaps cancel out."""
    postgres.run(
        "CREATE TABLE things (id bigint PRIMARY KEY, v text)",
        "INSERT INTO things SELECT (i / 2) * 16384 + i % 2, "
        "CASE i % 2 WHEN 1 THEN 'b' ELSE 'a' END "
        f"FROM generate_series(0, {2 * BLOCKS - 1}) i",
    )
    before = digests(postgres)
    postgres.run("UPDATE things SET v = CASE v WHEN 'a' THEN 'b' ELSE 'a' END")
    after = digests(postgres)
    assert len(before) == len(after) == BLOCKS
    assert [old for old, new in zip(before, after, strict=True) if old == new] == []


def test_equal_rows_are_counted(postgres: Database) -> None:
    """An exclusive or would be zero for any pair of them."""
    postgres.run(
        "CREATE TABLE things (id int, v text)",
        "INSERT INTO things VALUES (1, 'a'), (1, 'a')",
    )
    before = digests(postgres)
    postgres.run("UPDATE things SET v = 'b'")
    assert digests(postgres) != before


@pytest.mark.parametrize(
    ("declared", "before", "after"),
    some_long(
        [
            ("bigint", "0", "4294967297"),  # equal halves: one hash of 32 bits for all
            ("numeric", "1.0", "1.00"),
            ("float8", "-0", "0"),
            ("jsonb", "1.0", "1.00"),
            ("interval", "1 mon", "30 days"),
            ("int[]", "{1,2}", "[5:6]={1,2}"),
            ("citext", "a", "A"),
            ("char(3)", "a", "a b"),
            ("boolean", "t", "f"),
            ("inet", "10.0.0.1", "10.0.0.1/31"),
            ("timestamptz", "infinity", "-infinity"),
            ("date", "0044-03-15 BC", "0045-03-15 BC"),
            ("xml", "<a/>", "<a></a>"),
            ("text", "a", "a "),
            ("money", "0.01", "0.02"),
            ("point", "(0,1)", "(1,0)"),
        ],
        5,
    ),
)
def test_values_that_compare_as_equal_or_have_no_hash_are_told_apart(
    postgres: Database, declared: str, before: str, after: str
) -> None:
    """What is compared is the text that the type's output function writes."""
    postgres.run(
        "CREATE EXTENSION citext",
        f"CREATE TABLE things (id int, v {declared})",
        f"INSERT INTO things VALUES (1, '{before}')",
    )
    first = digests(postgres)
    postgres.run(f"UPDATE things SET v = '{after}'")
    assert digests(postgres) != first


def test_a_renamed_label_of_an_enum_is_seen(postgres: Database) -> None:
    """No row was written, yet every row reads differently."""
    postgres.run(
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE TABLE things (id int, v mood)",
        "INSERT INTO things VALUES (1, 'ok'), (20000, 'sad')",
    )
    before = digests(postgres)
    postgres.run("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'")
    after = digests(postgres)
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True]
    assert read(postgres).frame["v"].to_list() == ["fine", "sad"]


def test_a_column_named_like_the_table_hides_no_other(postgres: Database) -> None:
    """There `things::text` would be that column alone."""
    postgres.run(
        "CREATE TABLE things (id int, things text, v text)",
        "INSERT INTO things VALUES (1, 'same', 'a')",
    )
    before = digests(postgres)
    postgres.run("UPDATE things SET v = 'b'")
    assert digests(postgres) != before
