"""Fill the table of the earlier service at SOURCE_URL, and send events to COLLECTOR_URL.

The history ends two days ago, the new events now. The same end (SAMPLE_END, else now)
gives the same events.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx
import psycopg

TABLE = b"""
CREATE TABLE events (
    event_id text PRIMARY KEY,
    user_id text,
    event_name text,
    metadata jsonb,
    "timestamp" timestamptz,
    processed_at timestamptz DEFAULT now()
)
"""
NAMES = ("page_view", "login", "purchase", "search", "logout", "add_to_cart")
WEIGHTS = (40, 15, 5, 20, 10, 10)
HISTORY_DAYS = 60
CUT = timedelta(days=2)
"""When the products began to send to the collector."""


def main() -> None:
    """Write the history, then send the new events."""
    text = os.environ.get("SAMPLE_END")
    end = datetime.fromisoformat(text) if text else datetime.now(UTC)
    random = Random(8002)
    with psycopg.connect(os.environ["SOURCE_URL"]) as connection:
        connection.execute(TABLE)
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO events (event_id, user_id, event_name, metadata, "
                '"timestamp", processed_at) VALUES (%s, %s, %s, %s, %s, %s)',
                list(history(random, end)),
            )
    token = {"Authorization": f"Bearer {os.environ['COLLECTOR_TOKEN']}"}
    url = f"{os.environ['COLLECTOR_URL']}/events"
    with httpx.Client(headers=token, timeout=30) as client:
        for batch in batches(random, end):
            client.post(url, json=batch).raise_for_status()


def history(random: Random, end: datetime) -> Iterator[tuple[Any, ...]]:
    """Rows of the earlier table; some without time, metadata or user, one of 2099."""
    start, last = end - timedelta(days=HISTORY_DAYS), end - CUT
    at = start
    number = 0
    while at < last:
        number += 1
        (name,) = random.choices(NAMES, WEIGHTS)
        user = f"user-{int(random.triangular(1, 80, 1))}"
        metadata = json.dumps({"n": number}) if number % 9 else None
        event_id = hashlib.sha256(f"{user}|{name}|{number}".encode()).hexdigest()
        stated = at if number % 211 else None
        who = user if number % 97 else None
        yield event_id, who, name, metadata, stated, at + timedelta(seconds=1)
        at += timedelta(minutes=random.expovariate(1 / 40))
    future = datetime(2099, 1, 1, tzinfo=UTC)
    yield "future", "time-traveller", "page_view", "{}", future, last


def batches(random: Random, end: datetime) -> Iterator[list[dict[str, Any]]]:
    """New events, a hundred at a time; the last batch has three that are wrong."""
    batch: list[dict[str, Any]] = []
    at = end - CUT
    while at < end:
        (name,) = random.choices(NAMES, WEIGHTS)
        event = {
            "user_id": f"user-{int(random.triangular(1, 80, 1))}",
            "event_name": name,
            "metadata": {"source": random.choice(("web", "app")), "größe": 1.5},
            "timestamp": at.isoformat(),
        }
        batch.append(event)
        if len(batch) == 100:
            yield batch
            batch = []
        at += timedelta(minutes=random.expovariate(1 / 6))
    wrong: list[dict[str, Any]] = [
        {"user_id": "user-1", "timestamp": end.isoformat()},
        {"user_id": "user-1", "event_name": "login", "timestamp": "yesterday"},
        {"user_id": "user-1", "event_name": "login", "timestamp": "2099-01-01"},
    ]
    yield [*batch, *wrong]


if __name__ == "__main__":
    main()
