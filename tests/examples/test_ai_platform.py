"""The AI platform example: events by JWT, its reports, and the old table beside them."""

import csv
import hmac
import io
import itertools
import json
import shutil
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import openpyxl
import pytest

from readmodel.sync.retention import apply_retention
from testbed.postgres import Database
from tests.support import preloaded
from tests.support.examples import example_running, load_module
from tests.support.programs import ROOT, environ, run_updater
from tests.support.servers import closed_port, serving
from tests.support.stored_events import actions, rows

pytestmark = pytest.mark.external

NAME = "ai-platform"
EXAMPLE = ROOT / "examples" / NAME
JOINED = ROOT / "deploy" / "nginx" / "fpp-analytics-joined.conf"
SECRET = "secret-of-the-auth-service-0123456789"
NEW_YORK = "America/New_York"
USER_ID_KEY = "key-of-the-pseudonyms-0123456789abcdef"
sample = load_module(EXAMPLE / "sample_data.py")
ACCEPTED = ("awkward-formula", "awkward-long-type", "awkward-nul", "awkward-unknown")
"""Of the awkward events of the sample."""

_subjects = itertools.count(1)

type Event = dict[str, Any]


def token(subject: str | None = None, *roles: str, **claims: Any) -> str:
    """An access token as the auth service issues it; each has a subject of its own."""
    now = datetime.now(UTC)
    content = {
        "sub": subject or f"subject-{next(_subjects)}",
        "iat": now,
        "exp": now + timedelta(hours=1),
        "type": "access",
        "roles": list(roles),
        **claims,
    }
    sent = {name: value for name, value in content.items() if value is not None}
    return jwt.encode(sent, SECRET, "HS256")


def bearer(*arguments: str, **claims: Any) -> dict[str, str]:
    """The header with such a token."""
    return {"Authorization": f"Bearer {token(*arguments, **claims)}"}


def service() -> dict[str, str]:
    """The header of a service, which may send events of all users."""
    return bearer(f"service-{next(_subjects)}", "service")


def admin() -> dict[str, str]:
    """The header of a reader."""
    return bearer(f"admin-{next(_subjects)}", "user", "admin")


def pseudonym(user: str) -> str:
    """How a user is stored."""
    key = hmac.digest(USER_ID_KEY.encode(), b"epoch ", "sha256")
    return hmac.digest(key, user.encode(), "sha256").hex()[:32]


