"""Fixtures of real servers: one MariaDB a session, a database for each test.

TEST_DB_HOST (with TEST_DB_PORT, TEST_DB_USERNAME, TEST_DB_PASSWORD) names a running
server to use instead; its user must be allowed to create databases and users.
"""

import os
from collections.abc import Iterator

import pytest

from testbed.errors import TestbedError
from testbed.mariadb import Database, Login, fresh_database, private_server


@pytest.fixture(scope="session")
def mariadb_login() -> Iterator[Login]:
    """An administrator of the session's server."""
    if host := os.environ.get("TEST_DB_HOST"):
        yield Login(
            host,
            int(os.environ.get("TEST_DB_PORT", "3306")),
            os.environ.get("TEST_DB_USERNAME", "root"),
            os.environ.get("TEST_DB_PASSWORD", ""),
        )
        return
    try:
        with private_server() as server:
            yield server.root
    except TestbedError as error:
        pytest.exit(str(error), 1)


@pytest.fixture
def database(mariadb_login: Login) -> Iterator[Database]:
    """An empty database, gone after the test."""
    with fresh_database(mariadb_login) as fresh:
        yield fresh
