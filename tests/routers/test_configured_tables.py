"""Routes where TABLES mirrors other tables than those of the statistics."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from readmodel.store.manifest import TableFailure
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from tests.routers.conftest import client_of, make_settings
from tests.support.effort import some_long
from tests.support.frames import frame, vote
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import column_names, ids, publish, publish_frames

ROUTES = [
    "/",
    "/?period=30d",
    "/daily-analytics",
    "/room/7/stats",
    "/historical.csv",
    "/reoccurring.csv",
    "/breakdown/country.csv",
    "/breakdown/country",
    "/rooms",
    "/rooms/7",
]
"""Some routes of Free Planning Poker's statistics."""

INDEPENDENT = {"events", "health", "queries", "session", "sync", "views"}
"""Tags of the routes that answer whatever is mirrored."""


def publish_tables(
    data_dir: Path,
    *stored: str,
    configured: tuple[str, ...],
    failed: tuple[str, ...] = (),
) -> None:
    """Publish the tables *stored*, of one row each."""
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, TAKEN_AT) as writer:
        writer.configured = configured
        for name in stored:
            writer.table(name, column_names(ids(1))).write(ids(1), {})
        for name in failed:
            failure = TableFailure(TAKEN_AT, "it was dropped", None)
            writer.add_failure(name, failure)
        writer.publish()


def health(client: TestClient) -> tuple[int, str, str, dict[str, bool]]:
    """Status code, status, that of the files, and the files of `GET /health`."""
    got = client.get("/health")
    body = got.json()
    files = body["components"]["parquet_files"]
    return got.status_code, body["status"], files["status"], files["files"]


@pytest.mark.parametrize("route", ROUTES)
def test_routes_of_the_statistics_are_404_and_say_why(
    client: TestClient, data_dir: Path, route: str
) -> None:
    """Which tables are missing, and the setting."""
    publish_tables(data_dir, "players", configured=("players", "fpp_votes"))
    got = client.get(route)
    assert got.status_code == 404
    detail = got.json()["detail"]
    assert "the setting TABLES does not mirror all tables" in detail
    assert "missing: fpp_estimations, fpp_events" in detail
    assert "fpp_votes" not in detail


def test_no_route_of_the_statistics_forgets_to_say_so(
    client: TestClient, data_dir: Path
) -> None:
    """Every documented GET route, except those that need no table of the statistics."""
    publish_tables(data_dir, "players", configured=("players",))
    values = {"room_id": "7", "dimension": "country", "extension": "csv"}
    document = client.get("/openapi.json").json()
    asked = []
    for path, operations in document["paths"].items():
        if "get" not in operations or INDEPENDENT & set(operations["get"]["tags"]):
            continue
        got = client.get(path.format_map(values))
        assert got.status_code == 404, path
        assert "the setting TABLES does not mirror" in got.json()["detail"], path
        assert "TABLES" in operations["get"]["responses"]["404"]["description"], path
        asked.append(path)
    assert len(asked) >= 12


def test_health_and_metrics_follow_the_configured_tables(
    client: TestClient, data_dir: Path
) -> None:
    """The tables of the statistics are not missing, since nobody mirrors them."""
    publish_tables(data_dir, "players", "rounds", configured=("players", "rounds"))
    files = {"players.parquet": True, "rounds.parquet": True}
    assert health(client) == (200, "ok", "ok", files)
    metrics = client.get("/metrics").text
    assert 'fpp_table_rows{table="players"} 1.0' in metrics
    assert 'fpp_table_stale{table="players"} 0.0' in metrics


def test_a_further_table_that_is_missing_or_stale_degrades(
    client: TestClient, data_dir: Path
) -> None:
    """The others are served, so the status code is 200."""
    publish_tables(
        data_dir, "players", configured=("players", "rounds"), failed=("rounds",)
    )
    files = {"players.parquet": True, "rounds.parquet": False}
    assert health(client) == (200, "degraded", "degraded", files)
    metrics = client.get("/metrics").text
    assert 'fpp_table_stale{table="rounds"} 1.0' in metrics


def test_without_any_configured_table_on_disk_health_is_unavailable(
    client: TestClient, data_dir: Path
) -> None:
    """As without a read model."""
    publish_tables(data_dir, configured=("players",), failed=("players",))
    assert health(client)[:2] == (503, "unavailable")


