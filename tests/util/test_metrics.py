"""Prometheus registries of the API and of the updater."""

import shutil
import socket
import subprocess
from datetime import timedelta

import httpx
import pytest

from tests.support.metrics import EMPTY, FULL
from util.errors import SettingsError
from util.metrics import ApiMetrics, UpdaterMetrics


def _text(metrics: ApiMetrics | UpdaterMetrics) -> str:
    return metrics.render()[0].decode()


def _filled_api_metrics() -> ApiMetrics:
    metrics = ApiMetrics(FULL)
    metrics.observe("/room/{room_id}/stats", "GET", 200, timedelta(milliseconds=20))
    metrics.observe(None, "BREW", 404, timedelta(milliseconds=1))
    metrics.failed_logins.inc()
    return metrics


def test_requests_are_counted_by_template_method_and_status() -> None:
    """Paths and unknown methods never become labels."""
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
def test_server_errors_have_a_counter_of_their_own(status: int, errors: int) -> None:
    """503 before the first sync is expected and has its own alert."""
    metrics = ApiMetrics(EMPTY)
    metrics.observe("/", "GET", status, timedelta(milliseconds=1))
    assert f"fpp_errors_total {errors}.0" in _text(metrics)


@pytest.mark.parametrize(
    "metrics", [_filled_api_metrics(), ApiMetrics(EMPTY), UpdaterMetrics(FULL)]
)
def test_promtool_accepts_the_metrics(metrics: ApiMetrics | UpdaterMetrics) -> None:
    """Prometheus' own linter reports nothing."""
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=metrics.render()[0],
        capture_output=True,
        timeout=30,
    )
    assert (checked.returncode, checked.stderr.decode()) == (0, "")


def test_metrics_have_further_names() -> None:
    """A counter, a gauge with labels and a histogram; what is not there is left out."""
    metrics = _filled_api_metrics()
    metrics.registry.further_names = {
        "logins_total": "fpp_failed_logins_total",
        "latency_seconds": "fpp_http_request_duration_seconds",
        "rows": "fpp_table_rows",
        "other": "no_such_metric",
    }
    text = _text(metrics)
    assert "\nfpp_failed_logins_total 1.0" in text
    assert "\nlogins_total 1.0" in text
    assert "# TYPE logins_total counter" in text
    assert '\nlatency_seconds_count{method="GET",route="/room/{room_id}/stats"' in text
    assert '\nlatency_seconds_bucket{le="0.025"' in text
    assert '\nrows{table="fpp_votes"} 12.0' in text
    assert "other" not in text
    openmetrics = metrics.render("application/openmetrics-text")[0].decode()
    assert "# TYPE logins counter" in openmetrics


def test_a_scraper_that_accepts_openmetrics_gets_it() -> None:
    """Prometheus prefers it."""
    text, content_type = ApiMetrics(FULL).render("application/openmetrics-text")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_the_updater_serves_its_metrics_while_it_runs() -> None:
    """On the configured port, and no longer."""
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


def test_a_port_in_use_is_a_settings_error() -> None:
    """It names the variable when the updater starts."""
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
