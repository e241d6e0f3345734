"""examples/events-service: the calls of its clients, over history and new events."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from psycopg.rows import dict_row

from demo.example_stack import RunningExample
from readmodel.store.snapshot import latest
from testbed.postgres import Database
from tests.support.examples import client_of, example_running

pytestmark = [
    pytest.mark.external,
    pytest.mark.long(
        "tests/examples/test_ai_platform.py::test_clients_get_their_number"
    ),
]

NAME = "events-service"
WAIT_SECONDS = 60

type Event = dict[str, Any]


@pytest.fixture(scope="module")
def started(
    example_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningExample]:
    """The example in a zone other than UTC, where the original was wrong."""
    settings = {"TIMEZONE": "America/New_York", "EVENTS_INTERVAL_SECONDS": "0.2"}
    folder = tmp_path_factory.mktemp(NAME)
    with example_running(NAME, folder, example_database, **settings) as started:
        yield started


@pytest.fixture(scope="module")
def api(started: RunningExample) -> Iterator[httpx.Client]:
    """A client of the API with the token."""
    with client_of(started) as client:
        yield client


@pytest.fixture(scope="module")
def collector(started: RunningExample) -> Iterator[httpx.Client]:
    """A client of the collector with the token."""
    assert started.collector_url
    headers = {"Authorization": f"Bearer {started.token}"}
    with httpx.Client(base_url=started.collector_url, headers=headers) as client:
        yield client


def get(api: httpx.Client, address: str, **parameters: Any) -> Any:
    """The JSON of a call that succeeds."""
    got = api.get(address, params=parameters)
    assert got.status_code == 200, got.text
    return got.json()


@pytest.fixture(scope="module")
def events(api: httpx.Client, example_database: Database) -> list[Event]:
    """All events, by another way: the rows of PostgreSQL and the export of the API."""
    with example_database.connect(row_factory=dict_row) as connection:
        found: list[Event] = connection.execute(  # type: ignore[assignment]
            b'SELECT event_id, user_id, event_name, metadata, "timestamp" AS at FROM events'
        ).fetchall()
    history = len(found)
    listed = get(api, "/views")
    assert "event_history" in [view["name"] for view in listed["views"]]
    assert listed["errors"] == []
    total = get(api, "/analytics/top-events", limit=1000)["top_events"]
    new = sum(row["count"] for row in total) - history
    assert new > 100
    return found


def sent(
    collector: httpx.Client, api: httpx.Client, user: str, *events: Event
) -> list[str]:
    """Send events of one user, and wait until they count; the ids that were told."""
    told = []
    for event in events:
        answer = collector.post("/events", json={"user_id": user, **event})
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "accepted"
        told.append(answer.json()["event_id"])
    until = time.monotonic() + WAIT_SECONDS
    path = f"/analytics/user/{quote(user, '')}/events"
    while len(get(api, path, limit=1000)["events"]) < len(events):
        assert time.monotonic() < until
        time.sleep(0.1)
    return told


def users_since(events: Sequence[Event], since: datetime, until: datetime) -> set[str]:
    """Those with an event in a window."""
    return {
        e["user_id"]
        for e in events
        if e["at"] and e["user_id"] and since <= e["at"] <= until
    }


def test_count_includes_both_ends(api: httpx.Client, events: list[Event]) -> None:
    """Of the history; without an offset it is UTC, whatever the zone is."""
    at = sorted(e["at"] for e in events if e["at"])
    first, last = at[10].astimezone(UTC), at[99].astimezone(UTC)
    expected = {"count": sum(first <= a <= last for a in at)}
    for one, two in (
        (first.isoformat(), last.isoformat()),
        (f"{first:%Y-%m-%dT%H:%M:%S.%f}", f"{last:%Y-%m-%d %H:%M:%S.%f}"),
    ):
        assert get(api, "/analytics/events/count", from_ts=one, to_ts=two) == expected
    instant = first.isoformat()
    counted = get(api, "/analytics/events/count", from_ts=instant, to_ts=instant)
    assert counted == {"count": at.count(at[10])}


def test_top_events_are_of_all_time(api: httpx.Client, events: list[Event]) -> None:
    """History and new events together, the most frequent first, ties by name."""
    top = get(api, "/analytics/top-events")["top_events"]
    assert len(top) == 5
    assert top == sorted(top, key=lambda row: (-row["count"], row["event_name"]))
    history = Counter(e["event_name"] for e in events)
    assert all(row["count"] > history[row["event_name"]] for row in top)
    assert get(api, "/analytics/top-events", limit=1)["top_events"] == top[:1]


def test_a_users_events_are_the_newest_first(
    api: httpx.Client, events: list[Event]
) -> None:
    """Metadata are objects, times in UTC; a null time is null and not a 500."""
    (timeless, *_) = [e for e in events if e["at"] is None and e["user_id"]]
    user = timeless["user_id"]
    answer = get(api, f"/analytics/user/{user}/events", limit=1000)
    assert answer["user_id"] == user
    times = [e["timestamp"] for e in answer["events"]]
    known = [t for t in times if t is not None]
    assert known == sorted(known, reverse=True)
    assert times[-1] is None
    assert all(t.endswith("Z") for t in known)
    old = next(e for e in events if e["user_id"] == user and e["metadata"] and e["at"])
    assert {
        "event_name": old["event_name"],
        "metadata": old["metadata"],
        "timestamp": f"{old['at'].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    } in answer["events"]
    newest = get(api, f"/analytics/user/{user}/events")
    assert newest["events"] == answer["events"][:10]
    assert isinstance(newest["events"][0]["metadata"], dict)


def test_an_unknown_user_has_no_events(api: httpx.Client) -> None:
    """Whatever the name is."""
    for name in ("nobody", "o'Brien", "a%2Fb".replace("%2F", "-"), "猫"):
        path = f"/analytics/user/{quote(name, '')}/events"
        assert get(api, path) == {"user_id": name, "events": []}


def test_windows_mean_what_they_say(
    api: httpx.Client,
    collector: httpx.Client,
    started: RunningExample,
    events: list[Event],
) -> None:
    """The original took 30m for 1h, 7d for 24h, and New York's clock for UTC's."""
    now = datetime.now(UTC)
    for age in (-5, 29, 31, 59, 61, 1439, 1441, 2879, 2881):
        at = (now - timedelta(minutes=age)).isoformat()
        sent(collector, api, f"aged {age}", {"event_name": "seen", "timestamp": at})
    stored = latest(Path(started.settings["DATA_DIR"])).scan("events").collect()
    assert stored.height > 400
    every = [*events, *stored.rows(named=True)]
    seen = []
    for window, minutes in (("30m", 30), ("1h", 60), ("24h", 1440), ("7d", 10_080)):
        span, before = timedelta(minutes=minutes), datetime.now(UTC)
        answer = get(api, "/analytics/users/active", window=window)
        after = datetime.now(UTC)
        counts = {len(users_since(every, at - span, at)) for at in (before, after)}
        assert answer == {"active_users": answer["active_users"], "window": window}
        assert answer["active_users"] in counts
        seen.append(answer["active_users"])
    assert seen == sorted(set(seen))
    assert get(api, "/analytics/users/active")["window"] == "24h"


def test_days_are_counted_over_history_and_new_events(api: httpx.Client) -> None:
    """As many as the range of these days has; events of the future are in none."""
    rows = get(api, "/reports/active_users_by_day", days=90)["rows"]
    now = datetime.now(UTC)
    span = {"from_ts": (now - timedelta(days=89)).isoformat(), "to_ts": now.isoformat()}
    counted = get(api, "/analytics/events/count", **span)
    assert sum(row["events"] for row in rows) == counted["count"]
    assert max(row["active_users"] for row in rows) > 5


def test_the_page_has_all_that_it_asks_for(api: httpx.Client) -> None:
    """Its section of events shows the history, too."""
    week = {"window": "7d"}
    over_time = get(api, "/reports/events_over_time", names=8, **week)["rows"]
    (top,) = get(api, "/reports/top_events", limit=10, **week)["rows"]
    counts = Counter(row["name"] for row in over_time for _ in range(row["events"]))
    assert {n["event_name"]: n["count"] for n in top["top_events"]}.items() <= {
        **counts
    }.items()
    assert len({row["at"] for row in over_time}) >= 7
    newest = get(api, "/reports/newest_events", limit=5)["rows"]
    assert len(newest) == 5
    assert isinstance(newest[0]["properties"], dict)


@pytest.mark.parametrize(
    ("address", "parameters"),
    [
        ("/analytics/events/count", {}),
        ("/analytics/events/count", {"from_ts": "2026-01-01"}),
        ("/analytics/events/count", {"from_ts": "yesterday", "to_ts": "2026-01-01"}),
        ("/analytics/top-events", {"limit": "-1"}),
        ("/analytics/top-events", {"limit": "0"}),
        ("/analytics/top-events", {"limit": "99999999999999999999"}),
        ("/analytics/top-events", {"limit": "1; DROP TABLE events"}),
        ("/analytics/users/active", {"window": "h"}),
        ("/analytics/users/active", {"window": "0h"}),
        ("/analytics/users/active", {"window": "-5h"}),
        ("/analytics/users/active", {"window": "1w"}),
        ("/analytics/users/active", {"window": ""}),
        ("/analytics/user/user-1/events", {"limit": "-1"}),
        ("/analytics/user/user-1/events", {"limit": "1001"}),
        ("/analytics/user/user-1/events", {"other": "1"}),
    ],
)
def test_bad_input_is_422_and_shows_no_sql(
    api: httpx.Client, address: str, parameters: dict[str, str]
) -> None:
    """With the parameter that is wrong; the original answered 500 with its SQL."""
    got = api.get(address, params=parameters)
    assert got.status_code == 422
    assert got.json()["detail"]
    assert "SELECT" not in got.text


def test_fifty_requests_at_once_are_answered(api: httpx.Client) -> None:
    """Different ones; of the original's, the eleventh failed."""

    def ask(number: int) -> httpx.Response:
        return api.get(f"/analytics/user/user-{number}/events", params={"limit": 3})

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(ask, range(50)))
    assert {answer.status_code for answer in answers} == {200}
    for number, answer in enumerate(answers):
        assert answer.json()["user_id"] == f"user-{number}"
        assert "cached" not in answer.json()


