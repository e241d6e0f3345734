"""Fixtures of a real PostgreSQL: one server a session, a database for each test.

TEST_POSTGRES_HOST (with TEST_POSTGRES_PORT, TEST_POSTGRES_USERNAME and
TEST_POSTGRES_PASSWORD) names a running server to use instead; its user must be a
superuser.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from readmodel.source.postgres.source import PostgresSource
from testbed.errors import TestbedError
from testbed.postgres import Database, Login, fresh_database, private_server


@pytest.fixture(scope="session")
def postgres_login() -> Iterator[Login]:
    """A superuser of the session's server."""
    if host := os.environ.get("TEST_POSTGRES_HOST"):
        yield Login(
            host,
            int(os.environ.get("TEST_POSTGRES_PORT", "5432")),
            os.environ.get("TEST_POSTGRES_USERNAME", "postgres"),
            os.environ.get("TEST_POSTGRES_PASSWORD", ""),
        )
        return
    try:
        with private_server() as server:
            yield server.root
    except TestbedError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def postgres(postgres_login: Login) -> Iterator[Database]:
    """An empty database, gone after the test."""
    with fresh_database(postgres_login) as fresh:
        yield fresh


def postgres_source(database: Database, **more: Any) -> PostgresSource:
    """The source that reads *database* as its read-only role."""
    login = database.reader
    return PostgresSource(
        login.host, login.port, login.user, login.password, database.name, **more
    )
