"""Fixtures of a real PostgreSQL: one server a session, a database for each test.

TEST_POSTGRES_HOST (with TEST_POSTGRES_PORT, TEST_POSTGRES_USERNAME and
TEST_POSTGRES_PASSWORD) names a running server to use instead; its user must be a
superuser.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import testbed.postgres
from readmodel.source.postgres.source import PostgresSource
from testbed.errors import TestbedError
from testbed.postgres import Database, Login, ReusableDatabase, private_server


@pytest.fixture(scope="session", autouse=True)
def _one_installation(session_folder: Path) -> Iterator[None]:
    """Let all servers of the session be copies of one."""
    with patch.object(testbed.postgres, "installed_in", session_folder / "postgres"):
        yield


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
        # It would do its work in one run and not in the other.
        with private_server("autovacuum=off") as server:
            yield server.root
    except TestbedError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def _postgres_database(postgres_login: Login) -> Iterator[ReusableDatabase]:
    with closing(ReusableDatabase(postgres_login)) as database:
        yield database


@pytest.fixture
def postgres(_postgres_database: ReusableDatabase) -> Iterator[Database]:
    """An empty database, which is emptied after the test."""
    with _postgres_database.used() as database:
        yield database


def postgres_source(database: Database, **more: Any) -> PostgresSource:
    """The source that reads *database* as its read-only role."""
    login = database.reader
    return PostgresSource(
        login.host, login.port, login.user, login.password, database.name, **more
    )
