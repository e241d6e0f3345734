"""`as_of`: the answer of an earlier instant, from the snapshot of that time."""

import io
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from fastapi.testclient import TestClient

from bench.data import FrameSource
from demo.sample import sample
from main import app
from readmodel.store.history import kept_snapshots
from readmodel.sync import derived_client
from readmodel.sync.derived import DerivedOptions
from readmodel.sync.drain import drain
from readmodel.sync.run import Options, sync
from readmodel.tables import TABLES
from tests.routers.conftest import client_of, make_settings
from tests.support import preloaded
from tests.support.derived import table_sql, write_views
from tests.support.effort import bounded, some_long
from tests.support.events import rejected_line, write_spool
from tests.support.sample import TOKEN

FIRST = datetime(2026, 3, 18, 9, tzinfo=UTC)
SECOND = datetime(2026, 11, 19, 9, tzinfo=UTC)
NOW = SECOND + timedelta(hours=5)
INSTANT = "2026-03-18T11:00:00Z"
RETENTION = timedelta(days=30)
THEN = FIRST + timedelta(hours=2)
QUERY_TOKEN = "q" * 40

VIEWS = {
    "rooms": table_sql(
        "votes_by_room",
        "SELECT room_id, count(*) AS votes, now() AS at FROM fpp_votes GROUP BY room_id",
        "@order room_id",
        "@filter votes [>=]",
        "@limit 4 1000",
        "@test unique(room_id)",
    ),
    "since": """\
-- @name votes_since
-- @type report
-- @param day date 2024-06-03
SELECT count(*) AS votes, max(voted_at) AS last, now() AS at FROM fpp_votes
WHERE voted_at >= $day
""",
}

DAYS = "from=2025-01-01&to=2026-03-18"
FORMATS = ("csv", "xlsx", "json", "parquet", "ndjson")

ASKED: Mapping[str, Sequence[str]] = {
    "GET /": (
        "/",
        "/?period=7d&sections=traffic,votes,historical",
        f"/?{DAYS}&compare=previous&interval=week&filter=country:DE",
    ),
    "GET /daily-analytics": ("/daily-analytics", "/daily-analytics?period=30d"),
    "GET /daily-analytics.{extension}": ("/daily-analytics.{extension}",),
    "GET /historical": ("/historical", f"/historical?{DAYS}&interval=month"),
    "GET /historical.csv": ("/historical.csv",),
    "GET /historical.{extension}": ("/historical.{extension}",),
    "GET /reoccurring": ("/reoccurring", "/reoccurring?weekends=true"),
    "GET /reoccurring.csv": ("/reoccurring.csv",),
    "GET /reoccurring.{extension}": ("/reoccurring.{extension}",),
    "GET /breakdown/{dimension}": (
        "/breakdown/country",
        f"/breakdown/room?{DAYS}&limit=3&offset=2",
        "/breakdown/estimation",
    ),
    "GET /breakdown/{dimension}.csv": ("/breakdown/country.csv",),
    "GET /breakdown/{dimension}.{extension}": ("/breakdown/source.{extension}",),
    "GET /retention": ("/retention", "/retention?of=rooms"),
    "GET /rooms": ("/rooms?limit=5", f"/rooms?{DAYS}"),
    "GET /rooms/{room_id}": ("/rooms/{room}", f"/rooms/{{room}}?{DAYS}"),
    "GET /room/{room_id}/stats": (
        "/room/{room}/stats",
        "/room/{room}/stats?from=2024-06-03",
    ),
    "GET /room/{room_id}/stats.{extension}": ("/room/{room}/stats.{extension}",),
    "GET /v1/statistics": (
        "/v1/statistics",
        f"/v1/statistics?{DAYS}&compare=previous&interval=week",
    ),
    "GET /v1/rooms/{room_id}/statistics": (
        "/v1/rooms/{room}/statistics",
        "/v1/rooms/{room}/statistics?from=2024-06-03",
    ),
    "GET /events/rejected": ("/events/rejected",),
    "GET /events/rejected.{extension}": ("/events/rejected.{extension}",),
    "GET /views": ("/views",),
    "GET /views/{object}": (
        "/views/votes_by_room",
        "/views/votes_by_room?votes.gte=2&order=-votes&limit=3",
    ),
    "GET /views/{object}.{extension}": ("/views/votes_by_room.{extension}",),
    "GET /reports/{name}": (
        "/reports/votes_since",
        "/reports/votes_since?day=2026-03-01",
    ),
    "GET /reports/{name}.{extension}": ("/reports/votes_since.{extension}",),
    "POST /report": ("/report",),
    "GET /query/tables": ("/query/tables",),
    "POST /query": ("/query",),
}
"""Operation that takes `as_of` -> addresses to ask."""

