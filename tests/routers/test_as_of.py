"""`as_of`: the answer of an earlier instant, from the snapshot of that time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from bench.data import FrameSource
from demo.sample import sample
from readmodel.store.history import kept_snapshots
from readmodel.sync.run import Options, sync
from readmodel.tables import TABLES
from tests.routers.conftest import client_of, make_settings

FIRST = datetime(2026, 3, 18, 9, tzinfo=UTC)
SECOND = datetime(2026, 11, 19, 9, tzinfo=UTC)
NOW = SECOND + timedelta(hours=5)
PATHS = (
    "/",
    "/?period=7d&sections=traffic,votes,historical",
    "/daily-analytics",
    "/historical.csv",
    "/reoccurring",
    "/breakdown/country",
    "/breakdown/country.csv",
    "/room/{room}/stats",
    "/rooms?limit=5",
    "/room/{room}/stats?from=2024-06-03",
)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DATA_DIR with two snapshots a day apart, the second with more rows."""
    data_dir = tmp_path_factory.mktemp("history") / "data"
    everything = sample(NOW, 0.05)
    options = Options(retention=timedelta(days=30))
    for at in (FIRST, SECOND):
        tables = {
            name: rows if name == "fpp_rooms" else rows.filter(_earlier(rows, at))
            for name, rows in everything.items()
        }
        sync(
            FrameSource(tables),
            data_dir,
            list(TABLES.values()),
            partial(_same, at),
            options=Options(full=True, retention=options.retention),
        )
    return data_dir


def _same(at: datetime) -> datetime:
    return at


def _earlier(rows: pl.DataFrame, at: datetime) -> pl.Expr:
    (column,) = [
        c for c, dtype in rows.schema.items() if dtype == pl.Datetime("us", "UTC")
    ][:1]
    return pl.col(column) <= at


def busiest_room(client: TestClient) -> int:
    """The room that had the most votes in the first snapshot."""
    room: int = client.get(f"/rooms?limit=1&as_of={FIRST:%Y-%m-%dT%H:%M:%SZ}").json()[
        "rows"
    ][0]["room_id"]
    return room


def asking(data_dir: Path, moment: datetime) -> TestClient:
    """A client of an API whose clock shows *moment*."""
    settings = make_settings(data_dir=data_dir, snapshot_retention=timedelta(days=30))
    return client_of(settings, moment)


@pytest.fixture(scope="module")
def later(history: Path) -> Iterator[TestClient]:
    """A client of today's API."""
    with asking(history, NOW) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
def test_it_equals_what_was_answered_then(
    history: Path, later: TestClient, path: str, tmp_path: Path
) -> None:
    """But for the echo of the parameters."""
    path = path.format(room=busiest_room(later))
    then = FIRST + timedelta(hours=2)
    only_first = tmp_path / "data"
    (only_first / "snapshots").mkdir(parents=True)
    first = kept_snapshots(history)[0].id
    (only_first / "snapshots" / first).symlink_to(history / "snapshots" / first)
    (only_first / "current").symlink_to(f"snapshots/{first}")
    with asking(only_first, then) as client:
        expected = client.get(path)
    mark = "&" if "?" in path else "?"
    found = later.get(f"{path}{mark}as_of={then:%Y-%m-%dT%H:%M:%SZ}")
    assert found.status_code == expected.status_code == 200
    assert later.get(path).content != expected.content
    if expected.headers["content-type"] != "application/json":
        assert found.content == expected.content
        return
    answer, then_answered = found.json(), expected.json()
    if "query" in then_answered:
        assert answer["query"].pop("as_of") == then.isoformat().replace("+00:00", "Z")
    echo = {"query", "data_updated_at"} - then_answered.keys()
    assert {k: v for k, v in answer.items() if k not in echo} == then_answered


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
    newest, oldest = answer["snapshots"]
    assert (oldest["instant"], newest["instant"]) == (
        "2026-03-18T09:00:00Z",
        "2026-11-19T09:00:00Z",
    )
    assert oldest["own_bytes"] > 0
    files = (history / "snapshots" / newest["id"]).rglob("*.*")
    total = sum(file.stat().st_size for file in files if file.is_file())
    assert 0 < newest["own_bytes"] <= total
    assert later.get("/snapshots?as_of=2026-03-18T12:00:00Z").status_code == 422
