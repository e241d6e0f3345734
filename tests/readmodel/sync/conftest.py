"""Fixtures of a small mirror, synced once and copied for each test."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from sqlite3 import connect

import pytest

from tests.support.mirror import Mirror, fill, mirror_of


@pytest.fixture(scope="session")
def mirror_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database and its mirror, which no test changes."""
    folder = tmp_path_factory.mktemp("template")
    with closing(connect(folder / "source.db")) as connection:
        fill(connection)
        mirror_of(connection, folder).sync()
    return folder


@pytest.fixture
def mirror(mirror_template: Path, tmp_path: Path) -> Iterator[Mirror]:
    """A copy of the template."""
    folder = shutil.copytree(mirror_template, tmp_path / "copy", symlinks=True)
    with closing(connect(folder / "source.db")) as connection:
        copy = mirror_of(connection, folder)
        copy.now += timedelta(minutes=10)
        yield copy
