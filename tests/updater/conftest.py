"""A small SQLite database, and local servers in place of the monitors."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.database import write_database
from demo.sample import sample
from tests.support.servers import StubServer, serving

SCALE = 0.005


@pytest.fixture(scope="session")
def database_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only SQLite file with some hundred rows in each table."""
    path = tmp_path_factory.mktemp("source") / "sample.db"
    write_database(path, sample(datetime(2026, 11, 20, tzinfo=UTC), SCALE))
    return path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
def settings(database_file: Path, data_dir: Path) -> dict[str, str]:
    """The settings that the updater cannot do without, and a folder without SQL files."""
    return {
        "SOURCE_URL": f"sqlite:///{database_file}",
        "DATA_DIR": str(data_dir),
        "VIEWS_DIR": os.environ["VIEWS_DIR"],
    }


@pytest.fixture
def kuma() -> Iterator[StubServer]:
    """A local server in place of UptimeKuma."""
    with serving() as running:
        yield running


@pytest.fixture
def sentry() -> Iterator[StubServer]:
    """A local server in place of Sentry."""
    with serving() as running:
        yield running
