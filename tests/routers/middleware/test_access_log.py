"""Access log: an id, a log line, a measurement and security headers per request."""

import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from routers import sections
from tests.routers.conftest import client_of, make_settings

ANSWERS = ["/", "/health", "/nothing", "/docs", "/openapi.json", "/room/0/stats"]


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of each request's log line."""
    logged = [vars(record) for record in caplog.records if record.name == "fpp.api"]
    return [line for line in logged if line.get("action") == "request"]


def values(client: TestClient, name: str) -> dict[str, float]:
    """Labels to value, of the samples of one metric."""
    text = client.get("/metrics").text
    found = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name))
    return {key.removeprefix(name): float(value) for key, value in found}


def test_a_request_is_one_line_with_its_route_template_and_snapshot(
    read_model: Path, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Method, route, status, milliseconds and snapshot, but not the path."""
    with caplog.at_level(logging.INFO, logger="fpp"):
        client.get("/room/12345/stats", headers={"X-Request-ID": "abc-1"})
    (line,) = lines(caplog)
    assert (line["method"], line["status"]) == ("GET", 200)
    assert line["route"] == "/room/{room_id}/stats"
    assert line["snapshot"] == (read_model / "current").resolve().name
    assert 0 < line["ms"] < 60_000
    assert "12345" not in caplog.text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (
            "/?period=7d&tz=Asia/Tokyo&interval=week",
            ("2024-07-27 to 2024-08-02", "week", "Asia/Tokyo"),
        ),
        ("/room/1/stats", ("all", "day", "UTC")),
        (
            "/breakdown/route?from=2024-08-01",
            ("2024-08-01 to 2024-08-01", "day", "UTC"),
        ),
    ],
)
def test_a_slow_line_can_be_tied_to_what_was_asked(
    read_model: Path,
    client: TestClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    fields: tuple[str, str, str],
) -> None:
    """Range, interval and zone as they were resolved; never the query as it was sent."""
    assert read_model.exists()
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert client.get(path).status_code == 200
    (line,) = lines(caplog)
    assert (line["range"], line["interval"], line["tz"]) == fields


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/nothing", "unmatched"),
        ("/openapi.json", "/openapi.json"),
        ("/docs", "/docs"),
        ("/docs/assets/swagger-ui.css", "/docs/assets"),
        ("/docs/assets/none", "/docs/assets"),
        ("/health", "/health"),
    ],
)
def test_every_served_path_has_a_route_template(
    client: TestClient, caplog: pytest.LogCaptureFixture, path: str, route: str
) -> None:
    """No path becomes a label, and only unknown paths are "unmatched"."""
    with caplog.at_level(logging.INFO, logger="fpp"):
        client.get(path)
    assert [line["route"] for line in lines(caplog)] == [route]


@pytest.mark.parametrize("path", ["/health", "/v1/health"])
def test_a_successful_health_check_is_measured_but_not_logged(
    read_model: Path, client: TestClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """Container runtimes send one every few seconds."""
    assert read_model.exists()
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert client.get(path).status_code == 200
    assert lines(caplog) == []
    counted = values(client, "fpp_http_request_duration_seconds_count")
    assert counted[f'{{method="GET",route="{path}",status="200"}}'] == 1


@pytest.mark.parametrize("path", ANSWERS)
def test_every_response_has_an_id_and_security_headers(
    client: TestClient, path: str
) -> None:
    """Errors, pages and data alike."""
    got = client.get(path)
    assert len(got.headers["X-Request-ID"]) == 32
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in got.headers["Content-Security-Policy"]


def test_the_content_policy_allows_data_nothing_and_pages_this_host(
    client: TestClient,
) -> None:
    """A browser that displays data as a page runs no script in it."""
    policy = client.get("/health").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("abc-123", True),
        ("A" * 64, True),
        ("A" * 65, False),
        ("with space", False),
        ('quote"', False),
        ("", False),
    ],
)
def test_a_clients_request_id_is_kept_only_if_it_is_safe_to_log(
    client: TestClient, sent: str, kept: bool
) -> None:
    """Any other is replaced by a generated one."""
    got = client.get("/health", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert (got == sent) is kept
    assert got


def test_an_unexpected_error_is_answered_logged_and_measured(
    read_model: Path,
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The response has the headers and the id, and the error is reported once."""
    assert read_model.exists()

    def broken(*_: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(sections, "collect_side_by_side", broken)
    with caplog.at_level(logging.INFO, logger="fpp"):
        got = client.get("/", headers={"X-Request-ID": "broken-1"})
    assert got.status_code == 500
    assert got.headers["X-Request-ID"] == "broken-1"
    assert got.headers["X-Frame-Options"] == "DENY"
    assert [line["status"] for line in lines(caplog)] == [500]
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert [r.getMessage() for r in errors] == ["inside"]
    assert values(client, "fpp_errors_total") == {"": 1}


def test_metrics_require_the_token(client: TestClient) -> None:
    """They show how much the product is used."""
    del client.headers["Authorization"]
    assert client.get("/metrics").status_code == 401


def test_metrics_describe_the_snapshot(read_model: Path, client: TestClient) -> None:
    """Rows, parts and bytes of the files that are served."""
    files = list((read_model / "current" / "fpp_votes.parquet").iterdir())
    of_votes = '{table="fpp_votes"}'
    assert values(client, "fpp_table_rows")[of_votes] > 0
    assert values(client, "fpp_table_parts")[of_votes] == len(files)
    size = sum(file.stat().st_size for file in files)
    assert values(client, "fpp_table_size_bytes")[of_votes] == size


def test_metrics_work_without_a_read_model(client: TestClient) -> None:
    """Otherwise an alert could not detect that it is missing."""
    got = client.get("/metrics")
    assert got.status_code == 200
    assert got.headers["Content-Type"].startswith("text/plain")
    assert "fpp_snapshot" not in got.text


def test_metrics_work_with_a_damaged_run_log(
    data_dir: Path, read_model: Path, client: TestClient
) -> None:
    """Metrics of the snapshot are present, those of the runs are absent."""
    (data_dir / "sync_runs.parquet").write_bytes(b"PAR1 no PAR1")
    assert read_model.exists()
    text = client.get("/metrics").text
    assert "fpp_snapshot_timestamp_seconds" in text
    assert "fpp_sync_last_run" not in text


def test_a_secret_in_an_error_does_not_reach_the_log(
    read_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The log redacts every secret of the settings once the server has started."""
    token = "a-very-secret-token"
    settings = make_settings(data_dir=read_model, analytics_secret_token=token)

    def broken(*_: object) -> None:
        raise RuntimeError(f"refused {token}")

    monkeypatch.setattr(sections, "collect_side_by_side", broken)
    with client_of(settings) as client:
        client.get("/", headers={"Authorization": token})
    logged = capfd.readouterr().err
    assert "refused [hidden]" in logged
    assert token not in logged
