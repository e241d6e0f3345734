"""From MySQL to answers, with the real database, updater and server."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from testbed import schema
from testbed.mariadb import Database
from testbed.schema import Row
from tests.support.effort import by_effort, some_long
from tests.support.oracle import Database as Rows
from tests.support.oracle import Oracle
from tests.support.programs import api, repeating_updater, run_updater

pytestmark = pytest.mark.external

TOKEN = "end-to-end"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
SNAPSHOTS_SEEN = by_effort(3, 6)
TIMEOUT_SECONDS = 90.0


def settings(database: Database, data_dir: Path, **more: str) -> dict[str, str]:
    """Return the settings of both programs."""
    return {
        **database.environ(),
        "DATA_DIR": str(data_dir),
        "ANALYTICS_SECRET_TOKEN": TOKEN,
        **more,
    }


def as_rows(tables: Mapping[str, Sequence[Row]]) -> Rows:
    """Convert inserted rows to those of the oracle."""
    return {
        table.removeprefix("fpp_"): [
            dict(zip(schema.TABLES[table], row, strict=True))
            for row in schema.expected(rows)
        ]
        for table, rows in tables.items()
    }


@pytest.mark.parametrize(
    ("server_zone", "zone"),
    some_long(
        [
            *[
                ("-09:30", "Europe/Berlin"),
                ("+00:00", "UTC"),
                ("+13:00", "Asia/Kathmandu"),
            ]
        ]
    ),
)
def test_every_endpoint_equals_the_definitions(
    adjustable_database: Database, tmp_path: Path, server_zone: str, zone: str
) -> None:
    """Random rows, in any time zone of the database server and of the statistics."""
    database = adjustable_database
    with closing(database.connect()) as connection:
        schema.create_mysql(connection)
        rows = as_rows(schema.fill(connection, seed=len(zone), count=400))
    configured = settings(database, tmp_path / "data", TIMEZONE=zone)
    with database.global_variable("time_zone", server_zone):
        done = run_updater(configured)
    assert done.returncode == 0, done.stderr
    now = datetime.now(UTC)
    oracle = Oracle(rows, date(2024, 6, 3), now, ZoneInfo(zone))
    with api(configured) as address:
        answer = httpx.get(f"{address}/", headers=HEADERS).json()["data"]
        assert answer == json.loads(json.dumps(oracle.answer(), default=str))
        daily = httpx.get(f"{address}/daily-analytics", headers=HEADERS).json()
        assert daily == oracle.daily()
        for room in (1, 7, 19, 20):
            stats = httpx.get(f"{address}/room/{room}/stats", headers=HEADERS).json()
            assert stats == oracle.room(room)


def test_readers_get_one_snapshot_each_while_syncs_rewrite_the_tables(
    database: Database, tmp_path: Path
) -> None:
    """Rows inserted together are always seen together, and every answer is 200."""
    with closing(database.connect()) as connection:
        schema.create_mysql(connection)
    configured = settings(database, tmp_path / "data")
    assert run_updater(configured).returncode == 0
    stop = threading.Event()
    problems: list[str] = []
    seen: set[int] = set()
    writer = threading.Thread(target=_write, args=(database, stop))
    with api(configured) as address:
        readers = [
            threading.Thread(target=_read, args=(address, stop, seen, problems))
            for _ in range(4)
        ]
        with repeating_updater(configured, 0.2):
            for thread in (writer, *readers):
                thread.start()
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while len(seen) < SNAPSHOTS_SEEN and time.monotonic() < deadline:
                time.sleep(0.1)
            stop.set()
            for thread in (writer, *readers):
                thread.join()
    assert problems == []
    assert len(seen) >= SNAPSHOTS_SEEN, "too few snapshots for this to mean much"


def _write(database: Database, stop: threading.Event) -> None:
    """Replace all rows of three tables repeatedly, with equally many rows in each."""
    at = schema.naive_utc(2025, 1, 15, 12)
    new: dict[str, Callable[[int], Row]] = {
        "fpp_votes": lambda n: (n, 1, "3.00", 5, 1, 1, 0, 60, at),
        "fpp_page_views": lambda n: (n, "ada", None, "HOME", None, at),
        "fpp_events": lambda n: (n, "ada", "LEFT_ROOM", at),
    }
    with closing(database.connect(autocommit=False)) as connection:
        cursor = connection.cursor()
        count = 0
        while not stop.is_set():
            count += 7
            for table, row in new.items():
                cursor.execute(f"DELETE FROM {table}")
                rows = [row(n) for n in range(1, count % 500 + 2)]
                cursor.executemany(schema.insert(table), rows)
            connection.commit()


def _read(
    address: str, stop: threading.Event, seen: set[int], problems: list[str]
) -> None:
    with httpx.Client(base_url=address, headers=HEADERS, timeout=60) as client:
        while not stop.is_set():
            answer = client.get("/")
            if answer.status_code != 200:
                problems.append(f"{answer.status_code} {answer.text[:200]}")
                continue
            totals = _totals(answer.json()["data"])
            seen.add(totals[0])
            if len(set(totals)) > 1:
                problems.append(f"torn: {totals}")


def _totals(data: Any) -> list[int]:
    """Return the number of rows from five places of the answer."""
    history = data["historical"]
    return [
        data["votes"]["total_votes"],
        data["votes"]["total_estimations"],
        data["traffic"]["page_views"],
        data["behaviour"]["events"].get("LEFT_ROOM", 0),
        history[-1]["acc_votes"] if history else 0,
    ]


def test_service_begins_with_the_first_snapshot(
    database: Database, tmp_path: Path
) -> None:
    """503 until then, 200 after it, without a restart."""
    with closing(database.connect()) as connection:
        schema.create_mysql(connection)
    configured = settings(database, tmp_path / "data")
    with api(configured) as address:
        early = httpx.get(f"{address}/", headers=HEADERS)
        assert (early.status_code, "Retry-After" in early.headers) == (503, True)
        assert httpx.get(f"{address}/health").status_code == 503
        assert run_updater(configured).returncode == 0
        assert httpx.get(f"{address}/", headers=HEADERS).status_code == 200
        health = httpx.get(f"{address}/health").json()
    assert health["status"] == "ok"
    taken = datetime.fromisoformat(health["components"]["freshness"]["data_updated_at"])
    assert abs(datetime.now(UTC) - taken) < timedelta(minutes=1)
