"""Redaction of secrets in text and data."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from unittest.mock import patch
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import Settings
from tests.support.effort import examples
from util import redaction
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


def spellings(secret: str) -> Iterator[str]:
    """How programs write a text into URLs, logs, JSON and HTML."""
    yield secret
    yield quote(secret, safe="")
    yield quote(secret, safe="").lower() if secret.islower() else secret
    yield quote(secret)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield ascii(secret)[1:-1]
    yield html.escape(secret)
    yield quote(quote(secret, safe=""), safe="")
    yield secret.encode("unicode_escape").decode()


SECRETS: Final = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=4, max_size=12
).filter(lambda text: text.strip() == text and REDACTED not in text)


@settings(max_examples=examples(40))
@given(SECRETS)
def test_a_secret_is_redacted_in_every_spelling(secret: str) -> None:
    """Some program may have encoded it on its way into a message."""
    with patch.dict(redaction._registered, clear=True):
        register_secrets([secret, quote(secret, safe="")])
        for spelling in spellings(secret):
            assert redact(f"<{spelling}>") == f"<{REDACTED}>", spelling


@settings(max_examples=examples(40))
@given(SECRETS)
def test_a_password_in_an_address_is_redacted_decoded_and_encoded(
    password: str,
) -> None:
    """The settings have it encoded; a server's message may have it decoded."""
    url = f"mysql://fpp:{quote(password, safe='')}@db/fpp"
    secrets = Settings.model_validate({"source_url": url}).secrets
    with patch.dict(redaction._registered, clear=True):
        register_secrets(secrets)
        assert redact(f"<{password}>") == f"<{REDACTED}>"
        assert redact(f"<{quote(password, safe='')}>") == f"<{REDACTED}>"


@pytest.mark.parametrize("end", ["", "/", "//", "?status=up", "/?status=up&msg=OK"])
def test_the_token_of_a_push_address_is_a_secret(end: str) -> None:
    """It is the last segment of the path, whatever follows."""
    url = f"https://kuma.example/api/push/aB3dE5{end}"
    assert "aB3dE5" in Settings.model_validate({"uptimekuma_push_url": url}).secrets
