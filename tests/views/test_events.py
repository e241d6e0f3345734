"""The questions about events equal their definitions in plain Python, on random events."""

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from fastapi.testclient import TestClient

from readmodel.source.no_database import NoDatabase
from readmodel.store.event_tables import EVENT_SCHEMA
from readmodel.sync.derived import DerivedOptions
from readmodel.sync.drain import drain
from readmodel.sync.run import Options, sync
from readmodel.tables import EVENT_TABLE_NAMES, TABLES
from sqlfiles.catalogue import Catalogue, load
from sqlfiles.definition import ParameterType
from sqlfiles.session import SessionOptions, add_tables, connect
from tests.routers.conftest import create_fixed_app, make_settings
from tests.support.effort import examples
from tests.support.events import line, write_spool
from tests.support.sample import TOKEN

VIEWS = Path(__file__).parents[2] / "views"
ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
NOW = datetime(2026, 11, 2, 6, 30, tzinfo=UTC)
"""The day after clocks changed in New York; in Kolkata noon, in New York 1:30."""
SECONDS = {"m": 60, "h": 3600, "d": 86_400}

type Row = dict[str, Any]


@cache
def catalogue(zone: str) -> Catalogue:
    """All definitions in *zone*."""
    return load(VIEWS, (*TABLES, *EVENT_TABLE_NAMES), ZoneInfo(zone))


def random_events(chance: random.Random, count: int) -> list[Row]:
    """Events around NOW, and some on the bounds of windows."""
    spans = [
        timedelta(hours=1),
        timedelta(days=2),
        timedelta(days=40),
        timedelta(days=200),
    ]
    bounds = [
        timedelta(minutes=30),
        timedelta(hours=24),
        timedelta(days=7),
        timedelta(),
    ]
    near = [timedelta(microseconds=n) for n in (-1, 0, 1)]
    found = []
    for number in range(count):
        at = NOW - chance.choice(spans) * chance.random()
        if chance.random() < 0.3:
            at = NOW - chance.choice(bounds) + chance.choice(near)
        if chance.random() < 0.1:
            at = NOW + timedelta(minutes=10) * chance.random()
        found.append(
            {
                "event_id": f"e{number:04}",
                "app_id": None,
                "name": chance.choice("abcdefg"),
                "user_id": chance.choice([None, *"uvwxyz"]),
                "at": at,
                "source": chance.choice([None, "web"]),
                "properties": json.dumps({"n": number}),
                "received_at": max(at, NOW - timedelta(days=1)),
            }
        )
    return found


def ask(
    events: Sequence[Row], zone: str, name: str, folder: Path, **values: Any
) -> list[Row]:
    """The rows of the report *name*; missing parameters have their defaults."""
    frame = pl.DataFrame(events, schema=EVENT_SCHEMA)
    file = folder / "events.parquet"
    frame.write_parquet(file)
    definition = catalogue(zone).report(name)
    assert definition
    given = {p.name: values.get(p.name, p.default) for p in definition.parameters}
    connection = connect(SessionOptions(definition.zone, NOW))
    add_tables(connection, {"events": [file]})
    found = connection.sql(definition.sql, params=given or None)
    rows = pl.DataFrame(found).to_dicts()
    connection.close()
    return rows


def in_window(events: Sequence[Row], window: str) -> list[Row]:
    """The events of a window."""
    length = timedelta(seconds=int(window[:-1]) * SECONDS[window[-1]])
    return [e for e in events if NOW - length <= e["at"] <= NOW]


def users(events: Sequence[Row]) -> int:
    """Number of users."""
    return len({e["user_id"] for e in events} - {None})


def top(events: Sequence[Row], limit: int) -> list[tuple[str, int]]:
    """The most frequent names."""
    counted = Counter(e["name"] for e in events).items()
    return sorted(counted, key=lambda item: (-item[1], item[0]))[:limit]


@pytest.fixture(params=range(max(2, examples(3))))
def events(request: pytest.FixtureRequest) -> list[Row]:
    """Random events; the first example has none."""
    seed: int = request.param
    return random_events(random.Random(seed), seed * 60)


@pytest.mark.parametrize("zone", ZONES)
def test_windows_are_exactly_so_long(
    zone: str, events: list[Row], tmp_path: Path
) -> None:
    """In every zone, and across a change of clocks; without events of the future."""
    for window in ("1m", "30m", "24h", "7d", "90d"):
        (row,) = ask(events, zone, "active_users", tmp_path, window=window)
        expected = users(in_window(events, window))
        assert row == {"active_users": expected, "window": window}
        (row,) = ask(events, zone, "top_events", tmp_path, window=window, limit=3)
        found = [(each["event_name"], each["count"]) for each in row["top_events"]]
        assert found == top(in_window(events, window), 3)
    (row,) = ask(events, zone, "top_events", tmp_path)
    assert [tuple(each.values()) for each in row["top_events"]] == top(events, 5)


