"""The OctaneBrew example: a topic of Kafka, the seven reports, and SQL, as its clients ask."""

import json
import math
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.example import find_example
from readmodel.store import snapshot
from readmodel.sync.retention import apply_retention
from tests.support import preloaded
from tests.support.examples import load_module
from tests.support.kafka import Broker, broker_process
from tests.support.programs import ROOT, api, environ, run_updater
from tests.support.servers import closed_port
from tests.support.stored_events import actions, event_ids, rows
from tests.support.video_oracle import Event, VideoReports, accepted

pytestmark = [
    pytest.mark.external,
    pytest.mark.long(
        "tests/examples/test_ai_platform.py::test_clients_get_their_number"
    ),
]

EXAMPLE = ROOT / "examples" / "octanebrew"
KEY = "key-of-the-video-platform-0123456789"
OPERATOR = "token-of-the-operators-0123456789"
VIEWER = "token-of-a-reader-0123456789abcdef"
TOPIC = "octane.events"

type Row = dict[str, Any]


sample = load_module(EXAMPLE / "sample_data.py")


@dataclass
class Stack:
    """A broker with the topic, an API, and the folder that updaters write."""

    broker: Broker
    data_dir: Path
    settings: Mapping[str, str]
    client: httpx.Client
    sent: list[tuple[bytes, datetime]]
    metrics_port: int
    _accepted: list[Event] = field(default_factory=list)
    _judged: int = 0

    def produce(self, *events: Row) -> None:
        """Send events, and wait until they are stored."""
        count = rows(self.data_dir, "events").height + len(events)
        self.sent += [(json.dumps(e).encode(), datetime.now(UTC)) for e in events]
        self.broker.send(TOPIC, events, partition=-1)
        wait_until(lambda: rows(self.data_dir, "events").height >= count)

    def report(self, template: str, **params: object) -> list[Row]:
        """The rows of a report."""
        answer = self.post("/report", {"template": template, "params": params})
        assert answer.status_code == 200, answer.text
        found: list[Row] = answer.json()
        return found

    def query(self, sql: str) -> list[Row]:
        """The rows of a SELECT."""
        answer = self.post("/query", {"sql": sql})
        assert answer.status_code == 200, answer.text
        found: list[Row] = answer.json()
        return found

    def post(self, path: str, body: object) -> httpx.Response:
        """Call it as the old client does."""
        return self.client.post(path, json=body)

    @property
    def accepted(self) -> list[Event]:
        """The events of all messages."""
        if len(self.sent) != self._judged:
            self._accepted = accepted(self.sent, datetime.now(UTC))
            self._judged = len(self.sent)
        return self._accepted

    def oracle(self, now: datetime) -> VideoReports:
        """What the reports must say."""
        return VideoReports(self.accepted, now, sample.APP)


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so; fail if it takes longer than *seconds*."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)


