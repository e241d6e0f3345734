"""Reports of the real updater to Sentry, the run log and `status`."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from readmodel.store import run_log
from tests.support.programs import run_updater
from tests.support.servers import StubServer, closed_port, envelope_items

pytestmark = pytest.mark.external

PASSWORD = "dbPassw0rd"


@pytest.fixture
def reporting(settings: dict[str, str], sentry: StubServer) -> dict[str, str]:
    """Settings of an updater in production."""
    dsn = f"http://dsnKey42@127.0.0.1:{sentry.port}/7"
    return settings | {"SENTRY_DSN": dsn, "SENTRY_ENVIRONMENT": "production"}


def without_database(settings: dict[str, str]) -> dict[str, str]:
    """Replace the source by a database server that does not exist."""
    others = {name: value for name, value in settings.items() if name != "SOURCE_URL"}
    return others | {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(closed_port()),
        "DB_USERNAME": "fpp",
        "DB_PASSWORD": PASSWORD,
        # Limits the time of retries.
        "SYNC_INTERVAL_SECONDS": "1",
    }


def items(sentry: StubServer, kind: str) -> list[dict[str, Any]]:
    """Return the received items of *kind*, for example ``event``."""
    found = [item for request in sentry.requests for item in envelope_items(request)]
    return [load for head, load in found if head["type"] == kind]


def test_a_good_run_checks_in_twice_and_reports_no_error(
    reporting: dict[str, str], sentry: StubServer
) -> None:
    """Opened and closed under one id, with schedule, margin and maximum runtime."""
    assert run_updater(reporting | {"SYNC_INTERVAL_SECONDS": "300"}).returncode == 0
    opened, closed = items(sentry, "check_in")
    assert (opened["status"], closed["status"]) == ("in_progress", "ok")
    assert opened["check_in_id"] == closed["check_in_id"]
    assert opened["monitor_slug"] == "fpp-analytics-sync"
    assert opened["monitor_config"] == {
        "schedule": {"type": "interval", "value": 5, "unit": "minute"},
        "checkin_margin": 5,
        "max_runtime": 60,
        "timezone": "UTC",
    }
    assert items(sentry, "event") == []


def test_a_failed_run_is_one_error_and_a_check_in_with_status_error(
    reporting: dict[str, str], sentry: StubServer
) -> None:
    """It is sent before the process ends, without the password."""
    done = run_updater(without_database(reporting))
    assert done.returncode == 1
    statuses = [check["status"] for check in items(sentry, "check_in")]
    assert statuses == ["in_progress", "error"]
    (event,) = items(sentry, "event")
    assert event["level"] == "error"
    tags = event["tags"]
    assert tags["service"] == "fpp-analytics-updater"
    assert (tags["component"], tags["action"]) == ("updater", "sync")
    for text in (json.dumps(event), done.stdout, done.stderr):
        assert PASSWORD not in text
        assert "dsnKey42" not in text
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert len([line for line in lines if line["level"] >= 50]) == 1


def test_in_development_nothing_is_sent(
    reporting: dict[str, str], sentry: StubServer
) -> None:
    """Neither errors nor check-ins."""
    del reporting["SENTRY_ENVIRONMENT"]
    assert run_updater(without_database(reporting)).returncode == 1
    assert sentry.requests == []


def test_a_dead_sentry_does_not_fail_a_run(settings: dict[str, str]) -> None:
    """The flush at the end has a timeout."""
    dsn = f"http://k@127.0.0.1:{closed_port()}/7"
    production = settings | {"SENTRY_DSN": dsn, "SENTRY_ENVIRONMENT": "production"}
    assert run_updater(production).returncode == 0


def test_every_run_is_in_the_run_log_and_in_status(
    settings: dict[str, str], data_dir: Path
) -> None:
    """Successful and failed ones, with their counts."""
    assert run_updater(settings).returncode == 0
    assert run_updater(settings).returncode == 0
    assert run_updater(without_database(settings)).returncode == 1
    failed, again, first = run_log.recent_runs(data_dir, 10)
    assert (failed.success, failed.tables) == (False, {})
    assert "No database answers" in failed.message
    assert again.rows_fetched == 0
    votes = first.tables["fpp_votes"]
    assert votes.rows_fetched == votes.rows_added > 0
    assert votes.parts_rewritten == 1
    printed = run_updater(settings, "status").stdout.splitlines()
    marks = [line[0] for line in printed if " s  " in line]
    assert marks == ["\N{BALLOT X}", "\N{CHECK MARK}", "\N{CHECK MARK}"]
    assert max(map(len, printed)) <= 80


def test_status_checks_whether_the_read_model_is_fresh(
    settings: dict[str, str],
) -> None:
    """The container's health check uses this: missing, fresh, stale."""
    missing = run_updater(settings, "status", "--check")
    assert missing.returncode == 1
    assert "There is no read model yet" in missing.stdout
    assert run_updater(settings, "status").returncode == 0
    assert run_updater(settings).returncode == 0
    fresh = run_updater(settings, "status", "--check")
    assert fresh.returncode == 0
    assert len(fresh.stdout.splitlines()) == 1
    time.sleep(3)
    often = settings | {"SYNC_INTERVAL_SECONDS": "1"}
    assert run_updater(often, "status", "--check").returncode == 1