WITHOUT_DATA = {"GET /link"}
"""Operations that take `as_of` and answer nothing of a snapshot."""

BODIES: Mapping[str, Any] = {
    "/report": {"template": "votes_since", "params": {"day": "2026-03-01"}},
    "/query": {
        "sql": "SELECT room_id, count(*) AS n, now() AS at FROM fpp_votes GROUP BY 1"
    },
}


@pytest.fixture(scope="module")
def views_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A derived table and a report."""
    return write_views(tmp_path_factory.mktemp("as_of") / "views", **VIEWS)


@pytest.fixture(scope="module")
def history(views_dir: Path) -> Path:
    """A DATA_DIR with snapshots of two instants, the second with more rows.

    A minute after each, rejected events were taken into one more snapshot.
    """
    data_dir, spool_dir = views_dir.parent / "data", views_dir.parent / "spool"
    everything = sample(NOW, 0.05)
    derived = DerivedOptions(views_dir, ZoneInfo("UTC"), 256, seconds=60)
    for number, at in enumerate((FIRST, SECOND), 1):
        tables = {
            name: rows if name == "fpp_rooms" else rows.filter(_earlier(rows, at))
            for name, rows in everything.items()
        }
        with preloaded.used_by(derived_client):
            sync(
                FrameSource(tables),
                data_dir,
                list(TABLES.values()),
                partial(_same, at),
                options=Options(full=True, retention=RETENTION, derived=derived),
            )
        letters = [rejected_line(f"r{number}-{index}") for index in range(number * 2)]
        write_spool(spool_dir, letters, number)
        drain(data_dir, spool_dir, partial(_same, at + timedelta(minutes=1)))
    return data_dir


def _same(at: datetime) -> datetime:
    return at


def _earlier(rows: pl.DataFrame, at: datetime) -> pl.Expr:
    (column,) = [
        c for c, dtype in rows.schema.items() if dtype == pl.Datetime("us", "UTC")
    ][:1]
    return pl.col(column) <= at


def busiest_room(client: TestClient) -> int:
    """The room with the most votes."""
    room: int = client.get("/rooms?limit=1").json()["rows"][0]["room_id"]
    return room


def asking(data_dir: Path, moment: datetime, views_dir: Path) -> TestClient:
    """A client of an API whose clock shows *moment*."""
    settings = make_settings(
        data_dir=data_dir,
        views_dir=views_dir,
        snapshot_retention=RETENTION,
        sql_tokens=QUERY_TOKEN,
        # Only the second snapshot is late, and no answer says so.
        sync_interval_seconds=10**8,
    )
    return client_of(settings, moment)


@pytest.fixture(scope="module")
def later(history: Path, views_dir: Path) -> Iterator[TestClient]:
    """A client of today's API."""
    with asking(history, NOW, views_dir) as client:
        yield client


