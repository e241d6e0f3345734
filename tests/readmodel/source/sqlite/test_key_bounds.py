"""The bounds of a key: the same however SQLite finds them, and without reading all rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from readmodel.source.blocking import KeyBounds
from readmodel.source.sqlite.source import SqliteSource
from readmodel.tables import Table

THINGS = Table("things", key="id")
NUMBERS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n LIMIT 5000)"
STEPS = 100
"""A few thousand of SQLite's instructions; five thousand rows take tens of thousands."""

INDEXED = {
    "primary key": "CREATE TABLE things (id INTEGER PRIMARY KEY, v)",
    "without rowid": "CREATE TABLE things (id INTEGER PRIMARY KEY, v) WITHOUT ROWID",
    "unique": "CREATE TABLE things (id INT UNIQUE, v)",
    "view of an index": "CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE VIEW things AS SELECT * FROM t",
}
OTHERS = {
    "no index": "CREATE TABLE things (id INT, v)",
    "computed": "CREATE TABLE t (id INT, v); CREATE VIEW things AS SELECT id + 0 AS id, v FROM t",
}


def bounds(tmp_path: Path, schema: str, fill: str) -> tuple[KeyBounds | None, int]:
    """The bounds of `things`, and how many hundred instructions SQLite took for them."""
    path = tmp_path / "source.db"
    table = "t" if "TABLE t " in schema else "things"
    with closing(sqlite3.connect(path, autocommit=True)) as opened:
        opened.executescript(f"{schema}; {fill.format(table=table)}")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with SqliteSource(path).view([THINGS]) as view:
        view._connection.set_progress_handler(count, 100)
        return view.key_bounds(THINGS), steps


@pytest.mark.parametrize("schema", INDEXED.values(), ids=INDEXED.keys())
def test_bounds_of_an_index_take_no_scan(tmp_path: Path, schema: str) -> None:
    """They did in one statement with the number of rows: a tenth of a first sync."""
    fill = f"{NUMBERS} INSERT INTO {{table}} SELECT id * 7 - 70, 'v' FROM n"
    found, steps = bounds(tmp_path, schema, fill)
    assert found == KeyBounds(-63, 34_930, 5000)
    assert steps < STEPS


@pytest.mark.parametrize("schema", OTHERS.values(), ids=OTHERS.keys())
def test_bounds_without_an_index_take_one_scan(tmp_path: Path, schema: str) -> None:
    """Three statements would read all rows three times."""
    fill = f"{NUMBERS} INSERT INTO {{table}} SELECT id, 'v' FROM n"
    found, steps = bounds(tmp_path, schema, fill)
    assert found == KeyBounds(1, 5000, 5000)
    assert STEPS < steps < 900


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("(NULL, 1), (4, 2), (-3, 3), (NULL, 4)", KeyBounds(-3, 4, 4)),
        ("(NULL, 1), (NULL, 2)", None),
        (f"({-(2**63)}, 1), ({2**63 - 1}, 2)", KeyBounds(-(2**63), 2**63 - 1, 2)),
    ],
)
@pytest.mark.parametrize("schema", [INDEXED["unique"], OTHERS["no index"]])
def test_rows_without_a_key_are_counted_and_bound_nothing(
    tmp_path: Path, schema: str, rows: str, expected: KeyBounds | None
) -> None:
    """With an index and without."""
    fill = f"INSERT INTO {{table}} VALUES {rows}"
    assert bounds(tmp_path, schema, fill)[0] == expected


@pytest.mark.parametrize("schema", [*INDEXED.values(), *OTHERS.values()])
def test_an_empty_table_has_no_bounds(tmp_path: Path, schema: str) -> None:
    """No row has a key."""
    assert bounds(tmp_path, schema, "")[0] is None
