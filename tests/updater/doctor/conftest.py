"""A complete database of MariaDB."""

from contextlib import closing
from pathlib import Path

import pytest

from testbed import schema
from testbed.mariadb import Database


@pytest.fixture
def mysql(database: Database, data_dir: Path) -> dict[str, str]:
    """Settings of an updater with a complete database."""
    with closing(database.connect()) as connection:
        schema.create_mysql(connection)
    return database.environ() | {"DATA_DIR": str(data_dir)}