@dataclass
class Stack:
    """The running example behind its proxy."""

    client: httpx.Client
    collector: str
    data_dir: Path
    settings: Mapping[str, str]
    history: Sequence[Event]
    sent: list[Event]

    def ingest(
        self, sent: object, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send events as the old client does."""
        headers = headers or service()
        return self.client.post("/api/analytics/ingest", json=sent, headers=headers)

    def get(self, path: str, **params: str) -> httpx.Response:
        """Ask for a report."""
        address = f"/api/analytics/{path}"
        return self.client.get(address, params=params, headers=admin())

    def store(self, *events: Event, headers: Mapping[str, str] | None = None) -> None:
        """Send good events, and wait until they are stored."""
        count = rows(self.data_dir, "events").height + len(events)
        answer = self.ingest(list(events), headers)
        assert answer.json()["ingested"] == len(events), answer.text
        self.sent += events
        wait_until(lambda: rows(self.data_dir, "events").height >= count)


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so; fail if it takes longer than *seconds*."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, example_database: Database
) -> Iterator[Stack]:
    """The example behind its proxy; the database and all programs are in New York."""
    folder, now = tmp_path_factory.mktemp(NAME), datetime.now(UTC)
    name = example_database.name
    example_database.run(f"ALTER DATABASE \"{name}\" SET timezone = '{NEW_YORK}'")
    settings = {
        "SAMPLE_NOW": now.isoformat(),
        "EVENTS_INTERVAL_SECONDS": "0.1",
        "JWT_SECRET_KEY": SECRET,
        "USER_ID_KEY": USER_ID_KEY,
        "TZ": NEW_YORK,
    }
    bad = sample.awkward_events(now)
    good = [event for event in bad if event["id"] in ACCEPTED]
    with example_running(NAME, folder, example_database, **settings) as started:
        assert started.collector_url
        with (
            proxy(folder / "proxy", started.url, started.collector_url) as address,
            httpx.Client(base_url=address, timeout=60) as client,
        ):
            yield Stack(
                client=client,
                collector=started.collector_url,
                data_dir=Path(started.settings["DATA_DIR"]),
                settings=started.settings,
                history=sample.history(now),
                sent=[*sample.events(now), *good],
            )


@contextmanager
def proxy(folder: Path, api_url: str, collector_url: str) -> Iterator[str]:
    """Nginx in front of both programs: deploy/nginx has the file, here it is without TLS."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/sbin")
    assert program, "nginx is missing: apt-get install nginx-light"
    folder.mkdir()
    port = closed_port()
    site = JOINED.read_text()
    for found, actual in (
        ("127.0.0.1:5100", api_url.removeprefix("http://")),
        ("127.0.0.1:5200", collector_url.removeprefix("http://")),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port};"),
        ("listen [::]:443 ssl http2;", ""),
        ("/var/log/nginx", str(folder)),
    ):
        assert found in site
        site = site.replace(found, actual)
    plain = "".join(
        x for x in site.splitlines(True) if not x.strip().startswith("ssl_")
    )
    (folder / "site.conf").write_text(plain)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; events {{}}\n"
        f"http {{ access_log off; {scratch} include {folder}/site.conf; }}\n"
    )
    options = ["-e", f"{folder}/error", "-p", str(folder), "-c", f"{folder}/nginx.conf"]
    with subprocess.Popen([program, *options]) as process:
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def answers(url: str) -> bool:
    """True if a server answers."""
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def at_of(event: Event) -> datetime:
    """When an event happened."""
    ts = event["ts"]
    if isinstance(ts, int | float):
        return datetime.fromtimestamp(ts, UTC)
    at = datetime.fromisoformat(ts) if isinstance(ts, str) else ts
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def test_clients_get_their_number(stack: Stack) -> None:
    """With a verdict besides; times in all forms, without `src`, with unknown fields."""
    now = datetime.now(UTC)
    plain = {"user_id": "u-forms", "type": "page_view", "payload": {}}
    sent: list[Event] = [
        {**plain, "id": "forms-1", "ts": now.isoformat(), "src": "web_app"},
        {**plain, "id": "forms-2", "ts": now.replace(tzinfo=None).isoformat()},
        {**plain, "id": "forms-3", "ts": now.timestamp(), "unknown": "dropped"},
        {**plain, "id": "forms-4", "ts": now.astimezone().isoformat(), "src": None},
    ]
    stack.store(*sent)
    found = rows(stack.data_dir, "events").sort("event_id")
    found = found.filter(found["event_id"].str.starts_with("forms-"))
    assert [abs((at - now).total_seconds()) < 0.001 for at in found["at"]] == [True] * 4
    assert found["source"].to_list() == ["web_app", None, None, None]
    assert set(found["properties"]) == {"{}"}
    empty = stack.ingest([])
    assert (empty.status_code, empty.json()["ingested"]) == (200, 0)


def test_one_bad_event_takes_no_other_with_it(stack: Stack) -> None:
    """It becomes a dead letter with its reason; the old service lost the whole batch."""
    letters = rows(stack.data_dir, "events_rejected")
    codes = dict(zip(letters["event_id"], letters["code"], strict=True))
    assert codes == {
        "awkward-long-user": "user_id",
        "awkward-no-payload": "properties",
        "awkward-no-type": "name",
        "awkward-time": "time",
        "awkward-future": "clock",
    }
    stored = rows(stack.data_dir, "events")["event_id"]
    assert set(ACCEPTED) <= set(stored)
    exported_ids = {row["id"] for row in stack.get("reports/events").json()}
    assert set(ACCEPTED) <= exported_ids


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"[" + b"{}," * 1000 + b"{}]", 413, "batch too large"),
        (b'{"type": "page_view"}', 422, ""),
        (b"no JSON", 400, ""),
    ],
)
def test_a_request_that_is_no_batch_is_refused(
    stack: Stack, body: bytes, status: int, detail: str
) -> None:
    """Whole, and nothing of it is stored."""
    address = "/api/analytics/ingest"
    answer = stack.client.post(address, content=body, headers=service())
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic dTpw"},
        {"Authorization": "Bearer no-token"},
        bearer("u", exp=datetime.now(UTC) - timedelta(hours=1)),
        bearer("u", exp=None),
        bearer("u", type="refresh"),
        bearer("", sub=None),
        {
            "Authorization": "Bearer "
            + jwt.encode({"sub": "u", "type": "access"}, "", "none")
        },
        {
            "Authorization": "Bearer "
            + jwt.encode({"sub": "u"}, "change-me" * 4, "HS256")
        },
    ],
    ids=[
        "none",
        "scheme",
        "text",
        "ended",
        "endless",
        "refresh",
        "nobody",
        "unsigned",
        "default",
    ],
)
def test_without_a_valid_token_nothing_is_open(
    stack: Stack, headers: dict[str, str]
) -> None:
    """Each is 401; a token without `sub` was 500."""
    assert stack.ingest([], headers or {"X-Nothing": ""}).status_code == 401
    for path in ("reports/dau", "reports/events?format=csv", "dashboard"):
        answer = stack.client.get(f"/api/analytics/{path}", headers=headers)
        assert answer.status_code == 401


