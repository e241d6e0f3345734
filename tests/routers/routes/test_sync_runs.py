"""GET /sync/runs: the updater's newest runs."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from readmodel.store.run_log import Run, TableRun
from readmodel.store.view_log import ViewRun
from readmodel.sync.append_run import append_run, append_view_runs
from routers.routes.sync_runs import SyncTable
from tests.routers.middleware.test_access_log import values

AT = datetime(2026, 11, 21, 23, 10, tzinfo=UTC)


@pytest.fixture
def runs(data_dir: Path) -> Path:
    """A successful run, and a failed one ten minutes later."""
    data_dir.mkdir()
    tables = {"fpp_votes": TableRun(7, 5, 2, 1, 1)}
    append_run(data_dir, Run(AT, AT + timedelta(seconds=2), True, "7 rows", tables))
    later = AT + timedelta(minutes=10)
    append_run(data_dir, Run(later, later + timedelta(seconds=1), False, "no database"))
    return data_dir


def test_the_newest_runs_come_first_with_all_their_figures(
    runs: Path, client: TestClient
) -> None:
    """Whether or not there is a read model."""
    assert runs.exists()
    failed, succeeded = client.get("/sync/runs").json()["runs"]
    assert failed == {
        "started_at": "2026-11-21T23:20:00Z",
        "ended_at": "2026-11-21T23:20:01Z",
        "milliseconds": 1000,
        "success": False,
        "message": "no database",
        "tables": [],
    }
    assert succeeded["tables"] == [
        {
            "table": "fpp_votes",
            "rows_fetched": 7,
            "rows_added": 5,
            "rows_changed": 2,
            "rows_removed": 1,
            "parts_rewritten": 1,
        }
    ]


def test_the_counts_of_a_table_are_those_of_the_run_log() -> None:
    """The response model adds the table's name, and nothing else."""
    names = [count.name for count in fields(TableRun)]
    assert list(SyncTable.model_fields) == ["table", *names]


def test_limit_bounds_the_list(runs: Path, client: TestClient) -> None:
    """From 1 to 1000."""
    assert runs.exists()
    assert len(client.get("/sync/runs", params={"limit": 1}).json()["runs"]) == 1
    for limit in ("0", "-1", "1001", "x", "1.5", ""):
        got = client.get("/sync/runs", params={"limit": limit})
        assert got.status_code == 422, limit


def test_before_the_first_run_the_list_is_empty(client: TestClient) -> None:
    """It is not an error."""
    assert client.get("/sync/runs").json() == {"runs": [], "interval_seconds": 600}


def test_the_runs_require_the_token(client: TestClient) -> None:
    """Error messages are for operators."""
    del client.headers["Authorization"]
    assert client.get("/sync/runs").status_code == 401


def test_the_metrics_show_the_last_run_and_the_last_success(
    runs: Path, client: TestClient
) -> None:
    """A failed run moves the first and not the second."""
    assert runs.exists()
    success = (AT + timedelta(seconds=2)).timestamp()
    end = (AT + timedelta(minutes=10, seconds=1)).timestamp()
    assert values(client, "fpp_sync_last_run_timestamp_seconds") == {"": end}
    assert values(client, "fpp_sync_last_success_timestamp_seconds") == {"": success}
    assert values(client, "fpp_sync_last_duration_seconds") == {"": 1}
    assert values(client, "fpp_sync_failures_in_a_row") == {"": 1}


def test_builds_of_derived_tables_are_listed_the_newest_first(
    data_dir: Path, client: TestClient
) -> None:
    """With everything that the view log has; `limit` sets how many."""
    assert client.get("/sync/runs/views").json() == {"runs": []}
    data_dir.mkdir(exist_ok=True)
    end = AT + timedelta(seconds=2)
    built = ViewRun(
        "rooms",
        "materialized_view",
        "rooms",
        "a.sql",
        AT,
        end,
        2000,
        5,
        "built",
        "",
        "f0",
    )
    failed = replace(built, outcome="deadline", rows=0, message="too slow")
    append_view_runs(data_dir, [built, failed])
    newest, oldest = client.get("/sync/runs/views").json()["runs"]
    assert oldest == {
        "name": "rooms",
        "type": "materialized_view",
        "object": "rooms",
        "file": "a.sql",
        "started_at": "2026-11-21T23:10:00Z",
        "ended_at": "2026-11-21T23:10:02Z",
        "milliseconds": 2000,
        "rows": 5,
        "success": True,
        "outcome": "built",
        "message": "",
        "sql_sha256": "f0",
    }
    assert (newest["success"], newest["message"]) == (False, "too slow")
    assert len(client.get("/sync/runs/views?limit=1").json()["runs"]) == 1


def test_every_run_is_reached_by_following_the_links(
    data_dir: Path, client: TestClient
) -> None:
    """Each once, newest first; the last answer has no link."""
    data_dir.mkdir()
    for number in range(7):
        at = AT + timedelta(minutes=number)
        ended = at + timedelta(seconds=1)
        append_run(data_dir, Run(at, ended, number % 3 != 0, f"run {number}"))
    seen, address = [], "/sync/runs?limit=3"
    while True:
        answer = client.get(address)
        seen += [run["message"] for run in answer.json()["runs"]]
        if not (link := answer.headers.get("Link")):
            break
        target, _, relation = link.partition("; ")
        assert relation == 'rel="next"'
        address = f"/sync/runs{target.strip('<>')}"
    assert seen == [f"run {number}" for number in reversed(range(7))]
    failed = client.get("/sync/runs?success=false").json()["runs"]
    assert [run["message"] for run in failed] == ["run 6", "run 3", "run 0"]
    rows = client.get("/sync/runs.csv?success=false&limit=2").text
    assert (rows.count("run 6"), rows.count("run 0")) == (1, 0)
    for value in ("yesterday", "0.5", "1790000000"):
        assert client.get(f"/sync/runs?before={value}").status_code == 422
