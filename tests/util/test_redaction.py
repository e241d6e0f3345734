"""Redaction of secrets in text and data."""

from pathlib import Path

import pytest

from util.redaction import REDACTED, redact, redact_value, register_secrets


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {REDACTED}"),
        ("mysql://root:pw@db:3306/x", f"mysql://root:{REDACTED}@db:3306/x"),
        ("https://key@o1.ingest.example/7", f"https://{REDACTED}@o1.ingest.example/7"),
        (
            "https://k/api/push/aB3?status=up",
            f"https://k/api/push/{REDACTED}?status=up",
        ),
        ("12:30 at http://host:80/a", "12:30 at http://host:80/a"),
    ],
)
def test_text_in_the_form_of_a_secret_is_redacted(text: str, redacted: str) -> None:
    """Tokens and passwords in their usual places need not be registered."""
    assert redact(text) == redacted


def test_registered_secrets_are_redacted_whole() -> None:
    """Of a secret that contains another one no part remains."""
    register_secrets(["alpha", "alpha-beta", None, ""])
    assert redact("x alpha-beta alpha") == f"x {REDACTED} {REDACTED}"


def test_very_short_secrets_do_not_redact_ordinary_text() -> None:
    """A password of one letter would make every line unreadable."""
    register_secrets(["a"])
    assert redact("a table") == "a table"


def test_fields_named_like_secrets_are_redacted_at_any_depth() -> None:
    """The field name decides if the value cannot be recognised."""
    data = {"db": {"password": "x", "host": "h"}, "tokens": ["y"], "sync_key": "z"}
    assert redact_value(data) == {
        "db": {"password": REDACTED, "host": "h"},
        "tokens": [REDACTED],
        "sync_key": REDACTED,
    }


def test_values_that_json_does_not_support_become_text() -> None:
    """Paths and NaN do not break a line."""
    values = {"at": Path("/data"), "mean": float("nan"), "n": 1, "ok": True}
    assert redact_value(values) == {"at": "/data", "mean": "nan", "n": 1, "ok": True}
