"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

pytest_plugins = [
    "tests.support.fixtures",
    "tests.support.kafka",
    "tests.support.postgres",
    "tests.support.scheduling",
]


@pytest.fixture(scope="session", autouse=True)
def no_sql_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let VIEWS_DIR be an empty folder for the programs that tests start.

    Tests of SQL files name a folder of their own.
    """
    empty = str(tmp_path_factory.mktemp("no-sql-files"))
    with patch.dict(os.environ, {"VIEWS_DIR": empty}):
        yield