def test_a_user_sends_its_own_events_and_reads_nobodys(stack: Stack) -> None:
    """Whatever its roles are, but for those that the settings name."""
    own = {"ts": time.time(), "type": "page_view", "payload": {}}
    foreign = stack.ingest([{**own, "user_id": "somebody"}], bearer("me", "user"))
    assert foreign.status_code == 403
    user = bearer("me", "user")
    stack.store({**own, "user_id": "me", "id": "own-1"}, headers=user)
    without = stack.ingest([{**own, "id": "own-2"}], user)
    assert without.json()["ingested"] == 1
    stack.sent.append({**own, "user_id": "me"})
    wait_until(lambda: "own-2" in rows(stack.data_dir, "events")["event_id"])
    found = rows(stack.data_dir, "events")
    own_rows = found.filter(found["event_id"].is_in(["own-1", "own-2"]))
    assert set(own_rows["user_id"]) == set(own_rows["sender"]) == {pseudonym("me")}
    for path in ("reports/dau", "reports/events?format=csv"):
        answer = stack.client.get(f"/api/analytics/{path}", headers=user)
        assert answer.status_code == 403


def test_daily_active_users_are_those_of_the_day_in_utc(stack: Stack) -> None:
    """With the fields of the README and of the API's documentation."""
    late = {"type": "page_view", "payload": {}}
    today = datetime.now(UTC).date()
    midnight = datetime.combine(today, datetime.min.time(), UTC)
    stack.store(
        {**late, "id": "dau-1", "user_id": "first", "ts": midnight.isoformat()},
        {
            **late,
            "id": "dau-2",
            "user_id": "yesterday",
            "ts": (midnight - timedelta(microseconds=1)).isoformat(),
        },
        {
            **late,
            "id": "dau-3",
            "user_id": "future",
            "ts": (datetime.now(UTC) + timedelta(minutes=9)).isoformat(),
        },
    )
    answer = stack.get("reports/dau").json()
    now = datetime.now(UTC)
    active = {e["user_id"] for e in stack.sent if midnight <= at_of(e) <= now}
    assert answer["dau"] == len(active)
    assert (answer["date"], answer["period"]) == (today.isoformat(), "24h")
    assert abs(datetime.fromisoformat(answer["updated_at"]) - now) < timedelta(
        minutes=1
    )


def exported(stack: Stack, **params: str) -> list[dict[str, str]]:
    """The lines of an export."""
    answer = stack.get("reports/events", format="csv", **params)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    assert ".csv" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def test_an_export_has_all_events_with_their_payload(stack: Stack) -> None:
    """Those of the old table, too, the oldest first; formulas are disarmed."""
    lines = exported(stack)
    assert list(lines[0]) == ["ts", "user_id", "type", "src", "id", "payload"]
    assert len(lines) == len(stack.history) + len(stack.sent)
    assert [line["ts"] for line in lines] == sorted(line["ts"] for line in lines)
    old = [line for line in lines if line["id"].startswith("history-")]
    assert [json.loads(line["payload"]) for line in old] == [
        row["payload"] for row in stack.history
    ]
    assert {line["user_id"] for line in old} == {""}
    (formula,) = (line for line in lines if line["id"] == "awkward-formula")
    assert (formula["type"], formula["src"]) == (f"'{sample.FORMULA}", "'+1")


