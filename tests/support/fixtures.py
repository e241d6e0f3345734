"""Fixtures that provide a real MariaDB server, and an empty database for each test.

One server is shared by all processes of a test session. Set TEST_DB_HOST (and
TEST_DB_PORT, TEST_DB_USERNAME, TEST_DB_PASSWORD) to use a running server instead; its
user must be allowed to create databases and users.
"""

import os
from collections.abc import Iterator
from pathlib import Path

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

GROUPED_SCOPES = ("package", "module")
SERVER_FIXTURES = {"mariadb_login", "adjustable_login"}


def pytest_configure(config: pytest.Config) -> None:
    """Declare our marker, and xdist's for sessions that run without xdist."""
    config.addinivalue_line("markers", "external: starts servers, browsers or programs")
    config.addinivalue_line("markers", "xdist_group(name): run in the same process")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use a database server, and group those that share a fixture.

    `make test-fast` leaves out what is marked external. Without groups, for
    `--dist loadgroup`, each process would start the same servers and browsers.
    """
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        if SERVER_FIXTURES & item._fixtureinfo.name2fixturedefs.keys():
            item.add_marker(pytest.mark.external)
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))


def _group(test: pytest.Function) -> str | None:
    fixtures = test._fixtureinfo.name2fixturedefs
    if "adjustable_login" in fixtures:
        return "adjustable_login"
    for scope in GROUPED_SCOPES:
        for definitions in fixtures.values():
            if definitions[-1].scope == scope:
                return definitions[-1].baseid
    return None


@pytest.fixture(scope="session")
def session_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A temporary folder that all processes of the session share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if hasattr(request.config, "workerinput") else folder


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
