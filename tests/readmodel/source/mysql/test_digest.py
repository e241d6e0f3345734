"""Digests are equal for equal rows, and differ for all others."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import Block, choose_blocking
from testbed.mariadb import Database
from testbed.schema import TEXTS, naive_utc
from tests.support.effort import examples
from tests.support.mysql import THINGS, mysql_source

TEXT = st.none() | st.sampled_from([text for text in TEXTS if text is not None])
ROW = st.tuples(
    st.none() | st.integers(-3, 3),
    st.none() | st.integers(-3, 3),
    TEXT,
    TEXT,
    st.none() | st.sampled_from([0.0, 0.1, 0.1 + 0.2, 1e300, -1.5]),
    st.none()
    | st.sampled_from([naive_utc(2026, 1, 2), naive_utc(2026, 1, 2, 0, 0, 1)]),
    st.none() | st.binary(max_size=2),
)
ROWS = st.lists(ROW, min_size=1, max_size=3)

type Row = tuple[Any, ...]

A: Row = (1, 2, "x", "y", 0.1, None, b"")


@pytest.fixture
def things(database: Database) -> Database:
    """An empty table without a key, so that equal rows are possible."""
    database.run(
        "CREATE TABLE things (id int DEFAULT 0, a int, b int, t varchar(20), u varchar(20) "
        "CHARACTER SET utf16, f double, d datetime(3), v varbinary(9))"
    )
    return database


def digest(database: Database, rows: Sequence[Row]) -> Sequence[Block]:
    """The blocks of a table of *rows*."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM things")
        statement = (
            f"INSERT INTO things (a, b, t, u, f, d, v) VALUES ({', '.join(['%s'] * 7)})"
        )
        cursor.executemany(statement, rows)
    with mysql_source(database).view() as view:
        columns = view.columns(THINGS)
        return view.blocks(THINGS, columns, choose_blocking(THINGS, columns))


@settings(
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ROWS, ROWS, st.randoms())
@example([A, A], [A], None)
@example([A, A], [(2, 1, *A[2:])] * 2, None)
@example([A, (2, 1, "x", "y", 0.1, None, b"")], [A, A], None)
@example([(1, 2, "x\ty", "z", *A[4:])], [(1, 2, "x", "y\tz", *A[4:])], None)
@example([(1, 2, None, "p", *A[4:])], [(1, 2, "p", None, *A[4:])], None)
@example([(1, 2, "", "p", *A[4:])], [(1, 2, None, "p", *A[4:])], None)
@example([(1, 23, *A[2:])], [(12, 3, *A[2:])], None)
def test_digests_are_equal_exactly_for_equal_rows(
    things: Database, rows: list[Row], others: list[Row], shuffled: Any
) -> None:
    """In whichever order they are stored; equal rows count as many times as there are."""
    before = digest(things, rows)
    if shuffled is not None:
        again = [*rows]
        shuffled.shuffle(again)
        assert digest(things, again) == before
    is_equal = sorted(rows, key=repr) == sorted(others, key=repr)
    assert (digest(things, others) == before) is is_equal
