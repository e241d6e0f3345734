"""Digests: whatever differs in a block must differ in its digest."""

from collections.abc import Sequence

import pytest

from readmodel.source.blocking import Block, choose_blocking
from readmodel.source.mysql.source import MysqlSource
from readmodel.source.protocol import Source
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.readmodel.source.conftest import Original, original

__all__ = ["original"]

THINGS = Table("things", key="id")


def digests(source: Source) -> Sequence[Block]:
    with source.view() as view:
        columns = view.columns(THINGS)
        return view.blocks(THINGS, columns, choose_blocking(THINGS, columns))


def create(original: Original, *rows: str) -> None:
    original.run(
        "CREATE TABLE things (id INT PRIMARY KEY, a VARCHAR(20), b VARCHAR(20))"
    )
    for row in rows:
        original.run(f"INSERT INTO things VALUES {row}")


@pytest.mark.parametrize(
    ("rows", "change"),
    [
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
    ],
    ids=[
        "values swapped between rows", "values swapped within a row", "NULL to empty",
        "empty to NULL", "NULL moved", "delimiter moved", "border moved", "quote moved",
        "row replaced", "letter case", "trailing space", "accent", "digit moved",
    ],
)  # fmt: skip
def test_a_change_shows_in_the_digest(
    original: Original, rows: list[str], change: list[str]
) -> None:
    """Even where the number of rows, or their length, stays the same."""
    create(original, *rows)
    before = digests(original.source)
    original.run(*change)
    after = digests(original.source)
    assert [block.rows for block in after] == [block.rows for block in before]
    assert after != before


def test_a_changed_column_order_shows(original: Original) -> None:
    """The columns are compared as they are stored, in their order."""
    create(original, "(1, 'x', 'x')")
    original.sync(THINGS)
    original.run(
        "DROP TABLE things",
        "CREATE TABLE things (id INT PRIMARY KEY, b VARCHAR(20), a VARCHAR(20))",
        "INSERT INTO things VALUES (1, 'x', 'x')",
    )
    assert original.sync(THINGS).fetched == 1
    assert original.mirrored("things").columns == ["id", "b", "a"]


def test_no_swap_among_many_goes_unseen(database: Database) -> None:
    """CRC-32 is linear: in a plain sum of it, some of these swaps cancel out."""
    database.run("CREATE TABLE things (id bigint PRIMARY KEY, v char(1))")
    database.run(
        "INSERT INTO things SELECT (seq DIV 2) * 16384 + seq % 2, "
        "IF(seq % 2, 'b', 'a') FROM seq_0_to_99999"
    )
    login = database.reader
    source = MysqlSource(
        login.host, login.port, login.user, login.password, database.name
    )
    before = digests(source)
    plain = (
        "SELECT id >> 14 AS n, SUM(CRC32(CONCAT(id, v))) AS s FROM things GROUP BY n"
    )
    database.run(f"CREATE TABLE plain AS {plain}")
    database.run("UPDATE things SET v = IF(v = 'a', 'b', 'a')")
    after = digests(source)
    assert len(before) == len(after) == 50_000
    assert [old for old, new in zip(before, after, strict=True) if old == new] == []
