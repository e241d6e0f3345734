"""Blanking secrets in text and data."""

from pathlib import Path

import pytest

from util.redaction import HIDDEN, clean, clean_value, hide


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {HIDDEN}"),
        ("mysql://root:pw@db:3306/x", f"mysql://root:{HIDDEN}@db:3306/x"),
        ("https://key@o1.ingest.example/7", f"https://{HIDDEN}@o1.ingest.example/7"),
        ("https://k/api/push/aB3?status=up", f"https://k/api/push/{HIDDEN}?status=up"),
        ("12:30 at http://host:80/a", "12:30 at http://host:80/a"),
    ],
)
def test_what_looks_like_a_secret_is_blanked(text: str, cleaned: str) -> None:
    """Tokens and passwords in their usual places need not be known."""
    assert clean(text) == cleaned


def test_known_secrets_are_blanked_whole() -> None:
    """A secret that contains another leaves no rest of itself."""
    hide(["alpha", "alpha-beta", None, ""])
    assert clean("x alpha-beta alpha") == f"x {HIDDEN} {HIDDEN}"


def test_very_short_secrets_do_not_blank_ordinary_text() -> None:
    """A password of one letter would make every line unreadable."""
    hide(["a"])
    assert clean("a table") == "a table"


def test_fields_named_like_secrets_are_blanked_at_any_depth() -> None:
    """Field names decide where values cannot be recognised."""
    data = {"db": {"password": "x", "host": "h"}, "tokens": ["y"], "sync_key": "z"}
    assert clean_value(data) == {
        "db": {"password": HIDDEN, "host": "h"},
        "tokens": [HIDDEN],
        "sync_key": HIDDEN,
    }


def test_what_json_does_not_know_becomes_text() -> None:
    """Paths and not-a-number do not break a line."""
    given = {"at": Path("/data"), "mean": float("nan"), "n": 1, "ok": True}
    assert clean_value(given) == {"at": "/data", "mean": "nan", "n": 1, "ok": True}