def test_health_and_other_calls_are_answered_meanwhile(api: httpx.Client) -> None:
    """Reports run in a process of their own, so they stop nothing."""
    with ThreadPoolExecutor(20) as threads:
        waiting = [
            threads.submit(api.get, "/analytics/top-events", params={"limit": n})
            for n in range(1, 21)
        ]
        assert get(api, "/health")["status"] == "ok"
        assert not all(each.done() for each in waiting)
        assert {each.result().status_code for each in waiting} == {200}


def test_an_acknowledged_event_is_stored_once_under_its_id(
    api: httpx.Client, collector: httpx.Client
) -> None:
    """Two equal events without an id are two; a repeated one with an id is one."""
    at = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    event = {"event_name": "buy", "metadata": {"größe": [1, None]}, "timestamp": at}
    twin = {**event, "event_id": "e-1"}
    told = sent(collector, api, "twin", twin, event, event)
    newest = get(api, "/reports/newest_events", limit=1000, name="buy")["rows"]
    stored = {row["event_id"] for row in newest if row["user_id"] == "twin"}
    assert stored == set(told)
    again = collector.post("/events", json={"user_id": "twin", **twin})
    assert again.json()["event_id"] == "e-1"
    sent(collector, api, "after", {"event_name": "x"})
    found = get(api, "/analytics/user/twin/events")["events"]
    assert [e["metadata"] for e in found] == [{"größe": [1, None]}] * 3


