"""doctor: weak and shared tokens, unverified databases, the confinement of queries."""

import errno
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from readmodel.source.connect import source_from_settings
from updater.doctor import _encryption, _queries, _tokens
from util import landlock

STRONG = "4f1c9b7e2d8a605c3b9d7f1e"


def warnings(**values: Any) -> list[str]:
    """What is said about the tokens of these settings."""
    return [str(line) for line in _tokens(Settings.model_validate(values))]


def test_strong_tokens_of_their_own_are_fine() -> None:
    """And settings without tokens, as the updater has them."""
    assert warnings() == []
    assert (
        warnings(analytics_secret_token=STRONG, sql_tokens=f"ann:{STRONG[::-1]}") == []
    )


@pytest.mark.parametrize("weak", ["short", STRONG[:-1], "a" * 40, "abcde" * 8])
@pytest.mark.parametrize(
    "setting",
    [
        "analytics_secret_token",
        "analytics_viewer_tokens",
        "sql_tokens",
        "ingest_tokens",
    ],
)
def test_weak_tokens_are_named_and_not_shown(setting: str, weak: str) -> None:
    """Of every class."""
    (line,) = warnings(**{setting: f"ann:{weak}"})
    assert "ann is weak" in line
    assert weak not in line


def test_equal_tokens_are_named() -> None:
    """Nobody can tell their callers apart, and the first class decides."""
    (line,) = warnings(analytics_secret_token=STRONG, sql_tokens=f"ann:{STRONG}")
    assert "ann are equal" in line
    assert STRONG not in line


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ({"db_host": "10.0.0.5"}, "10.0.0.5:3306"),
        ({"db_host": "db", "db_port": 3307}, "db:3307"),
        ({"db_host": "db", "db_ssl_ca": __file__}, None),
        ({"db_host": "127.0.0.1"}, None),
        ({"db_host": "[::1]"}, None),
        ({"db_host": "localhost"}, None),
        ({"db_host": "/run/mysqld/mysqld.sock"}, None),
        ({"source_url": "mysql://u:p@db/d"}, "db:3306"),
        ({"source_url": "postgresql://u:p@db/d"}, "db:5432"),
        ({"source_url": "postgresql://u:p@db/d?sslmode=require"}, "db:5432"),
        ({"source_url": "postgresql://u:p@db/d?sslmode=verify-full"}, None),
        ({"source_url": "postgresql://u:p@db/d?sslmode=verify-ca"}, None),
        ({"source_url": "postgresql://u:p@db/d", "db_ssl_ca": __file__}, None),
        ({"source_url": "postgresql://u:p@localhost/d"}, None),
        ({"source_url": "postgresql://u:p@localhost/d?hostaddr=10.0.0.5"}, "localhost"),
        ({"source_url": "sqlite:///x.db"}, None),
        ({"tables": "none"}, None),
    ],
)
def test_a_remote_database_that_nothing_proves_is_a_warning(
    values: dict[str, Any], warned: str | None
) -> None:
    """Whoever answers in its place would get what is sent."""
    needed = {"db_username": "u", "db_password": "p"}
    settings = Settings.model_validate(needed | values)
    lines = [str(line) for line in _encryption(source_from_settings(settings))]
    assert len(lines) == (warned is not None)
    for line in lines:
        assert line.startswith("! encryption")
        assert f"nothing proves that {warned}" in line
        assert "set DB_SSL_CA" in line


def test_the_confinement_of_queries_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason why the API answers 503."""
    monkeypatch.setattr(landlock, "syscall", lambda *_: 7)
    assert "confined by Landlock" in str(_queries(tmp_path))
    monkeypatch.setattr(landlock, "syscall", lambda *_: -errno.EPERM)
    line = str(_queries(tmp_path))
    assert line.startswith("!")
    assert "a filter of system calls forbids Landlock" in line
    assert "DATA_DIR is writable" in line
