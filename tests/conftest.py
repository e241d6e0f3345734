"""Fixtures that every test may use."""

import os
from collections.abc import Iterator

import pytest

from config import Settings

pytest_plugins = ["tests.support.fixtures", "tests.support.postgres"]


@pytest.fixture(scope="session", autouse=True)
def no_sql_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let VIEWS_DIR be an empty folder, here and in programs that tests start.

    Tests of SQL files name a folder of their own.
    """
    empty = tmp_path_factory.mktemp("no-sql-files")
    field, shipped = Settings.model_fields["views_dir"], os.environ.get("VIEWS_DIR")
    default = field.default
    os.environ["VIEWS_DIR"] = str(empty)
    field.default = empty
    Settings.model_rebuild(force=True)
    yield
    field.default = default
    Settings.model_rebuild(force=True)
    if shipped is None:
        del os.environ["VIEWS_DIR"]