@pytest.mark.parametrize("zone", ZONES)
def test_events_over_time_add_up_to_their_window(
    zone: str, events: list[Row], tmp_path: Path
) -> None:
    """Intervals are those of the zone; names beyond the top are together."""
    local = ZoneInfo(zone)
    for window, unit in (("2h", "minute"), ("72h", "hour"), ("90d", "day")):
        rows = ask(events, zone, "events_over_time", tmp_path, window=window, names=3)
        recent = in_window(events, window)
        named = {name for name, _ in top(recent, 3)}
        expected = Counter(
            (start_of(e["at"], unit, local), e["name"] if e["name"] in named else None)
            for e in recent
        )
        found = {(r["at"].astimezone(UTC), r["name"]): r["events"] for r in rows}
        assert found == expected


def start_of(at: datetime, unit: str, zone: ZoneInfo) -> datetime:
    """The beginning of the interval of *at* in *zone*."""
    shown = at.astimezone(zone)
    zeros = {"microsecond": 0, "second": 0}
    if unit != "minute":
        zeros["minute"] = 0
    if unit == "day":
        zeros["hour"] = 0
    return shown.replace(**zeros).astimezone(UTC)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ZONES)
def test_active_users_per_day_week_and_month(
    zone: str, events: list[Row], tmp_path: Path
) -> None:
    """Days are those of the zone; those without events are 0."""
    local = ZoneInfo(zone)
    today = NOW.astimezone(local).date()
    past = [e for e in events if e["at"] <= NOW]
    monday = today - timedelta(days=today.weekday())
    days = [today - timedelta(days=n) for n in reversed(range(30))]
    weeks = [monday - timedelta(weeks=n) for n in reversed(range(12))]
    months = [month_before(today, n) for n in reversed(range(12))]
    for name, column, first_days in (
        ("day", "day", days),
        ("week", "week", weeks),
        ("month", "month", months),
    ):
        rows = ask(events, zone, f"active_users_by_{name}", tmp_path)
        expected = []
        for first in first_days:
            found = [
                e for e in past if beginning(e["at"].astimezone(local), name) == first
            ]
            expected.append((first, users(found), len(found)))
        got = [(r[column], r["active_users"], r["events"]) for r in rows]
        assert got == expected


