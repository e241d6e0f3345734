"""Monitors that do not answer, or whose address is malformed."""

import pytest

from tests.support.doctor import checks_of
from tests.support.servers import closed_port

pytestmark = pytest.mark.external


def test_dead_monitors_are_warnings(settings: dict[str, str]) -> None:
    """A sync works without them."""
    dead = f"127.0.0.1:{closed_port()}"
    monitors = {
        "UPTIMEKUMA_PUSH_URL": f"http://{dead}/api/push/t0ken",
        "SENTRY_DSN": f"http://key@{dead}/7",
        "SENTRY_ENVIRONMENT": "production",
    }
    checks = checks_of(settings | monitors, code=0)
    assert checks["UptimeKuma"] == "! no connection: check UPTIMEKUMA_PUSH_URL"
    assert checks["Sentry"] == "! no connection: check SENTRY_DSN"


def test_a_malformed_push_url_fails(settings: dict[str, str]) -> None:
    """The updater does not start with it."""
    checks = checks_of(settings | {"UPTIMEKUMA_PUSH_URL": "kuma"}, code=1)
    assert checks["UptimeKuma"].startswith("✗ UPTIMEKUMA_PUSH_URL is malformed")
