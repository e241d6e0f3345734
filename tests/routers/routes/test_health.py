"""`GET /health`: ok, degraded or unavailable."""

import shutil
from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient

from readmodel.store import snapshot
from tests.routers.conftest import client_of, make_settings
from tests.support.events import line
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish
from tests.support.stored_events import store

TABLES = ["estimations", "events", "page_views", "rooms", "users", "votes"]


def test_a_complete_and_fresh_read_model_is_ok(
    read_model: Path, client: TestClient
) -> None:
    """The body lists every table by file name, the size, and the age in seconds."""
    assert read_model.exists()
    got = client.get("/health")
    assert got.status_code == 200
    body = got.json()
    assert body["components"]["storage"].pop("data_size_mb") > 0
    assert body == {
        "status": "ok",
        "components": {
            "parquet_files": {
                "status": "ok",
                "files": {f"fpp_{name}.parquet": True for name in TABLES},
            },
            "storage": {"status": "ok"},
            "freshness": {
                "status": "ok",
                "data_updated_at": "2024-08-01T15:27:00Z",
                "age_seconds": 180,
            },
        },
    }


def test_data_older_than_three_intervals_is_degraded(data_dir: Path) -> None:
    """Exactly three intervals are ok."""
    publish(data_dir, SAMPLE, TAKEN_AT)
    settings = make_settings(data_dir=data_dir, sync_interval_seconds=600)
    due = TAKEN_AT + timedelta(seconds=1800)
    statuses = []
    for moment in (due, due + timedelta(microseconds=1)):
        with client_of(settings, moment) as client:
            got = client.get("/health")
            assert got.status_code == 200
            statuses.append(got.json()["status"])
    assert statuses == ["ok", "degraded"]


def test_a_missing_table_is_unavailable_and_listed(
    read_model: Path, client: TestClient
) -> None:
    """The status code is 503, for the container runtime."""
    shutil.rmtree((read_model / "fpp_votes.parquet").resolve())
    got = client.get("/health")
    assert got.status_code == 503
    body = got.json()
    assert body["status"] == "unavailable"
    files = body["components"]["parquet_files"]["files"]
    assert [name for name, there in files.items() if not there] == ["fpp_votes.parquet"]


def test_the_size_is_in_bytes_under_v1(read_model: Path, client: TestClient) -> None:
    """All else is as before."""
    old, new = client.get("/health").json(), client.get("/v1/health").json()
    size = new["components"]["storage"].pop("data_size_bytes")
    megabytes = old["components"]["storage"].pop("data_size_mb")
    files = read_model.glob("current/fpp_*.parquet/*")
    assert size == sum(file.stat().st_size for file in files)
    assert megabytes == round(size / 2**20, 2)
    assert new == old
    shutil.rmtree((read_model / "fpp_votes.parquet").resolve())
    missing = client.get("/v1/health")
    assert (missing.status_code, missing.json()["status"]) == (503, "unavailable")


def test_without_a_read_model_the_status_is_unavailable(client: TestClient) -> None:
    """DATA_DIR does not exist here."""
    got = client.get("/health")
    assert (got.status_code, got.json()["status"]) == (503, "unavailable")


def test_events_are_a_component_where_they_are_collected(
    read_model: Path, client: TestClient
) -> None:
    """Without them the answer is as it always was."""
    assert "events" not in client.get("/health").json()["components"]
    store(read_model, [line("e1")])
    assert client.get("/health").json()["components"]["events"] == {"status": "ok"}
    for file in snapshot.latest(read_model).files("events"):
        Path(file).unlink()
    found = client.get("/health").json()["components"]["events"]
    assert found == {"status": "degraded"}