def beginning(at: datetime, unit: str) -> dt.date:
    """The first day of the week or month of *at*, or its day."""
    day = at.date()
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def month_before(day: dt.date, count: int) -> dt.date:
    """The first day of the month *count* months before *day*."""
    months = day.year * 12 + day.month - 1 - count
    return dt.date(months // 12, months % 12 + 1, 1)


@pytest.mark.parametrize("zone", ZONES)
def test_daily_active_users_are_those_of_the_day_in_utc(
    zone: str, events: list[Row], tmp_path: Path
) -> None:
    """Whatever TIMEZONE is."""
    (row,) = ask(events, zone, "daily_active_users", tmp_path)
    midnight = NOW.replace(hour=0, minute=0)
    today = [e for e in events if midnight <= e["at"] <= NOW]
    assert (row["dau"], row["date"], row["period"]) == (users(today), NOW.date(), "24h")
    assert row["updated_at"] == NOW


def test_counts_include_both_ends(events: list[Row], tmp_path: Path) -> None:
    """Of a range that may be in the future."""
    ends = sorted(e["at"] for e in events[:20]) or [NOW]
    for start, end in zip(ends, reversed(ends), strict=True):
        values = {"from_ts": start, "to_ts": end}
        (row,) = ask(events, "UTC", "events_count", tmp_path, **values)
        assert row["count"] == sum(start <= e["at"] <= end for e in events)


def test_the_newest_events_of_a_user(events: list[Row], tmp_path: Path) -> None:
    """Newest first, with their properties as objects."""
    for user in ("u", "nobody"):
        (row,) = ask(events, "UTC", "user_events", tmp_path, user_id=user, limit=4)
        mine = [e for e in events if e["user_id"] == user]
        mine.sort(key=lambda e: (e["at"], e["event_id"]), reverse=True)
        found = json.loads(row["events"])
        assert [(e["event_name"], e["metadata"]) for e in found] == [
            (e["name"], json.loads(e["properties"])) for e in mine[:4]
        ]
        times = [datetime.fromisoformat(e["timestamp"]) for e in found]
        assert times == [e["at"] for e in mine[:4]]


def test_exports_have_all_events_or_those_that_filters_select(
    events: list[Row], tmp_path: Path
) -> None:
    """Days are those of UTC, and both are included."""
    first, last = dt.date(2026, 10, 1), dt.date(2026, 11, 1)
    cases: list[Mapping[str, Any]] = [
        {},
        {"start_date": first},
        {"end_date": last},
        {"start_date": first, "end_date": last, "event_type": "a"},
        {"user_id": "u"},
    ]
    for values in cases:
        rows = ask(events, "America/New_York", "events_export", tmp_path, **values)
        wanted = [
            e["event_id"]
            for e in sorted(events, key=lambda e: (e["at"], e["event_id"]))
            if values.get("start_date", dt.date.min) <= e["at"].date()
            and e["at"].date() <= values.get("end_date", dt.date.max)
            and values.get("event_type", e["name"]) == e["name"]
            and values.get("user_id", e["user_id"]) == e["user_id"]
        ]
        assert [row["id"] for row in rows] == wanted


@pytest.mark.parametrize(
    "text", ["h", "-5h", "0h", "24", "1.5h", "100000d", "7 d", "1w"]
)
def test_a_window_that_means_nothing_is_refused(text: str) -> None:
    """It is not taken for another one."""
    definition = catalogue("UTC").report("active_users")
    assert definition
    (parameter,) = definition.parameters
    assert parameter.type is ParameterType.DURATION
    with pytest.raises(ValueError, match="a duration such as"):
        parameter.parse(text)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """An API without a database, with three events; derived tables are built."""
    folder = tmp_path_factory.mktemp("events")
    lines = [
        line("e1", user_id="u1", properties='{"a":"=1+1","b":[1]}', source="web"),
        line("e2", user_id="u2", second=60, name="sign_up"),
        line("e3", user_id="u1", second=120),
    ]
    write_spool(folder / "spool", lines)
    drain(folder / "data", folder / "spool")
    views = folder / "views"
    views.mkdir()
    (views / "events").symlink_to(VIEWS / "events")
    derived = DerivedOptions(views, ZoneInfo("UTC"))
    options = Options(derived=derived)
    sync(NoDatabase(), folder / "data", [], lambda: datetime.now(UTC), options=options)
    settings = make_settings(data_dir=folder / "data", views_dir=views, tables="none")
    app = create_fixed_app(settings, datetime(2026, 11, 21, 10, 2, 30, tzinfo=UTC))
    return TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"})


def test_the_routes_answer_as_the_services_before(client: TestClient) -> None:
    """Addresses, parameters and shapes of the events service and the AI platform."""
    with client:

        def get(url: str, **query: Any) -> Any:
            return client.get(url, params=query)

        count = get(
            "/analytics/events/count",
            from_ts="2026-11-21T10:00:00",
            to_ts="2026-11-21T10:01:00Z",
        )
        assert count.json() == {"count": 2}
        top_events = get("/analytics/top-events", limit=1).json()
        assert top_events == {"top_events": [{"event_name": "page_view", "count": 2}]}
        active = get("/analytics/users/active", window="1m")
        assert active.json() == {"active_users": 1, "window": "1m"}
        assert get("/analytics/users/active").json()["active_users"] == 2
        assert get("/analytics/users/active", window="0h").status_code == 422
        mine = get("/analytics/user/u1/events", limit=5).json()
        assert mine["user_id"] == "u1"
        assert mine["events"][1] == {
            "event_name": "page_view",
            "metadata": {"a": "=1+1", "b": [1]},
            "timestamp": "2026-11-21T10:00:00.000000Z",
        }
        assert get("/analytics/user/nobody/events").json()["events"] == []
        dau = get("/api/analytics/reports/dau").json()
        assert (dau["dau"], dau["date"]) == (2, "2026-11-21")


def test_exports_choose_their_format_by_a_parameter(client: TestClient) -> None:
    """CSV and XLSX with a file name; formulas stay text; payload and id are there."""
    with client:
        url = "/api/analytics/reports/events"
        csv = client.get(url, params={"format": "csv", "event_type": "page_view"})
        assert csv.headers["content-type"].startswith("text/csv")
        assert "attachment" in csv.headers["content-disposition"]
        lines = csv.text.splitlines()
        assert lines[0] == "ts,user_id,type,src,id,payload"
        assert [each.split(",")[4] for each in lines[1:]] == ["e1", "e3"]
        workbook = client.get(url, params={"format": "xlsx"})
        assert workbook.content.startswith(b"PK")
        rows = client.get(url, params={"end_date": "2026-11-21"}).json()
        assert rows[0]["payload"] == {"a": "=1+1", "b": [1]}
        assert rows[0]["src"] == "web"
        assert client.get(url, params={"format": "pdf"}).status_code == 422


def test_the_derived_table_is_built_and_tested(client: TestClient) -> None:
    """A row per day and name."""
    with client:
        rows = client.get("/views/event_days").json()["rows"]
        assert rows == [
            {"day": "2026-11-21", "name": "page_view", "events": 2, "users": 1},
            {"day": "2026-11-21", "name": "sign_up", "events": 1, "users": 1},
        ]
        newest = client.get("/reports/newest_events", params={"limit": 1}).json()
        assert newest["rows"][0]["event_id"] == "e3"
        assert newest["rows"][0]["properties"] == {}


def test_without_events_nobody_notices_the_files() -> None:
    """They are neither loaded nor listed as errors or as left out."""
    without = load(VIEWS, tuple(TABLES))
    files = {d.file for d in without.definitions} | {e.file for e in without.unmirrored}
    assert not [file for file in files if file.startswith("events/")]
    assert without.errors == ()
    own = load(VIEWS, (*TABLES, "events"))  # a mirrored table of that name
    assert [d.name for d in own.definitions] == [d.name for d in without.definitions]