def test_an_export_is_filtered(stack: Stack) -> None:
    """By its documented parameters, alone and together."""
    user, day = sample.USERS[0], datetime.now(UTC).date() - timedelta(days=3)

    def expected(keep: Callable[[Event], bool]) -> int:
        return sum(keep(event) for event in (*stack.history, *stack.sent))

    def is_new(event: Event) -> bool:
        return not isinstance(event["ts"], datetime)

    assert len(exported(stack, event_type="course_complete")) == expected(
        lambda e: e["type"] == "course_complete"
    )
    assert len(exported(stack, user_id=pseudonym(user))) == expected(
        lambda e: e["user_id"] == user and is_new(e)
    )
    of_day = exported(stack, start_date=day.isoformat(), end_date=day.isoformat())
    assert len(of_day) == expected(lambda e: at_of(e).date() == day) > 0
    several = exported(
        stack,
        start_date=day.isoformat(),
        event_type="page_view",
        user_id=pseudonym(user),
    )
    assert len(several) == expected(
        lambda e: (
            at_of(e).date() >= day
            and e["type"] == "page_view"
            and e["user_id"] == user
            and is_new(e)
        )
    )
    before = (day - timedelta(days=1)).isoformat()
    assert exported(stack, start_date=day.isoformat(), end_date=before) == []
    for wrong in ({"start_date": "soon"}, {"format": "pdf"}, {"unknown": "1"}):
        assert stack.get("reports/events", **wrong).status_code == 422


def test_a_workbook_has_texts_and_no_formulas(stack: Stack) -> None:
    """A whole cell `=HYPERLINK(…)` is text in it."""
    answer = stack.get("reports/events", format="xlsx")
    assert "spreadsheetml" in answer.headers["content-type"]
    assert ".xlsx" in answer.headers["content-disposition"]
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    lines = list(sheet.iter_rows())
    assert [cell.value for cell in lines[0]] == [
        "ts",
        "user_id",
        "type",
        "src",
        "id",
        "payload",
    ]
    assert len(lines) == 1 + len(stack.history) + len(stack.sent)
    assert {cell.data_type for line in lines for cell in line} & {"f"} == set()
    assert sample.FORMULA in {line[2].value for line in lines}


def test_the_old_table_is_mirrored_beside_the_new_one(stack: Stack) -> None:
    """Under its schema's name, with the same rows, by day and type as well."""
    old = rows(stack.data_dir, "public.events").sort("id")
    assert old["ts"].to_list() == [row["ts"] for row in stack.history]
    assert old["user_id"].to_list() == [row["user_id"] for row in stack.history]
    days: defaultdict[tuple[date, str], list[str]] = defaultdict(list)
    for row in stack.history:
        days[row["ts"].date(), row["type"]].append(row["user_id"])
    expected = {key: (len(users), len(set(users))) for key, users in days.items()}
    found = rows(stack.data_dir, "history_days").rows()
    assert {(d, t): (events, users) for d, t, events, users in found} == expected
    totals = stack.client.get("/views/activity_days", headers=admin()).json()["rows"]
    counted = Counter(row["origin"] for row in totals for _ in range(row["events"]))
    assert counted["history"] == len(stack.history)


def test_the_dashboard_that_was_only_documented(stack: Stack) -> None:
    """Its figures equal their definition in plain Python."""
    answer = stack.get("dashboard").json()
    now = datetime.now(UTC)
    expected = dashboard_of(stack.sent, now)
    updated_at = answer.pop("updated_at")
    assert abs(datetime.fromisoformat(updated_at) - now) < timedelta(minutes=1)
    assert answer == expected


def dashboard_of(sent: Sequence[Event], now: datetime) -> dict[str, Any]:
    """The figures of the dashboard."""
    past = sorted((e for e in sent if at_of(e) <= now), key=at_of)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = now - timedelta(days=30)
    today = [e for e in past if at_of(e) >= midnight]
    recent = [e for e in past if at_of(e) >= month]
    sessions = sessions_of(recent)
    lengths = [(s[-1] - s[0]).total_seconds() for s in sessions]
    played = [e for e in past if e["type"] == "video_play"]
    watched = sum(e["payload"].get("watched_seconds", 0) for e in played)
    pages: defaultdict[str, list[str]] = defaultdict(list)
    for e in recent:
        if e["type"] == "page_view" and e["payload"].get("page"):
            pages[e["payload"]["page"]].append(e["user_id"])
    top = sorted(pages.items(), key=lambda item: (-len(item[1]), item[0]))[:10]
    return {
        "overview": {
            "total_users": users(past),
            "active_users_today": users(today),
            "active_users_week": users(
                e for e in past if at_of(e) >= now - timedelta(days=7)
            ),
            "active_users_month": users(recent),
        },
        "engagement": {
            "avg_session_duration": pytest.approx(sum(lengths) / len(lengths)),
            "page_views_today": sum(e["type"] == "page_view" for e in today),
            "bounce_rate": pytest.approx(
                sum(len(s) == 1 for s in sessions) / len(sessions)
            ),
        },
        "content": {
            "courses_completed_today": sum(
                e["type"] == "course_complete" for e in today
            ),
            "lessons_watched_today": len(
                {
                    (e["user_id"], e["payload"]["lesson_id"])
                    for e in today
                    if e in played
                }
            ),
            "total_watch_time_minutes": pytest.approx(watched / 60),
        },
        "top_pages": [
            {"page": page, "views": len(seen), "unique_visitors": len(set(seen))}
            for page, seen in top
        ],
    }