@pytest.fixture(scope="module")
def earlier(
    history: Path, views_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A client of the API as it was at THEN: there was nothing but its snapshot."""
    data_dir = tmp_path_factory.mktemp("then")
    (data_dir / "snapshots").mkdir()
    snapshot = [each.id for each in kept_snapshots(history) if each.instant <= THEN][-1]
    link = data_dir / "snapshots" / snapshot
    # A copy: queries are confined to the files below DATA_DIR.
    shutil.copytree(history / "snapshots" / snapshot, link)
    (data_dir / "current").symlink_to(f"snapshots/{snapshot}")
    with asking(data_dir, THEN, views_dir) as client:
        yield client


def ask(client: TestClient, path: str, as_of: str | None = None) -> Any:
    """The answer to *path*, now or as at an instant."""
    mark = "&" if "?" in path else "?"
    url = f"{path}{mark}as_of={as_of}" if as_of else path
    token = QUERY_TOKEN if path.startswith("/query") else TOKEN
    headers = {"Authorization": f"Bearer {token}"}
    if path not in BODIES:
        return client.get(url, headers=headers)
    # In its order, as CSV: a document of rows has the time that the query took.
    headers["Accept"] = "text/csv"
    return client.post(url, json=BODIES[path], headers=headers)


def without_echo(answer: bytes, expected: bytes) -> bytes:
    """*answer* without what only repeats `as_of`.

    An answer without parameters has no echo, and not always the instant of its data;
    with `as_of` it has both. The address of the next page repeats it as well.
    """
    if b'"query":{' not in expected:
        answer = re.sub(rb',"query":\{[^{}]*\}', b"", answer)
    if b'"data_updated_at"' not in expected:
        answer = re.sub(rb',"data_updated_at":"[^"]*"', b"", answer)
    answer = answer.replace(f',"as_of":"{INSTANT}"'.encode(), b"")
    answer = re.sub(rb'\?as_of=[^&"]*&', b"?", answer)
    return re.sub(rb'[?&]as_of=[^&"]*', b"", answer)


def content_of(response: Any) -> bytes | dict[str, bytes]:
    """The bytes; of a workbook those of its files but the one with the time it was made."""
    if "spreadsheet" not in response.headers["content-type"]:
        content: bytes = response.content
        return content
    with ZipFile(io.BytesIO(response.content)) as book:
        names = set(book.namelist()) - {"docProps/core.xml"}
        return {name: book.read(name) for name in sorted(names)}


def test_every_answer_that_takes_the_parameter_is_asked() -> None:
    """A new route belongs into the table."""
    document = app.openapi()
    found = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if any(each["name"] == "as_of" for each in operation.get("parameters", ()))
    }
    assert found - WITHOUT_DATA == set(ASKED)


def formats_of(operation: str) -> Sequence[str]:
    """Two formats, others for each operation; all of them in a thorough run."""
    first = list(ASKED).index(operation) % len(FORMATS)
    return bounded([*FORMATS[first:], *FORMATS[:first]], 2)


@pytest.mark.parametrize("operation", some_long(ASKED, 3))
def test_it_equals_what_was_answered_then(
    earlier: TestClient, later: TestClient, operation: str
) -> None:
    """Byte for byte, but for the echo of the parameter."""
    room = busiest_room(earlier)
    for path in ASKED[operation]:
        for extension in formats_of(operation) if "{extension}" in path else ("",):
            asked = path.format(room=room, extension=extension)
            expected, found = ask(earlier, asked), ask(later, asked, INSTANT)
            assert found.status_code == expected.status_code == 200, found.text
            assert ask(later, asked).content != expected.content, asked
            then, now = content_of(expected), content_of(found)
            if isinstance(now, bytes) and isinstance(then, bytes):
                now = without_echo(now, then)
            assert now == then, asked
            for name in ("content-type", "content-disposition", "x-data-updated-at"):
                assert found.headers.get(name) == expected.headers.get(name)


def test_the_echo_names_the_instant(later: TestClient) -> None:
    """With the offset that was sent."""
    answer = later.get("/", params={"as_of": "2026-03-18T12:00:00+01:00"}).json()
    assert answer["query"]["as_of"] == "2026-03-18T12:00:00+01:00"
    assert answer["data_updated_at"] == "2026-03-18T09:00:00Z"


def test_an_answer_has_the_same_instant_as_its_snapshot(later: TestClient) -> None:
    """`as_of` with the `data_updated_at` of an answer gives its snapshot."""
    newest = later.get("/").json()["data_updated_at"]
    again = later.get("/", params={"as_of": newest}).json()
    assert again["data_updated_at"] == newest


def test_an_unchanged_answer_is_304(later: TestClient) -> None:
    """An earlier snapshot never changes."""
    path = "/?as_of=2026-03-18T12:00:00Z"
    etag = later.get(path).headers["etag"]
    assert later.get(path, headers={"If-None-Match": etag}).status_code == 304
    other = later.get("/").headers["etag"]
    assert other != etag


@pytest.mark.parametrize(
    ("value", "status", "message"),
    [
        ("2026-03-18T08:59:59Z", 404, "the oldest one is of 2026-03-18T09:00:00+00:00"),
        ("2026-11-19", 422, "use an instant with its offset"),
        ("2026-11-19T12:00:00", 422, "use an instant with its offset"),
        ("yesterday", 422, "use an instant with its offset"),
        ("", 422, "use an instant with its offset"),
        ("2027-01-01T00:00:00Z", 422, "not in the future"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/breakdown/country.csv", "/rooms"])
def test_what_cannot_be_answered_is_refused(
    later: TestClient, path: str, value: str, status: int, message: str
) -> None:
    """404 for what is not kept, 422 for what is no instant of the past."""
    answer = later.get(path, params={"as_of": value})
    assert answer.status_code == status
    assert message in answer.text


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ("as_of=2026-03-18T08:59:59Z", 404),
        ("as_of=2026-11-19", 422),
        ("as_of=2027-01-01T00:00:00Z", 422),
        (f"as_of={INSTANT}&as_of={INSTANT}", 422),
        (f"as_of={INSTANT}&limit=5", 422),
    ],
)
@pytest.mark.parametrize("path", ["/query", "/query/tables"])
def test_a_query_of_no_snapshot_is_refused(
    later: TestClient, path: str, parameters: str, status: int
) -> None:
    """As any other answer; what belongs into the body is no parameter."""
    headers = {"Authorization": f"Bearer {QUERY_TOKEN}"}
    url = f"{path}?{parameters}"
    if path == "/query":
        got = later.post(url, json=BODIES["/query"], headers=headers)
    else:
        got = later.get(url, headers=headers)
    assert got.status_code == status, got.text


def test_nothing_is_posted_for_an_earlier_instant(history: Path) -> None:
    """The e-mail service would be asked for a second e-mail."""
    settings = make_settings(
        data_dir=history, bea_base_url="http://127.0.0.1:1", bea_secret_key="s3cret"
    )
    with client_of(settings, NOW) as client:
        path = "/daily-analytics?as_of=2026-03-18T12:00:00Z"
        assert client.get(path).status_code == 200


def test_the_snapshots_are_listed_with_their_costs(
    history: Path, later: TestClient
) -> None:
    """Newest first; what both share is in neither's bytes."""
    answer = later.get("/snapshots").json()
    assert answer["retention_seconds"] == 30 * 86_400
    assert [each["instant"] for each in answer["snapshots"]] == [
        "2026-11-19T09:01:00Z",
        "2026-11-19T09:00:00Z",
        "2026-03-18T09:01:00Z",
        "2026-03-18T09:00:00Z",
    ]
    newest, *_, oldest = answer["snapshots"]
    assert oldest["own_bytes"] > 0
    files = (history / "snapshots" / newest["id"]).rglob("*.*")
    total = sum(file.stat().st_size for file in files if file.is_file())
    assert 0 < newest["own_bytes"] <= total
    assert later.get("/snapshots?as_of=2026-03-18T12:00:00Z").status_code == 422
