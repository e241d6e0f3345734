"""Metrics as Prometheus reads them."""

import shutil
import socket
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from util.errors import SettingsError
from util.metrics import ApiMetrics, Sources, UpdaterMetrics

AT = datetime(2026, 11, 21, 23, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Table:
    rows: int
    parts: tuple[str, ...]
    bytes: int
    checked_at: datetime


@dataclass(frozen=True)
class Snapshot:
    taken_at: datetime
    tables: dict[str, Table]


@dataclass(frozen=True)
class Fetch:
    rows_fetched: int


@dataclass(frozen=True)
class Run:
    ended_at: datetime
    took: timedelta
    tables: dict[str, Fetch]


@dataclass(frozen=True)
class Runs:
    last: Run
    last_success_at: datetime | None
    failures_in_a_row: int


SNAPSHOT = Snapshot(AT, {"fpp_votes": Table(12, ("a", "b"), 3_000, AT)})
LAST = Run(AT + timedelta(minutes=10), timedelta(seconds=1.5), {"fpp_votes": Fetch(7)})
FULL = Sources(lambda: SNAPSHOT, lambda: Runs(LAST, AT, 1))
EMPTY = Sources(lambda: None, lambda: None)


def _text(metrics: ApiMetrics | UpdaterMetrics) -> str:
    return metrics.render()[0].decode()


def _filled_api_metrics() -> ApiMetrics:
    metrics = ApiMetrics(FULL)
    metrics.observe("/room/{room_id}/stats", "GET", 200, timedelta(milliseconds=20))
    metrics.observe(None, "BREW", 404, timedelta(milliseconds=1))
    metrics.failed_logins.inc()
    return metrics


def test_requests_are_counted_by_template_method_and_status() -> None:
    """Addresses and invented methods never become labels."""
    text = _text(_filled_api_metrics())
    name = "fpp_http_request_duration_seconds"
    stats = 'method="GET",route="/room/{room_id}/stats",status="200"'
    assert f"{name}_count{{{stats}}} 1.0" in text
    assert f'{name}_bucket{{le="0.025",{stats}}} 1.0' in text
    assert f'{name}_bucket{{le="0.01",{stats}}} 0.0' in text
    unmatched = 'method="OTHER",route="unmatched",status="404"'
    assert f"{name}_count{{{unmatched}}} 1.0" in text
    assert "fpp_failed_logins_total 1.0" in text
    assert "fpp_rate_limited_total 0.0" in text


@pytest.mark.parametrize(
    ("status", "errors"), [(200, 0), (404, 0), (500, 1), (502, 1), (503, 0)]
)
def test_server_errors_are_counted_apart(status: int, errors: int) -> None:
    """503 before the first sync is expected and has its own alert."""
    metrics = ApiMetrics(EMPTY)
    metrics.observe("/", "GET", status, timedelta(milliseconds=1))
    assert f"fpp_errors_total {errors}.0" in _text(metrics)


def test_the_snapshot_and_the_runs_are_told_as_instants_and_sizes() -> None:
    """Every figure of the read model, per table where it is one."""
    values = dict(
        line.rsplit(" ", 1)
        for line in _text(ApiMetrics(FULL)).splitlines()
        if line.startswith(("fpp_snapshot", "fpp_table", "fpp_sync"))
    )
    of_votes = '{table="fpp_votes"}'
    assert {key: float(value) for key, value in values.items()} == {
        "fpp_snapshot_timestamp_seconds": AT.timestamp(),
        f"fpp_table_rows{of_votes}": 12,
        f"fpp_table_parts{of_votes}": 2,
        f"fpp_table_size_bytes{of_votes}": 3_000,
        f"fpp_table_verified_timestamp_seconds{of_votes}": AT.timestamp(),
        "fpp_sync_last_run_timestamp_seconds": AT.timestamp() + 600,
        "fpp_sync_last_success_timestamp_seconds": AT.timestamp(),
        "fpp_sync_last_duration_seconds": 1.5,
        "fpp_sync_failures_in_a_row": 1,
        f"fpp_sync_rows_fetched{of_votes}": 7,
    }


def test_before_the_first_sync_nothing_is_claimed() -> None:
    """A missing figure is absent, not zero."""
    text = _text(ApiMetrics(EMPTY))
    assert "fpp_snapshot" not in text
    assert "fpp_sync" not in text


def test_without_a_success_none_is_claimed() -> None:
    """A log with failures only has no last success to tell."""
    failed = Runs(LAST, None, 3)
    text = _text(ApiMetrics(Sources(lambda: None, lambda: failed)))
    assert "fpp_sync_failures_in_a_row 3.0" in text
    assert "fpp_sync_last_success" not in text


@pytest.mark.parametrize(
    "metrics", [_filled_api_metrics(), ApiMetrics(EMPTY), UpdaterMetrics(FULL)]
)
def test_promtool_accepts_the_metrics(metrics: ApiMetrics | UpdaterMetrics) -> None:
    """Prometheus' own linter finds nothing to say."""
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=metrics.render()[0],
        capture_output=True,
        timeout=30,
    )
    assert (checked.returncode, checked.stderr.decode()) == (0, "")


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    """Prometheus asks for OpenMetrics first."""
    text, content_type = ApiMetrics(FULL).render("application/openmetrics-text")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_the_updater_serves_its_metrics_while_it_runs() -> None:
    """On the port it was told, and no longer than it lives."""
    metrics = UpdaterMetrics(FULL)
    metrics.runs.labels("success").inc()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with metrics.serving("127.0.0.1", port):
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'fpp_sync_runs_total{result="success"} 1.0' in text
    assert 'fpp_sync_runs_total{result="failure"} 0.0' in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_a_taken_port_is_a_settings_error() -> None:
    """The variable is named, at start."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"METRICS_PORT {port}"),
            UpdaterMetrics(EMPTY).serving("127.0.0.1", port),
        ):
            pass


def test_without_a_port_nothing_is_served() -> None:
    """Metrics are optional."""
    with UpdaterMetrics(EMPTY).serving("127.0.0.1", None):
        pass