def users(events: Any) -> int:
    """Number of users."""
    return len({event["user_id"] for event in events})


def sessions_of(events: Sequence[Event]) -> list[list[datetime]]:
    """The times of each session."""
    found: list[list[datetime]] = []
    open_of: dict[str, list[datetime]] = {}
    for event in events:
        user, at = event["user_id"], at_of(event)
        times = open_of.get(user)
        if times is None or at - times[-1] > timedelta(minutes=30):
            open_of[user] = times = []
            found.append(times)
        times.append(at)
    return found


def test_no_user_id_is_stored_as_sent(stack: Stack) -> None:
    """Neither in events nor in dead letters nor in their senders; a hash alone is no help."""
    plain = {user.encode() for user in sample.USERS}
    tables = ("events", "events_rejected", "audit")
    for name in tables:
        text = rows(stack.data_dir, name).write_csv().encode()
        assert not any(user in text for user in plain)
    stored = set(rows(stack.data_dir, "events")["user_id"])
    assert {pseudonym(e["user_id"]) for e in stack.sent} == stored


def test_repeated_events_count_once(stack: Stack) -> None:
    """By their ids; a client that got no answer may send its batch again."""
    before = rows(stack.data_dir, "events").height
    again = stack.ingest(stack.sent[:200])
    assert again.json()["ingested"] == 200
    marker = {"ts": time.time(), "user_id": "m", "type": "marker", "payload": {}}
    stack.store({**marker, "id": "marker-1"})
    assert rows(stack.data_dir, "events").height == before + 1


def test_health_and_readiness(stack: Stack) -> None:
    """At their old addresses, without a token."""
    expected = {"status": "ok", "service": "analytics"}
    for path in ("/healthz", "/api/analytics/healthz"):
        answer = stack.client.get(path)
        assert (answer.status_code, answer.json()) == (200, expected)
    # Operators ask the programs directly.
    assert stack.client.get("/readyz").status_code == 404
    assert httpx.get(f"{stack.collector}/readyz").json()["status"] == "ok"
    assert httpx.get(f"{stack.collector}/api/analytics/nothing").status_code == 404
    metrics = httpx.get(f"{stack.collector}/metrics").text
    assert "fpp_events_accepted_total" in metrics
    assert 'route="/api/analytics/ingest"' in metrics
    assert "/api/analytics/nothing" not in metrics


def test_the_documents_are_below_the_prefix(stack: Stack) -> None:
    """With the reports; and the page loads nothing from other servers."""
    answer = stack.client.get("/api/analytics/openapi.json")
    assert answer.status_code == 200, answer.text
    document = answer.json()
    paths = document["paths"]
    parameters = {
        p["name"] for p in paths["/api/analytics/reports/events"]["get"]["parameters"]
    }
    assert {"start_date", "end_date", "event_type", "user_id"} <= parameters
    assert {"/api/analytics/reports/dau", "/api/analytics/dashboard"} <= set(paths)
    page = stack.client.get("/api/analytics/docs")
    assert page.status_code == 200
    assert "/api/analytics/openapi.json" in page.text
    assert "https://" not in page.text
    intake = httpx.get(f"{stack.collector}/api/analytics/openapi.json").json()
    assert "/api/analytics/ingest" in intake["paths"]


def test_a_caller_has_a_hundred_requests_a_minute(stack: Stack) -> None:
    """And no other caller is slowed down by it."""
    eager = bearer("eager")
    sent = [stack.ingest([], eager) for _ in range(101)]
    statuses = Counter(answer.status_code for answer in sent)
    assert statuses == {200: 100, 429: 1}
    assert 1 <= int(sent[-1].headers["Retry-After"]) <= 60
    assert stack.ingest([], bearer("patient")).status_code == 200


