"""A learning platform: the old service's table of events, and events sent since then.

It writes the table to the database at SOURCE_URL, and sends the events to COLLECTOR_URL
with COLLECTOR_TOKEN. The same instant, SAMPLE_NOW or else now, gives the same rows and
events, with the same ids.
"""

import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any, Final

CHANGED_DAYS_AGO: Final = 12
"""When the old service was replaced."""

HISTORY_DAYS: Final = 150
BATCH: Final = 500
USERS: Final = tuple(
    f"{number:08x}-5d1f-4c1e-9a61-3f0c5e7d2b10" for number in range(80)
)
PAGES: Final = (
    *("/", "/courses", "/courses/python", "/courses/sql", "/courses/drawing"),
    *("/lessons/loops", "/lessons/joins", "/lessons/light", "/search", "/account"),
    *("/prices", "/about"),
)
QUERIES: Final = ("loops", "window functions", "=1+1", "light and shadow", "")
FORMULA: Final = '=HYPERLINK("https://evil.example.org","click")'

TABLE: Final = """
CREATE TABLE events (
    id SERIAL PRIMARY KEY,
    ts TIMESTAMPTZ NOT NULL,
    user_id VARCHAR(36) NOT NULL,
    type VARCHAR(50) NOT NULL,
    src VARCHAR(100),
    payload JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""
"""As the old service created it."""

type Event = dict[str, Any]


def history(now: datetime) -> list[Event]:
    """The rows of the old table, in the order of their ids."""
    chance = random.Random(180)
    found = [
        event
        for day in range(HISTORY_DAYS, CHANGED_DAYS_AGO, -1)
        for event in _day(chance, now, day, visits=6)
    ]
    return sorted(found, key=lambda event: event["ts"])


def events(now: datetime) -> list[Event]:
    """What clients have sent since the change, up to *now*, the oldest first."""
    chance = random.Random(181)
    found = [
        event
        for day in range(CHANGED_DAYS_AGO, -1, -1)
        for event in _day(chance, now, day, visits=16)
    ]
    found.sort(key=lambda event: event["ts"])
    return [_as_sent(number, event) for number, event in enumerate(found)]


def awkward_events(now: datetime) -> list[Event]:
    """Good ones among bad ones, for which the old service refused or lost the batch."""
    at = (now - timedelta(minutes=20)).isoformat()
    plain = {"ts": at, "user_id": USERS[0], "type": "page_view", "payload": {}}
    return [
        {**plain, "id": "awkward-formula", "type": FORMULA, "src": "+1"},
        {**plain, "id": "awkward-long-user", "user_id": "u" * 300},
        {**plain, "id": "awkward-long-type", "type": "t" * 60},
        {**plain, "id": "awkward-nul", "payload": {"text": "a\0b"}},
        {**plain, "id": "awkward-no-payload", "payload": [1]},
        {**plain, "id": "awkward-no-type", "type": None},
        {**plain, "id": "awkward-time", "ts": "yesterday"},
        {**plain, "id": "awkward-unknown", "unknown": "dropped"},
        {**plain, "id": "awkward-future", "ts": (now + timedelta(days=1)).timestamp()},
    ]


def _as_sent(number: int, event: Event) -> Event:
    """An event as a client sends it: its time in one of the forms, `src` if it has one."""
    at = event["ts"]
    forms = (at.isoformat(), at.replace(tzinfo=None).isoformat(), at.timestamp())
    sent = {**event, "id": f"sample-{number:05}", "ts": forms[number % len(forms)]}
    return {name: value for name, value in sent.items() if value is not None}


def _day(
    chance: random.Random, now: datetime, day: int, visits: int
) -> Iterator[Event]:
    """The events of the *day* before now; 0 is the last one."""
    for _ in range(round(visits * chance.uniform(0.5, 1.5))):
        hours = timedelta(hours=chance.choices(range(24), [1] * 6 + [3] * 18)[0])
        ago = timedelta(days=day) + hours + timedelta(minutes=chance.uniform(12, 50))
        yield from _visit(chance, now - ago)


def _visit(chance: random.Random, at: datetime) -> Iterator[Event]:
    """A user looks at pages, and perhaps learns something."""
    user = chance.choices(USERS, [len(USERS) + 9 - n for n in range(len(USERS))])[0]
    src = chance.choice(["web_app", "web_app", "mobile_app", None])
    for page in chance.choices(PAGES, range(len(PAGES), 0, -1), k=chance.randint(1, 4)):
        yield _event(at, user, src, "page_view", page=page)
        at += timedelta(seconds=chance.uniform(2, 20))
    for kind, share, payload in (
        ("button_click", 0.5, {"button": "start"}),
        ("form_submit", 0.1, {"form": "feedback", "text": FORMULA}),
        ("search_query", 0.3, {"query": chance.choice(QUERIES)}),
        ("video_play", 0.5, _played(chance)),
        ("course_complete", 0.1, {"course_id": "python"}),
        ("error_occurred", 0.05, {"message": "404", "ünïcode": "☃"}),
    ):
        if chance.random() < share:
            yield _event(at, user, src, kind, **payload)
            at += timedelta(seconds=chance.uniform(2, 40))


def _played(chance: random.Random) -> Mapping[str, Any]:
    lesson = chance.choice(("loops", "joins", "light"))
    return {"lesson_id": lesson, "watched_seconds": chance.randrange(10, 600)}


def _event(
    at: datetime, user: str, src: str | None, kind: str, **payload: object
) -> Event:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    return {"ts": at, "user_id": user, "type": kind, "src": src, "payload": payload}


def write_history(url: str, rows: Sequence[Event]) -> None:
    """Create the table in the database at *url* and fill it, unless it is there."""
    import psycopg

    with psycopg.connect(url) as connection:
        (found,) = connection.execute("SELECT to_regclass('events')").fetchone() or ()
        if found is not None:
            return
        connection.execute(TABLE)
        copy = "COPY events (ts, user_id, type, src, payload) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(copy) as target:
            for row in rows:
                target.write_row((*list(row.values())[:4], json.dumps(row["payload"])))


def send(url: str, bearer: str, sent: Sequence[Event]) -> int:
    """Send events to the collector at *url*; returns how many it has accepted."""
    import httpx

    accepted = 0
    headers = {"Authorization": f"Bearer {bearer}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        for batch in batched(sent, BATCH):
            answer = client.post("/api/analytics/ingest", json=batch)
            accepted += answer.raise_for_status().json()["ingested"]
    return accepted


def main() -> None:
    """Write the table and send the events."""
    until = os.environ.get("SAMPLE_NOW")
    now = datetime.fromisoformat(until) if until else datetime.now(UTC)
    old, new = history(now), [*events(now), *awkward_events(now)]
    write_history(os.environ["SOURCE_URL"], old)
    accepted = send(os.environ["COLLECTOR_URL"], os.environ["COLLECTOR_TOKEN"], new)
    print(f"Wrote {len(old):,} old events; {accepted:,} of {len(new):,} were accepted")


if __name__ == "__main__":
    main()
