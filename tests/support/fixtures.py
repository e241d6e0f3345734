"""Fixtures that provide a real MariaDB server, and an empty database for each test.

One server is shared by all processes of a test session. Set TEST_DB_HOST (and
TEST_DB_PORT, TEST_DB_USERNAME, TEST_DB_PASSWORD) to use a running server instead; its
user must be allowed to create databases and users.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest
from hypothesis import settings

from testbed.errors import TestbedError
from testbed.mariadb import Database, Login, fresh_database, private_server
from testbed.shared_mariadb import shared_server
from tests.support import preloaded
from tests.support.effort import examples

# The time of an example depends on how busy the machine is.
settings.register_profile("ours", deadline=None, max_examples=examples(100))
settings.load_profile("ours")

SERVER_FIXTURES = {"mariadb_login", "adjustable_login"}


def pytest_configure(config: pytest.Config) -> None:
    """Declare our marker."""
    config.addinivalue_line("markers", "external: starts servers, browsers or programs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use a database server; `make test-fast` leaves them out."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        if SERVER_FIXTURES & item._fixtureinfo.name2fixturedefs.keys():
            item.add_marker(pytest.mark.external)


@pytest.fixture(scope="session")
def session_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A temporary folder that all processes of the session share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if hasattr(request.config, "workerinput") else folder


@pytest.fixture(scope="session")
def disk_folder() -> Iterator[Path]:
    """A folder that is on a disk, even if temporary files are in memory."""
    place = Path("/var/tmp")
    folder = place if place.is_dir() else None
    with TemporaryDirectory(prefix="fpp-tests-", dir=folder) as name:
        yield Path(name)


@pytest.fixture
def disk_path(disk_folder: Path) -> Path:
    """A folder of the test's own there.

    Reads that must not wait for a disk (RWF_NOWAIT) always fail in memory.
    """
    return Path(mkdtemp(dir=disk_folder))


@pytest.fixture(scope="session")
def mariadb_login(session_folder: Path) -> Iterator[Login]:
    """An administrator of the server that the session's processes share."""
    if host := os.environ.get("TEST_DB_HOST"):
        yield Login(
            host,
            int(os.environ.get("TEST_DB_PORT", "3306")),
            os.environ.get("TEST_DB_USERNAME", "root"),
            os.environ.get("TEST_DB_PASSWORD", ""),
        )
        return
    folder = session_folder / "mariadb"
    folder.mkdir(exist_ok=True)
    try:
        with shared_server(folder) as login:
            yield login
    except TestbedError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def database(mariadb_login: Login) -> Iterator[Database]:
    """An empty database on the shared server, dropped after the test."""
    with fresh_database(mariadb_login) as created:
        yield created


@pytest.fixture(scope="session")
def adjustable_login() -> Iterator[Login]:
    """An administrator of a server of this process alone.

    TEST_DB_HOST does not apply: global variables would affect all tests on its server.
    """
    with private_server() as server:
        yield server.root


@pytest.fixture
def adjustable_database(adjustable_login: Login) -> Iterator[Database]:
    """An empty database on a server whose global variables the test may set."""
    with fresh_database(adjustable_login) as created:
        yield created


@pytest.fixture
def usual_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start programs as usual, for tests of a process's memory, limits or command."""
    monkeypatch.setattr(preloaded, "IS_USED", False)
