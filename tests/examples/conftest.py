"""A database for all tests of a module; see `tests.support.examples` for the programs."""

from collections.abc import Iterator

import pytest

from testbed.postgres import Database, Login, fresh_database


@pytest.fixture(scope="module")
def example_database(postgres_login: Login) -> Iterator[Database]:
    """An empty database, and a role that may only read its tables."""
    with fresh_database(postgres_login) as created:
        yield created