def test_an_event_of_both_ways_counts_once(
    api: httpx.Client, collector: httpx.Client, events: list[Event]
) -> None:
    """While the earlier consumer still runs."""
    recent = max(
        (e for e in events if e["at"] and e["at"].year < 2099), key=lambda e: e["at"]
    )
    span = {"from_ts": recent["at"].isoformat(), "to_ts": recent["at"].isoformat()}
    before = get(api, "/analytics/events/count", **span)
    event = {"event_id": recent["event_id"], "timestamp": recent["at"].isoformat()}
    answer = collector.post(
        "/events", json={"user_id": recent["user_id"], "event_name": "x", **event}
    )
    assert answer.status_code == 202
    sent(collector, api, "later", {"event_name": "x"})
    assert get(api, "/analytics/events/count", **span) == before


def test_rejected_events_are_kept_with_their_reasons(api: httpx.Client) -> None:
    """The original lost them."""
    counts = get(api, "/events/rejected")["counts"]
    assert counts == {"name": 1, "time": 1, "clock": 1}


def test_every_call_wants_a_token(started: RunningExample) -> None:
    """The original wanted none."""
    for path in ("/analytics/top-events", "/analytics/users/active", "/metrics"):
        assert httpx.get(f"{started.url}{path}").status_code == 401
    body = {"user_id": "u", "event_name": "x"}
    refused = httpx.post(f"{started.collector_url}/events", json=body)
    assert refused.status_code == 401


def test_metrics_count_events_and_requests(
    api: httpx.Client, collector: httpx.Client
) -> None:
    """By route, not by what callers send."""
    text = api.get("/metrics").text
    assert 'route="/analytics/user/{user_id}/events"' in text
    assert "user-1" not in text
    assert "fpp_events_accepted_total" in collector.get("/metrics").text


def test_unchanged_answers_are_304(api: httpx.Client) -> None:
    """Instead of a cache that is up to a minute old."""
    span = {"from_ts": "2000-01-01", "to_ts": "2001-01-01"}
    first = api.get("/analytics/events/count", params=span)
    headers = {"If-None-Match": first.headers["etag"]}
    again = api.get("/analytics/events/count", params=span, headers=headers)
    assert again.status_code == 304