def test_a_snapshot_without_tables_is_healthy(
    client: TestClient, data_dir: Path
) -> None:
    """TABLES=none: there is nothing to be missing."""
    publish_tables(data_dir, configured=())
    assert health(client) == (200, "ok", "ok", {})
    assert client.get("/").status_code == 404


def test_a_further_table_does_not_make_the_statistics_unavailable(
    client: TestClient, data_dir: Path
) -> None:
    """All six are there; the seventh has no copy."""
    snapshot = publish(data_dir, SAMPLE, TAKEN_AT)
    assert snapshot.manifest is not None
    names = (*snapshot.manifest.tables, "orders")
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, TAKEN_AT) as writer:
        writer.configured = names
        for name, stored in snapshot.manifest.tables.items():
            table = writer.table(name, stored.columns)
            for part, file in zip(stored.parts, snapshot.files(name), strict=True):
                table.link(part, Path(file))
        writer.add_failure("orders", TableFailure(TAKEN_AT, "it was dropped"))
        writer.publish()
    assert client.get("/").status_code == 200
    code, status, _, files = health(client)
    assert (code, status, len(files)) == (200, "degraded", 7)


@pytest.mark.parametrize(
    ("tables", "files"), [("players:id", {"players.parquet": False}), ("none", {})]
)
def test_before_the_first_sync_the_settings_name_the_tables(
    data_dir: Path, tables: str, files: dict[str, bool]
) -> None:
    """Afterwards the snapshot does, so both programs need not agree."""
    with client_of(make_settings(data_dir=data_dir, tables=tables)) as client:
        assert health(client) == (503, "unavailable", "unavailable", files)
        assert client.get("/").status_code == 503
        publish_tables(data_dir, "rounds", configured=("rounds",))
        assert health(client)[3] == {"rounds.parquet": True}


@pytest.mark.parametrize(
    "columns",
    some_long(
        [
            {"amount_of_estimations": pl.Series([2**64 - 1] * 3, dtype=pl.UInt64)},
            {"duration": pl.Series([2**63 - 1] * 3, dtype=pl.Int64)},
            {"room_id": pl.Series([2**64 - 1] * 3, dtype=pl.UInt64)},
            {
                name: pl.Series(
                    [Decimal("9" * 36 + ".99")] * 3, dtype=pl.Decimal(38, 2)
                )
                for name in ("avg_estimation", "min_estimation", "max_estimation")
            },
        ],
        2,
    ),
    ids=lambda columns: next(iter(columns)),
)
def test_values_at_the_limits_of_their_types_are_answered(
    client: TestClient, data_dir: Path, columns: dict[str, pl.Series]
) -> None:
    """Sums have more than 64 bits and more than 38 digits."""
    votes = frame("votes", [vote()] * 3).with_columns(**columns).collect()
    frames: dict[str, Any] = {
        f"fpp_{name}": [frame(name, rows).collect()] for name, rows in SAMPLE.items()
    }
    rooms = votes["room_id"].dtype
    estimations = frames["fpp_estimations"][0].with_columns(
        pl.lit(2**31 if rooms != pl.UInt64 else 2**64 - 1)
        .cast(pl.UInt64)
        .alias("room_id")
    )
    publish_frames(
        data_dir,
        TAKEN_AT - timedelta(hours=1),
        frames | {"fpp_votes": [votes], "fpp_estimations": [estimations]},
    )
    for route in (
        "/",
        "/?from=2024-06-03&to=2024-08-01&compare=previous",
        "/daily-analytics?period=30d",
        "/room/1/stats",
        "/historical.csv",
        "/?filter=room_state:deleted",
        "/breakdown/room",
        "/rooms/1",
    ):
        got = client.get(route)
        assert got.status_code == 200, (route, got.text)
    if "room_id" in columns:
        found = {row["room_id"]: row for row in client.get("/rooms").json()["rows"]}
        assert found[2**64 - 1]["votes"] == 3
    if "amount_of_estimations" in columns:
        body = client.get("/").json()["data"]["votes"]
        assert body["total_estimations"] == 3 * (2**64 - 1)
    if "avg_estimation" in columns:
        body = client.get("/").json()["data"]["votes"]
        assert body["avg_estimation"] == body["avg_max_estimation"] == 1e36