def start_updater(settings: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start the updater as it runs in production."""
    return preloaded.start(
        [str(ROOT / "update_readmodel.py"), "--every", "600"],
        env=environ(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def metric(port: int, name: str) -> float:
    """A metric of the updater; NaN while it does not answer."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return math.nan
    found = (line.split() for line in text.splitlines() if line[:1] != "#")
    return next((float(value) for key, value in found if key == name), math.nan)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The example with its sample, after a bad start.

    Kafka is away when the updater starts, and the updater is killed while it reads.
    """
    folder, port, metrics_port = (
        tmp_path_factory.mktemp("octane"),
        closed_port(),
        closed_port(),
    )
    settings = {
        **find_example("octanebrew").settings,
        "VIEWS_DIR": str(EXAMPLE / "sql"),
        "DATA_DIR": str(folder / "data"),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        "FLUSH_INTERVAL": "0.2",
        "METRICS_PORT": str(metrics_port),
        "ANALYTICS_SECRET_TOKEN": OPERATOR,
        "ANALYTICS_VIEWER_TOKENS": VIEWER,
        "SQL_TOKENS": f"octanebrew:{KEY}",
        "SQL_SECONDS": "1",
        "TZ": "America/New_York",
    }
    sent = sample.messages(datetime.now(UTC), views_per_day=16)
    half = len(sent) // 2
    first = start_updater(settings)
    wait_until(lambda: metric(metrics_port, "fpp_kafka_failures_total") >= 1)
    with broker_process(port) as broker:
        sample.create_topic(broker.address, TOPIC)
        sample.send(broker.address, TOPIC, sent[:half])
        wait_until((folder / "data" / "current").exists)
        first.send_signal(signal.SIGKILL)
        first.wait()
        sample.send(broker.address, TOPIC, sent[half:])
        done = run_updater(settings)
        assert done.returncode == 0, done.stderr
        second = start_updater(settings)
        try:
            with api(settings) as url, httpx.Client(base_url=url, timeout=30) as client:
                client.headers["X-API-KEY"] = KEY
                yield Stack(
                    broker, folder / "data", settings, client, list(sent), metrics_port
                )
        finally:
            second.terminate()
            assert second.wait(15) == 0


CALLS = [
    *(("overview_stats", {"days": days}) for days in (1, 7, 28, 90)),
    *(("chronological_trend", {"days": days}) for days in (1, 6, 7, 90)),
    *(("top_content", {"days": days, "limit": 5}) for days in (2, 90)),
    ("realtime_velocity", {}),
    *(("engagement_trend", {"days": days}) for days in (2, 28)),
]


def comparable(rows: Iterable[Row]) -> list[Row]:
    """Rows of an answer with its instants as such, and numbers but for the last digits."""
    return [{name: _comparable(name, value) for name, value in r.items()} for r in rows]


def _comparable(name: str, value: Any) -> Any:
    if name in ("bucket", "hour"):
        return datetime.fromisoformat(value)
    return pytest.approx(value) if isinstance(value, float) else value


@pytest.mark.parametrize(("template", "params"), CALLS)
def test_reports_equal_their_definition(
    stack: Stack, template: str, params: Row
) -> None:
    """Asked as the real client asks: with parameters that the report does not have."""
    channel = sample.CHANNELS[params.get("days", 0) % 3]
    now = datetime.now(UTC)
    expected = getattr(stack.oracle(now), template)(channel=channel, **params)
    found = stack.report(
        template, app_id="openstream", channel_id=channel, interval="day", **params
    )
    if datetime.now(UTC).hour == now.hour:
        assert comparable(found) == expected
    assert any(any(v not in (0, "") for v in row.values()) for row in found)


def test_searches_equal_their_definition(stack: Stack) -> None:
    """Of all channels; the client sends one, though the report has no such parameter."""
    for days, limit in ((1, 10), (90, 3)):
        expected = stack.oracle(datetime.now(UTC)).search_analytics(days, limit)
        found = stack.report(
            "search_analytics",
            app_id="openstream",
            days=days,
            limit=limit,
            channel_id=sample.CHANNELS[0],
        )
        assert found == expected
    assert found[0]["count"] > found[-1]["count"] > 10


def test_numbers_are_numbers_and_texts_are_taken_for_them(stack: Stack) -> None:
    """The client converts each figure by Number(), and may send parameters as text."""
    params = {"app_id": "openstream", "channel_id": sample.CHANNELS[1]}
    (row,) = stack.report("overview_stats", **params, days="28")
    assert list(row) == [
        *("views", "watch_time_hours", "subscriber_change", "avg_view_duration")
    ]
    assert all(isinstance(value, int | float) for value in row.values())
    (same,) = stack.report("overview_stats", **params, days=28)
    assert same == row


def test_an_unknown_channel_has_zeros(stack: Stack) -> None:
    """No division by the views that there are none of."""
    params = {"app_id": "openstream", "channel_id": "nobody's", "days": 7}
    assert stack.report("overview_stats", **params) == [
        {
            "views": 0,
            "watch_time_hours": 0,
            "subscriber_change": 0,
            "avg_view_duration": 0,
        }
    ]
    trend = stack.report("chronological_trend", **params)
    assert [row["views"] for row in trend] == [0] * 7
    assert stack.report("top_content", **params) == []
    stats = stack.report("realtime_stats", **params)
    assert stats == [{"active_viewers": 0, "views_48h": 0}]


def event(name: str, ago: timedelta, user: str | None, **properties: object) -> Row:
    """An event of the application `lab`, some time ago, in seconds since 1970."""
    at = (datetime.now(UTC) - ago).timestamp()
    sent = {"app_id": "lab", "event": name, "ts": at, "properties": properties}
    return sent if user is None else {**sent, "user_id": user}


def test_viewers_are_counted_while_they_watch(stack: Stack) -> None:
    """Users and sessions; and anonymous ones, of whom the old service saw one at most."""
    beats = [
        *(
            event("video_heartbeat", timedelta(seconds=n), None, channel_id="live")
            for n in (*range(2, 32, 5), *range(3, 33, 5), *range(4, 34, 5))
        ),
        event("video_heartbeat", timedelta(seconds=8), "u1", channel_id="live"),
        event("video_heartbeat", timedelta(seconds=18), "u1", channel_id="live"),
        event("video_heartbeat", timedelta(minutes=4), "u2", channel_id="live"),
        event("video_heartbeat", timedelta(minutes=5), "u3", channel_id="live"),
        event(
            *("video_heartbeat", timedelta(seconds=9), "anonymous"),
            channel_id="live",
            session_id="s1",
        ),
        event("video_view", timedelta(hours=47, minutes=50), "u1", channel_id="live"),
        event("video_view", timedelta(hours=48), "u1", channel_id="live"),
    ]
    stack.produce(*beats)
    (row,) = stack.report("realtime_stats", app_id="lab", channel_id="live")
    assert row == {"active_viewers": 3 + 3, "views_48h": 1}


def test_what_both_sides_report_is_one_act(stack: Stack) -> None:
    """And an unlike is one like less; acts of different users stay two."""
    second, now = timedelta(seconds=1), timedelta(minutes=2)
    stack.produce(
        event("like", now, "anonymous", video_id="w1", channel_id="acts", value=1),
        event("video_like", now + second, "u1", video_id="w1", channel_id="acts"),
        event("video_like", now + 9 * second, "u2", video_id="w1", channel_id="acts"),
        event(
            "like", now - 20 * second, None, video_id="w1", channel_id="acts", value=-1
        ),
        event("like", now - 30 * second, "u4", video_id="w1", channel_id="acts"),
        event("video_like", now - 31 * second, "u5", video_id="w1", channel_id="acts"),
        event("subscribe", now, "anonymous", channel_id="acts"),
        event("channel_subscribe", now - 60 * second, "u6", channel_id="acts"),
        event("unsubscribe", now, "u7", channel_id="acts"),
        event("subscribe", now, "u8", channel_id="acts"),
        event("video_share_click", now, "u1", video_id="w1", channel_id="acts"),
        event("chat_message", now, "u1", video_id="w1", channel_id="acts"),
    )
    of_channel = {"app_id": "lab", "channel_id": "acts", "days": 7}
    trend = stack.report("engagement_trend", **of_channel)
    totals = {name: sum(row[name] for row in trend) for name in list(trend[0])[1:]}
    assert totals == {"comments": 1, "likes": 1 + 1 - 1 + 2, "shares": 1}
    (overview,) = stack.report("overview_stats", **of_channel)
    assert overview["subscriber_change"] == 2


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 400, "Template name is required"),
        ({"template": "", "params": {}}, 400, "Template name is required"),
        ({"template": "x"}, 404, "Template 'x' not found"),
        ([1], 422, None),
        ("text", 422, None),
        ({"template": "overview_stats"}, 422, None),
        (
            {"template": "overview_stats", "params": {"app_id": "a", "days": 7}},
            422,
            None,
        ),
    ],
)
def test_bad_calls_of_a_report(
    stack: Stack, body: object, status: int, detail: str | None
) -> None:
    """What is missing is named, where the old service showed its engine's text."""
    answer = stack.post("/report", body)
    assert answer.status_code == status
    if detail:
        assert answer.json()["detail"] == detail
    else:
        assert "DuckDB" not in answer.text


def test_only_the_key_opens_it(stack: Stack) -> None:
    """No key, a wrong one, and one that may read but not send SQL."""
    body = {"template": "overview_stats", "params": {"app_id": "a", "channel_id": "c"}}
    for key, report_status, query_status in (
        ("", 401, 401),
        ("wrong", 401, 401),
        (VIEWER, 200, 403),
        (OPERATOR, 200, 403),
        (KEY, 200, 200),
    ):
        headers = {"X-API-KEY": key}
        report = stack.client.post("/report", json=body, headers=headers)
        sql = {"sql": "SELECT 1 AS one"}
        query = stack.client.post("/query", json=sql, headers=headers)
        assert (report.status_code, query.status_code) == (report_status, query_status)


def test_no_key_configured_lets_nobody_in(stack: Stack) -> None:
    """The API does not start without one, where the old service let everybody in."""
    settings = {
        k: v for k, v in stack.settings.items() if k != "ANALYTICS_SECRET_TOKEN"
    }
    done = preloaded.run(
        ["-m", "uvicorn", "main:app", "--port", str(closed_port())],
        timeout=60,
        env=environ(settings),
        cwd=ROOT,
    )
    assert done.returncode != 0
    assert "ANALYTICS_SECRET_TOKEN is missing" in done.stderr + done.stdout


def test_a_query_answers_with_rows(stack: Stack) -> None:
    """As a list of objects; WITH is allowed, which the old service refused."""
    assert stack.query("SELECT 1 AS one, 'a' AS text") == [{"one": 1, "text": "a"}]
    counted = "WITH n AS (SELECT name FROM events) SELECT count(*) AS n FROM n"
    (row,) = stack.query(counted)
    assert row["n"] == rows(stack.data_dir, "events").height
    few = stack.post("/query", {"sql": "SELECT * FROM events", "limit": 2})
    assert (len(few.json()), few.headers["X-Truncated"]) == (2, "rows")


@pytest.mark.parametrize(
    ("sql", "status"),
    [
        ("", 400),
        ("  ", 400),
        ("DELETE FROM events", 400),
        ("SELECT 1; SELECT 2", 400),
        ("SELECT * FROM read_csv('/etc/passwd')", 400),
        ("SELECT * FROM '/etc/passwd'", 400),
        ("SELECT * FROM read_parquet('https://example.org/x')", 400),
        ("SELECT * FROM duckdb_settings()", 400),
        ("SELECT * FROM information_schema.tables", 400),
        ("SELECT getenv('SQL_TOKENS')", 400),
        ("SELECT length(repeat('a', 2000000000)) AS n", 400),
        ("SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c", 504),
    ],
)
def test_a_query_reads_nothing_but_tables(stack: Stack, sql: str, status: int) -> None:
    """Neither files nor other servers nor settings, and it ends after its time."""
    answer = stack.post("/query", {"sql": sql})
    assert answer.status_code == status, answer.text
    assert KEY not in answer.text
    assert "root:" not in answer.text
    assert stack.post("/query", {"wrong": 1}).status_code == 422


def test_a_slow_query_stops_nothing_else(stack: Stack) -> None:
    """Meanwhile events are taken, and the API answers."""
    slow = "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c"
    answers: list[int] = []
    asking = threading.Thread(
        target=lambda: answers.append(stack.post("/query", {"sql": slow}).status_code)
    )
    asking.start()
    stack.produce(event("comment", timedelta(seconds=5), "u1", video_id="w9"))
    health = stack.client.get("/health")
    assert answers == []
    assert health.status_code == 200
    assert health.json()["status"] != "error"
    asking.join()
    assert answers == [504]


def test_each_message_is_an_event_or_a_dead_letter_once(stack: Stack) -> None:
    """After a broker that was away, an updater that was killed, and a repetition."""
    good = stack.accepted
    assert rows(stack.data_dir, "events").height == len(good)
    assert len(set(event_ids(stack.data_dir))) == len(good)
    letters = rows(stack.data_dir, "events_rejected")
    assert Counter(letters["code"].to_list()) == {
        "unreadable": 2,
        "not_an_object": 1,
        "name": 1,
        "time": 1,
        "clock": 2,
        "properties": 1,
    }
    places = letters["batch"].to_list()
    assert all(place.startswith(f"{TOPIC}[") for place in places)
    assert "batches" in actions(stack.data_dir)
    shown = stack.client.get("/events/rejected").json()
    assert shown["total"] == 8


def test_times_do_not_depend_on_the_zone_of_the_host(stack: Stack) -> None:
    """All programs run in New York; numbers count from 1970 in UTC."""
    sent = {"event": "zoned", "ts": 1_764_000_000.5 + 0 * time.time(), "user_id": "z"}
    moment = datetime.now(UTC).replace(microsecond=500_000) - timedelta(hours=1)
    seconds = {**sent, "ts": moment.timestamp(), "event_id": "seconds"}
    milliseconds = {**sent, "ts": moment.timestamp() * 1000, "event_id": "milliseconds"}
    bare = moment.replace(tzinfo=None).isoformat()
    text = {**sent, "timestamp": bare, "event_id": "text"}
    stack.produce(seconds, milliseconds, text)
    found = stack.query("SELECT DISTINCT \"at\" FROM events WHERE name = 'zoned'")
    assert [datetime.fromisoformat(row["at"]) for row in found] == [moment]


def test_the_updater_counts_by_the_old_names(stack: Stack) -> None:
    """Those of the README, beside our own."""
    port = stack.metrics_port
    before = metric(port, "analytics_events_consumed_total")
    flushed = metric(port, "analytics_batch_flush_seconds_count")
    stored = metric(port, "analytics_events_inserted_total")
    stack.broker.send(TOPIC, [b"no JSON"])
    stack.produce(event("comment", timedelta(seconds=5), "u1"))
    wait_until(lambda: metric(port, "analytics_events_consumed_total") == before + 2)
    assert metric(port, "analytics_events_inserted_total") == stored + 1
    assert metric(port, "analytics_batch_flush_seconds_count") > flushed
    assert metric(port, 'analytics_batch_flush_seconds_bucket{le="+Inf"}') > flushed
    assert metric(port, "analytics_pipeline_errors_total") == 0
    assert metric(port, "fpp_kafka_up") == 1


def test_events_end_after_ninety_days(stack: Stack, tmp_path: Path) -> None:
    """In a copy: they stay on the ninetieth day, and are gone on the next."""
    copy = tmp_path / "data"
    shutil.copytree(stack.data_dir, copy, symlinks=True)
    days = int(stack.settings["EVENT_RETENTION_DAYS"])
    today = datetime.now(UTC)
    kept = apply_retention(copy, days, today + timedelta(days=90))
    assert kept.events == 0
    removed = apply_retention(copy, days, today + timedelta(days=91))
    assert removed.events == rows(stack.data_dir, "events").height
    assert snapshot.latest(copy).scan("events").collect().is_empty()


def test_the_readme_names_all_templates(stack: Stack) -> None:
    """And the catalogue has them with their parameters."""
    readme = (EXAMPLE / "README.md").read_text()
    views = stack.client.get("/views").json()
    reports = {
        r["name"]: [p["name"] for p in r["parameters"]] for r in views["reports"]
    }
    expected = {
        "overview_stats": ["app_id", "channel_id", "days"],
        "chronological_trend": ["app_id", "channel_id", "days"],
        "top_content": ["app_id", "channel_id", "days", "limit"],
        "realtime_stats": ["app_id", "channel_id"],
        "realtime_velocity": ["app_id", "channel_id"],
        "search_analytics": ["app_id", "days", "limit"],
        "engagement_trend": ["app_id", "channel_id", "days"],
    }
    assert views["errors"] == []
    for name, parameters in expected.items():
        assert reports[name] == parameters
        assert f"`{name}`" in readme
