"""doctor: one line per check, exit code 1 if a sync would fail; with a real MariaDB."""

import pytest

from tests.support.doctor import checks_of
from tests.support.programs import run_updater
from tests.support.servers import StubServer

pytestmark = pytest.mark.external


def test_a_good_installation_passes_every_check(
    mysql: dict[str, str], kuma: StubServer, sentry: StubServer
) -> None:
    """Nothing is pushed to the monitors; only their front pages are requested."""
    monitors = {
        "UPTIMEKUMA_PUSH_URL": f"{kuma.url}/api/push/t0ken?status=up",
        "SENTRY_DSN": f"http://key@127.0.0.1:{sentry.port}/7",
        "SENTRY_ENVIRONMENT": "production",
    }
    checks = checks_of(mysql | monitors, code=0)
    assert set(checks) == {
        "settings",
        "database",
        "tables",
        "rights",
        "views",
        "clock",
        "locks",
        "DATA_DIR",
        "space",
        "UptimeKuma",
        "Sentry",
    }
    assert {line[0] for line in checks.values()} == {"✓"}
    assert checks["rights"] == "✓ SELECT only"
    for request in kuma.requests + sentry.requests:
        assert (request.path, request.query) == ("/", [])


def test_a_malformed_setting_is_one_line(settings: dict[str, str]) -> None:
    """It is reported before any check."""
    done = run_updater(settings | {"DB_PORT": "x"}, "doctor")
    assert done.returncode == 1
    assert "DB_PORT is malformed" in done.stderr
    assert len(done.stderr.splitlines()) == 1