def test_every_change_is_in_the_audit_log(stack: Stack) -> None:
    """Who sent how many; the chain is whole, and `verify` says so."""
    assert set(actions(stack.data_dir)) == {"batches"}
    log = rows(stack.data_dir, "audit")
    assert log["sender"][0].startswith("token-")
    assert log["rejected"].sum() == 5
    done = run_updater(stack.settings, "verify")
    assert done.returncode == 0, done.stdout + done.stderr


def test_events_are_removed_after_ninety_days(stack: Stack, tmp_path: Path) -> None:
    """In a copy; the record of it is in the audit log. The old table is not ours to cut."""
    copy = tmp_path / "data"
    shutil.copytree(stack.data_dir, copy, symlinks=True)
    days = int(stack.settings["EVENT_RETENTION_DAYS"])
    today = datetime.now(UTC)
    assert apply_retention(copy, days, today + timedelta(days=90)).events == 0
    removed = apply_retention(copy, days, today + timedelta(days=91))
    assert removed.events == rows(stack.data_dir, "events").height
    assert removed.rejected == 5
    assert actions(copy)[-1] == "retention"
    assert rows(copy, "public.events").height == len(stack.history)


def run_client(url: str, *arguments: str) -> set[str]:
    """Track two events by the client in JavaScript; their ids, once it has sent them."""
    node = shutil.which("node")
    assert node, "install Node.js for the tests of the client in JavaScript"
    script = CLIENT % (ROOT / "clients" / "js" / "analytics.js")
    command = [node, "--input-type=module", "-e", script, url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


CLIENT = """
import { AnalyticsClient } from "%s";
const [url, token] = process.argv.slice(1);
const client = new AnalyticsClient(url, token, { flushMilliseconds: 20, firstPauseMilliseconds: 20 });
const ids = ["page_view", "button_click"].map((type) => client.track(type, { page: "/js" }, "js-user"));
while (client.pending) await new Promise((resolve) => setTimeout(resolve, 10));
console.log(JSON.stringify(ids));
await client.close();
"""


def test_the_javascript_client_sends_by_a_timer(stack: Stack) -> None:
    """Two events, fewer than ten, arrive once, as those of the token's user."""
    ids = run_client(str(stack.client.base_url), token("js-user"))
    wait_until(lambda: ids <= set(rows(stack.data_dir, "events")["event_id"]))
    found = rows(stack.data_dir, "events")
    sent = found.filter(found["event_id"].is_in(list(ids)))
    assert sent["name"].sort().to_list() == ["button_click", "page_view"]
    assert set(sent["source"]) == {"web_app"}
    assert set(sent["user_id"]) == {pseudonym("js-user")}
    stack.sent += [
        {
            "ts": at.isoformat(),
            "user_id": "js-user",
            "type": name,
            "payload": {"page": "/js"},
        }
        for at, name in zip(sent["at"], sent["name"], strict=True)
    ]


def test_the_javascript_client_repeats_after_errors() -> None:
    """The old one gave its events up after every answer but 2xx; the ids stay the same."""
    with serving() as server:
        server.statuses = [500, 503, 429]
        server.answer = b'{"accepted": 2, "rejected": []}'
        ids = run_client(server.url, "token")
        sent = [request.json for request in server.requests]
    assert len(sent) == 4
    assert all({event["id"] for event in events} == ids for events in sent)


def test_there_is_no_secret_by_default(stack: Stack) -> None:
    """The collector does not start without one."""
    secrets = ("JWT_SECRET_KEY", "INGEST_TOKENS")
    settings = {k: v for k, v in stack.settings.items() if k not in secrets}
    done = preloaded.run(
        ["-m", "uvicorn", "collect_events:app", "--port", str(closed_port())],
        timeout=60,
        env=environ(settings),
        cwd=ROOT,
    )
    assert done.returncode != 0
    assert "JWT_SECRET_KEY and INGEST_TOKENS are missing" in done.stderr + done.stdout


def test_no_other_origin_is_let_in_by_default(stack: Stack) -> None:
    """The old gateway allowed every origin, with credentials."""
    headers = {"Origin": "https://evil.example.org", **admin()}
    answer = stack.client.get("/api/analytics/reports/dau", headers=headers)
    assert "access-control-allow-origin" not in answer.headers
