"""`GET /metrics`: text for Prometheus, the state of the jobs for clients of JSON."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from readmodel.store.run_log import Run
from readmodel.sync.append_run import append_run
from tests.support.derived import NOON, run_derived, table_sql, write_views
from tests.support.views import client_of_views, rounds

JSON = {"Accept": "application/json"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TestClient]:
    """A client of an API without a read model."""
    views_dir = write_views(tmp_path / "views")
    with client_of_views(
        tmp_path / "data", views_dir, tables="rounds:id", sync_interval_seconds=300
    ) as client:
        yield client


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        (None, False),
        ("*/*", False),
        ("text/html,application/xml;q=0.9,*/*;q=0.8", False),
        ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5", False),
        ("text/plain, application/json;q=0.9", False),
        ("application/json, text/plain, */*", True),
        ("application/json", True),
        ("application/json;q=0", False),
    ],
)
def test_json_is_for_those_who_name_it(
    api: TestClient, accept: str | None, is_json: bool
) -> None:
    """Prometheus, curl and browsers get text."""
    api.headers.pop("accept", None)
    got = api.get("/metrics", headers={"Accept": accept} if accept else {})
    kind = "application/json" if is_json else "text/"
    assert got.headers["content-type"].startswith(
        kind if is_json else ("text/", "application/openmetrics")
    )
    assert got.headers["vary"].startswith("Accept")


def test_jobs_before_the_first_sync(api: TestClient) -> None:
    """Nothing is known yet."""
    assert api.get("/metrics", headers=JSON).json() == {
        "log_level": "INFO",
        "scheduler": {
            "jobs": [
                {
                    "id": "sync",
                    "trigger": "interval[0:05:00]",
                    "next_run_time": None,
                    "last_run_time": None,
                    "success": None,
                    "message": None,
                }
            ]
        },
    }


def test_jobs_after_a_sync(api: TestClient, tmp_path: Path) -> None:
    """The sync, and each derived table with its last build."""
    data_dir, views_dir = tmp_path / "data", tmp_path / "views"
    good, bad = (
        table_sql("good", "SELECT * FROM rounds"),
        table_sql("bad", "SELECT error('no')::INTEGER AS a FROM rounds"),
    )
    write_views(views_dir, a=good, b=bad)
    run_derived(data_dir, views_dir, {"rounds": rounds()}, configured=["rounds"])
    append_run(data_dir, Run(NOON, NOON + timedelta(seconds=2), True, "6 rows"))
    sync, *views = api.get("/metrics", headers=JSON).json()["scheduler"]["jobs"]
    assert sync["next_run_time"] == "2026-11-25T12:05:00Z"
    assert sync["last_run_time"] == "2026-11-25T12:00:02Z"
    assert (sync["success"], sync["message"]) == (True, "6 rows")
    by_id = {view["id"]: view for view in views}
    assert by_id["good"]["success"] is True
    assert by_id["good"]["last_run_time"] == "2026-11-25T12:00:00Z"
    assert by_id["good"]["next_run_time"] == sync["next_run_time"]
    assert by_id["bad"]["success"] is False
    assert by_id["bad"]["message"]


def test_both_want_the_right_to_metrics(api: TestClient) -> None:
    """The state of jobs is for operators, as the text is."""
    for accept in ("*/*", "application/json"):
        headers = {"Authorization": "Bearer wrong", "Accept": accept}
        assert api.get("/metrics", headers=headers).status_code == 401