def test_a_further_table_that_cannot_be_read_is_reported_everywhere(
    settings: dict[str, str], data_dir: Path, kuma: StubServer
) -> None:
    """The run succeeds; its line, its message, `status` and the push name the table."""
    further = settings | {
        "SYNC_TABLES": "nowhere:id",
        "UPTIMEKUMA_PUSH_URL": f"{kuma.url}/api/push/t0ken",
    }
    done = run_updater(further)
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert "; not read: nowhere: snapshot" in lines[-1]["msg"]
    warnings = [line["msg"] for line in lines if line["level"] == 40]
    assert any("nowhere is stale since" in warning for warning in warnings)
    (run,) = run_log.recent_runs(data_dir, 1)
    assert run.success
    for text in (
        run.message,
        dict(kuma.requests[0].query)["msg"],
        run_updater(further, "status").stdout,
    ):
        assert "nowhere is stale since" in text
        assert "there is no copy of it" in text
    # UptimeKuma's is cut off, where depends on the length of the source's path.
    assert "there is no copy of it: Table nowhere is missing" in run.message
    printed = json.loads(run_updater(further, "status", "--json").stdout)
    assert "is missing" in printed["failed"]["nowhere"]["failed_because"]
    assert run_updater(further, "verify").returncode == 1
    assert run_updater(further, "doctor").returncode == 1


def test_other_tables_than_those_of_the_statistics_are_mirrored(
    settings: dict[str, str], data_dir: Path
) -> None:
    """And no others, in `status` and `verify`, too."""
    chosen = settings | {"TABLES": '"fpp_rooms":id'}
    assert run_updater(chosen).returncode == 0
    printed = json.loads(run_updater(chosen, "status", "--json").stdout)
    assert list(printed["tables"]) == ["fpp_rooms"]
    assert run_updater(chosen, "status", "--check").returncode == 0
    (verified,) = run_updater(chosen, "verify").stdout.splitlines()
    assert verified.startswith("fpp_rooms")
    assert [path.name for path in data_dir.glob("fpp_*")] == ["fpp_rooms.parquet"]


def test_no_table_at_all_needs_no_database(
    settings: dict[str, str], data_dir: Path
) -> None:
    """TABLES=none: snapshots are published all the same, one per run."""
    none = {"TABLES": "none", "DATA_DIR": str(data_dir)}
    for _ in range(2):
        assert run_updater(none).returncode == 0
    assert len(list((data_dir / "snapshots").iterdir())) == 2
    assert run_updater(none, "verify").returncode == 0
    assert "no table is mirrored" in run_updater(none, "doctor").stdout
    assert "The read model is of" in run_updater(none, "status").stdout
    assert run_updater(settings).returncode == 0
    assert run_updater(settings | none).returncode == 0
    assert list(data_dir.glob("fpp_*")) == []
