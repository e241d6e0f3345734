"""`GET /`: every section of one snapshot equals the reference implementation."""

import json
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from routers.responses import encode
from routers.routes.analytics import AnalyticsAnswer
from tests.routers.conftest import client_of, make_settings
from tests.support.effort import some_long
from tests.support.frames import EMPTY, NOW, START
from tests.support.oracle import Database, Oracle
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import damage_manifest, publish


def expected(database: Database, start: date = START, zone: str = "UTC") -> object:
    """The answer of the reference implementation, as JSON."""
    answer = Oracle(database, start, NOW, ZoneInfo(zone)).answer()
    return json.loads(json.dumps(answer, default=date.isoformat))


@pytest.mark.parametrize(
    "zone", some_long(["UTC", "Europe/Berlin", "Asia/Kathmandu"], 3)
)
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_answer_equals_the_reference_implementation(
    data_dir: Path, zone: str, parts: int
) -> None:
    """Neither the zone nor the number of parts per table matters."""
    publish(data_dir, SAMPLE, TAKEN_AT, parts)
    with client_of(make_settings(data_dir=data_dir, timezone=zone)) as client:
        answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json()["data"] == expected(SAMPLE, zone=zone)


def test_data_updated_at_is_the_instant_of_the_snapshot(
    read_model: Path, client: TestClient
) -> None:
    """The timestamp is in UTC."""
    assert read_model.exists()
    assert client.get("/").json()["data_updated_at"] == "2024-08-01T15:27:00Z"


def test_empty_tables_give_zeros(data_dir: Path, client: TestClient) -> None:
    """No NaN, and no null except moving averages without a full window."""
    publish(data_dir, EMPTY, TAKEN_AT)
    answer = client.get("/")
    assert answer.json()["data"] == expected(EMPTY)
    assert "NaN" not in answer.text


def test_a_start_in_the_future_lists_no_days(data_dir: Path) -> None:
    """Totals do not change."""
    publish(data_dir, SAMPLE, TAKEN_AT)
    start = date(2030, 1, 1)
    with client_of(make_settings(data_dir=data_dir, start_date=start)) as client:
        answer = client.get("/").json()["data"]
    assert answer == expected(SAMPLE, start)
    assert answer["historical"] == answer["reoccurring"] == []


def test_files_of_the_earlier_system_are_served(
    data_dir: Path, client: TestClient
) -> None:
    """Plain Parquet files, whose naive timestamps are UTC."""
    snapshot = publish(data_dir / "made", SAMPLE, TAKEN_AT)
    for name in SAMPLE:
        table = snapshot.scan(f"fpp_{name}").collect()
        naive = table.with_columns(
            table.select(
                column.dt.replace_time_zone(None)
                for column in table
                if column.dtype.is_temporal()
            )
        )
        naive.write_parquet(data_dir / f"fpp_{name}.parquet")
    answer = client.get("/")
    assert answer.json()["data"] == expected(SAMPLE)


@pytest.mark.parametrize(
    "path", ["/", "/?period=7d&compare=previous", "/?sections=reoccurring,historical"]
)
@pytest.mark.parametrize("database", [SAMPLE, EMPTY], ids=["sample", "empty"])
def test_the_body_equals_the_serialised_model(
    data_dir: Path, client: TestClient, path: str, database: Database
) -> None:
    """Byte for byte, though Polars encodes most of it."""
    publish(data_dir, database, TAKEN_AT)
    body = client.get(path).content
    assert encode(AnalyticsAnswer.model_validate_json(body)) == body


def test_an_answer_follows_the_snapshot(data_dir: Path, client: TestClient) -> None:
    """Cached plans belong to one snapshot, and each request reads its files."""
    publish(data_dir, EMPTY, TAKEN_AT)
    assert client.get("/").json()["data"] == expected(EMPTY)
    publish(data_dir, SAMPLE, TAKEN_AT + timedelta(minutes=10))
    assert client.get("/").json()["data"] == expected(SAMPLE)


def test_deleted_visits_do_not_change_the_answer(
    read_model: Path, client: TestClient
) -> None:
    """They are derived from their tables."""
    before = client.get("/").json()
    for copy in read_model.glob("current/*.visits/*.parquet"):
        copy.unlink()
    assert client.get("/").json() == before


def test_a_manifest_damaged_between_two_requests_is_noticed(
    read_model: Path, client: TestClient
) -> None:
    """It is parsed once, but checked on each request."""
    assert client.get("/").status_code == 200
    whole = (read_model / "current" / "snapshot.json").read_bytes()
    damage_manifest(read_model / "current")
    assert client.get("/").status_code == 503
    damage_manifest(read_model / "current", whole)
    assert client.get("/").status_code == 200
