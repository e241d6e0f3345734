"""Addresses of database servers: which of them are this host."""

import pytest

from readmodel.source.addresses import is_local


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.8.0.1",
        "::1",
        "[::1]",
        "/run/mysqld/mysqld.sock",
        "@abstract",
        "localhost,127.0.0.1",
    ],
)
def test_this_host(host: str) -> None:
    """By name, address or socket."""
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    [
        "db",
        "db.example.org",
        "10.0.0.5",
        "::2",
        "localhost.example.org",
        "localhost,db",
    ],
)
def test_another_host(host: str) -> None:
    """One of several is enough."""
    assert not is_local(host)
