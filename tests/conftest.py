"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
from httpx._config import create_ssl_context

pytest_plugins = [
    "tests.support.effort",
    "tests.support.fixtures",
    "tests.support.kafka",
    "tests.support.postgres",
    "tests.support.scheduling",
    "tests.support.storage",
]


@pytest.fixture(scope="session", autouse=True)
def no_sql_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let VIEWS_DIR be an empty folder for the programs that tests start.

    Tests of SQL files name a folder of their own.
    """
    empty = str(tmp_path_factory.mktemp("no-sql-files"))
    with patch.dict(os.environ, {"VIEWS_DIR": empty}):
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_tls_contexts() -> Iterator[None]:
    """Let clients of httpx share their TLS contexts.

    Each client reads all certificates of the system, which takes 50 ms of processor
    time, and the tests make more than a thousand clients.
    """

    @cache
    def shared(file: str | None, folder: str | None, **options: Any) -> Any:
        return create_ssl_context(**options)

    def create_shared(**options: Any) -> Any:
        names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
        return shared(*map(os.environ.get, names), **options)

    with patch("httpx._transports.default.create_ssl_context", create_shared):
        yield
