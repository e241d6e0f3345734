"""Weak and shared tokens, and the confinement of queries."""

import errno
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from updater.doctor.access import check_confinement, check_tokens
from util import landlock

STRONG = "4f1c9b7e2d8a605c3b9d7f1e"


def warnings(**values: Any) -> list[str]:
    """What is said about the tokens of these settings."""
    return [str(line) for line in check_tokens(Settings.model_validate(values))]


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


def test_the_confinement_of_queries_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason why the API answers 503."""
    monkeypatch.setattr(landlock, "syscall", lambda *_: 7)
    assert "confined by Landlock" in str(check_confinement(tmp_path))
    monkeypatch.setattr(landlock, "syscall", lambda *_: -errno.EPERM)
    line = str(check_confinement(tmp_path))
    assert line.startswith("!")
    assert "a filter of system calls forbids Landlock" in line
    assert "DATA_DIR is writable" in line
