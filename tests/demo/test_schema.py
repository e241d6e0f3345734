"""Declarations of the six tables, as statements of both dialects."""

import sqlite3
from contextlib import closing

import pytest

from demo.schema import COLUMNS, create_table, insert_into
from demo.vocabulary import SIDE_ROUTES
from readmodel.tables import TABLES


def test_the_tables_are_those_that_are_mirrored() -> None:
    """Each has the columns that the statistics need."""
    assert list(COLUMNS) == list(TABLES)
    for name, table in TABLES.items():
        assert set(table.needs) <= set(COLUMNS[name])


@pytest.mark.parametrize("table", COLUMNS)
def test_sqlite_accepts_the_statements(table: str) -> None:
    """A row of as many values as there are columns is inserted."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(create_table(table, "sqlite"))
        database.execute(insert_into(table, "?"), ["1"] * len(COLUMNS[table]))
        (found,) = database.execute(f"SELECT * FROM {table}")
    assert len(found) == len(COLUMNS[table])


def test_columns_can_be_added_and_overridden() -> None:
    """The given declarations replace those of the product."""
    statement = create_table("fpp_events", "mysql", event="TEXT", more="INT")
    assert "`event` TEXT, " in statement
    assert statement.endswith("`more` INT)")


def test_mysql_declares_routes_as_an_enum_and_sqlite_as_text() -> None:
    """The sample draws only routes of the ENUM."""
    route = COLUMNS["fpp_page_views"]["route"]
    assert route.sqlite == "VARCHAR(30) NOT NULL"
    for name in SIDE_ROUTES:
        assert f"'{name}'" in route.mysql
