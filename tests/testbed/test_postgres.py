"""A database that is used again is as empty as a new one."""

import pytest

from testbed.postgres import Database, Login, ReusableDatabase
from tests.support.effort import some_long

DESCRIPTION = """
SELECT nspname, pg_get_userbyid(nspowner), nspacl::text, obj_description(oid)
FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1
"""


@pytest.fixture(scope="module")
def reusable(postgres_login: Login) -> ReusableDatabase:
    """One that the tests of this file share; the session's server ends with it."""
    return ReusableDatabase(postgres_login)


def without_reader(database: Database) -> str:
    """The schemas with their rights."""
    return repr(database.query(DESCRIPTION)).replace(database.reader.user, "READER")


def test_it_is_emptied_and_has_a_new_reader(reusable: ReusableDatabase) -> None:
    """Tables, functions and schemas go, and the sessions that are still open."""
    with reusable.used() as first:
        first.run(
            "CREATE TABLE things (id int PRIMARY KEY)",
            "CREATE SCHEMA other",
            "CREATE VIEW other.view AS SELECT id FROM things",
        )
        schemas = without_reader(first)
        left = first.connect(autocommit=False)
        left.execute("LOCK TABLE things")
    with reusable.used() as second:
        assert second.name == first.name
        assert second.reader.user != first.reader.user
        assert without_reader(second) == schemas.replace(*_other(schemas))
        found = second.query("SELECT relname FROM pg_class WHERE oid >= 16384")
        assert found == []
        second.run("CREATE TABLE things (id int PRIMARY KEY)")
        reader = second.reader.connect(second.name)
        assert reader.execute("SELECT * FROM things").fetchall() == []
        reader.close()
    left.close()


def _other(schemas: str) -> tuple[str, str]:
    """The part of *schemas* that is of the schema `other`, and nothing instead."""
    start = schemas.index("('other'")
    return schemas[start : schemas.index(")", start) + 3], ""


@pytest.mark.parametrize(
    "statement",
    some_long(
        [
            "ALTER FUNCTION pg_catalog.now() VOLATILE",
            "REVOKE SELECT ON pg_catalog.pg_tables FROM PUBLIC",
            "GRANT UPDATE (relname) ON pg_catalog.pg_class TO PUBLIC",
            "CREATE PUBLICATION everything FOR ALL TABLES",
            "SELECT lo_create(4711)",
            'ALTER DATABASE "{name}" SET search_path = pg_catalog',
            'ALTER DATABASE "{name}" CONNECTION LIMIT 50',
            'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC',
        ],
        3,
    ),
)
def test_what_emptying_does_not_undo_gives_a_new_one(
    reusable: ReusableDatabase, statement: str
) -> None:
    """Also what hinders it."""
    with reusable.used() as first:
        first.run(statement.format(name=first.name))
    with reusable.used() as second:
        assert second.name != first.name


def test_a_database_that_a_test_dropped_is_replaced(
    reusable: ReusableDatabase,
) -> None:
    """As one that cannot be reached any more."""
    with reusable.used() as first:
        first.owner.run(f'DROP DATABASE "{first.name}"')
    with reusable.used() as second:
        assert second.query("SELECT 1") == [(1,)]
