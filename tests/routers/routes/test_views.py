"""Derived tables and reports over HTTP, by a real worker."""

import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from fastapi.testclient import TestClient

from routers.formats.media import TableFormat
from routers.views import answers
from routers.worker.client import Worker
from tests.routers.conftest import create_fixed_app, make_settings, served
from tests.support.derived import NOON, write_views
from tests.support.programs import ROOT
from tests.support.views import (
    FILES,
    TOKEN_HEADER,
    client_of_views,
    publish_rounds,
)


@pytest.fixture
def views_dir(tmp_path: Path) -> Path:
    """VIEWS_DIR with `FILES`."""
    return write_views(tmp_path / "views", **FILES)


@pytest.fixture
def built(data_dir: Path, views_dir: Path) -> Path:
    """DATA_DIR with all derived tables of `views_dir`."""
    publish_rounds(data_dir, views_dir)
    return data_dir


@pytest.fixture
def api(built: Path, views_dir: Path) -> Iterator[TestClient]:
    """A client of the API with derived tables and reports."""
    with client_of_views(built, views_dir) as client:
        yield client


def ids(response: Any) -> list[int]:
    """The ids of the rows of a document."""
    return [row["id"] for row in response.json()["rows"]]


def test_the_catalogue_describes_tables_reports_and_errors(api: TestClient) -> None:
    """Columns with units, SQL, inputs, tests, filters, parameters and freshness."""
    catalogue = api.get("/views").json()
    views = {view["name"]: view for view in catalogue["views"]}
    scores = views["scores"]
    assert (scores["address"], scores["rows"]) == ("/views/scores", 6)
    assert scores["columns"][2] == {
        "name": "score",
        "type": "integer",
        "unit": "points",
        "meaning": "Points of the round",
    }
    assert scores["order"] == ["-score", "id"]
    assert scores["limit"] == {"default": 4, "maximum": 5}
    assert [each["parameter"] for each in scores["filters"]] == [
        *("player", "player.ne", "player.in", "score", "score.gte", "score.lt"),
        *("price", "played_at.gte"),
    ]
    assert (scores["inputs"], scores["tests"]) == (["rounds"], ["unique(id)"])
    assert scores["built_at"] == "2026-11-25T12:00:00Z"
    assert views["players"]["columns"][2]["type"] == "integer"
    reports = {report["name"]: report for report in catalogue["reports"]}
    assert reports["since"]["parameters"][1] == {
        "name": "least",
        "type": "integer",
        "required": False,
        "default": 0,
        "minimum": 0,
        "maximum": 100,
        "unit": "points",
        "meaning": "",
    }
    assert reports["since"]["sql"] in FILES["b_since"]
    (error,) = catalogue["errors"]
    assert error == {
        "file": "g_broken.sql",
        "line": 3,
        "name": "broken",
        "message": "unknown key @colour",
    }


def test_an_unchanged_catalogue_is_304(api: TestClient) -> None:
    """It depends on the files and on the snapshot."""
    etag = api.get("/views").headers["ETag"]
    assert api.get("/views", headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [5, 2, 1, 3]),
        ({"limit": "5"}, [5, 2, 1, 3, 6]),
        ({"player": "ann"}, [1, 3, 6]),
        ({"player.ne": "ann"}, [5, 2, 4]),
        ({"player.in": "ann,bob"}, [2, 1, 3, 6]),
        ({"player.in": '"=x",bob'}, [5, 2]),
        ({"score": "10"}, [1, 3]),
        ({"score.gte": "10"}, [2, 1, 3]),
        ({"score.lt": "10", "player": "ann"}, [6]),
        ({"score": "99999999999"}, []),
        ({"price": "1"}, [2]),
        ({"played_at.gte": "2026-11-05T13:00:00+01:00"}, [5, 6]),
        ({"played_at.gte": "2026-11-06"}, [6]),
        ({"order": "id"}, [1, 2, 3, 4]),
        ({"order": "player,-id"}, [5, 6, 3, 1]),
    ],
)
def test_a_table_is_narrowed_ordered_and_limited(
    api: TestClient, query: dict[str, str], expected: list[int]
) -> None:
    """NULL is the largest value, as in SQL; the default order is the declared one."""
    assert ids(api.get("/views/scores", params=query)) == expected


def test_a_table_without_limit_has_all_rows(api: TestClient) -> None:
    """In every format."""
    for table_format in TableFormat:
        got = api.get(f"/views/everything.{table_format}")
        assert got.status_code == 200
        assert "X-Truncated" not in got.headers
    assert len(ids(api.get("/views/everything.json"))) == 6
    frame = pl.read_parquet(io.BytesIO(api.get("/views/everything.parquet").content))
    assert frame["id"].to_list() == [1, 2, 3, 4, 5, 6]


def test_pages_follow_each_other(api: TestClient) -> None:
    """`next` and the Link header lead there; the last page has neither."""
    url, shown = "/views/scores?limit=2&order=player", list[int]()
    while url:
        got = api.get(url)
        shown += ids(got)
        document = got.json()
        assert document["truncated"] == (document["next"] is not None)
        assert got.headers.get("X-Truncated") == ("rows" if document["next"] else None)
        link = f'<{document["next"]}>; rel="next"' if document["next"] else None
        assert got.headers.get("Link") == link
        url = document["next"]
    assert shown == [5, 1, 3, 6, 2, 4]


@pytest.mark.parametrize(
    ("path", "place", "name", "message"),
    [
        ("/views/scores?colour=x", "query", "colour", "use player, player.ne"),
        ("/views/scores?score=x", "query", "score", "score must be an integer"),
        ("/views/scores?price=x", "query", "price", "price must be"),
        ("/views/scores?played_at.gte=x", "query", "played_at.gte", "a timestamp"),
        ("/views/scores?limit=6", "query", "limit", "at most 5"),
        ("/views/scores?limit=0", "query", "limit", "at least 1"),
        ("/views/scores?order=colour", "query", "order", "unknown column 'colour'"),
        ("/views/scores?order=id,-id", "query", "order", "once"),
        ("/views/scores?after=x", "query", "after", "token"),
        ("/reports/since", "query", "since", "since is required"),
        ("/reports/since?since=x", "query", "since", "since must be a timestamp"),
        ("/reports/since?since=2026-11-01&least=101", "query", "least", "at most 100"),
        ("/reports/since?since=2026-11-01&x=1", "query", "x", "use since, least"),
    ],
)
def test_an_invalid_parameter_is_422_as_for_other_routes(
    api: TestClient, path: str, place: str, name: str, message: str
) -> None:
    """Named, with the value as sent and what is allowed."""
    got = api.get(path)
    assert got.status_code == 422
    (problem,) = got.json()["detail"]
    assert problem["loc"] == [place, name]
    assert message in problem["msg"]
    assert set(problem) >= {"type", "loc", "msg", "input"}


def test_a_report_is_computed_for_its_parameters(api: TestClient) -> None:
    """Exact integers and decimals; a timestamp without offset is in the zone."""
    got = api.get("/reports/since?since=2026-11-03&least=1")
    document = json.loads(got.content)
    assert [(row["player"], row["n"], row["total"]) for row in document["rows"]] == [
        ("ann", 2, 17),
        (None, 1, 5),
    ]
    assert document["rows"][0]["big"] == 2**53 + 1
    assert b'"price":0.10,' in got.content
    assert document["rows"][0]["since"] == "2026-11-03T00:00:00Z"
    assert document["columns"][1]["meaning"] == "Number of rounds"


@pytest.mark.parametrize("table_format", TableFormat)
def test_a_report_is_there_in_every_format(
    api: TestClient, table_format: TableFormat
) -> None:
    """By extension and by Accept."""
    query = "since=2026-11-01"
    got = api.get(f"/reports/since.{table_format}?{query}")
    assert got.headers["Content-Type"] == table_format.media_type
    sent = {"Accept": table_format.media_type}
    negotiated = api.get(f"/reports/since?{query}", headers=sent)
    assert negotiated.content == got.content
    assert "Accept" in negotiated.headers["Vary"]


def test_a_template_is_answered_as_a_list_of_objects(api: TestClient) -> None:
    """Unneeded parameters are ignored, values may be JSON numbers."""
    params = {"since": "2026-11-03", "least": 6, "interval": "day", "x": None}
    got = api.post("/report", json={"template": "since", "params": params})
    assert [(row["player"], row["n"]) for row in got.json()] == [("ann", 2)]
    assert got.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 400, "Template name is required"),
        ({"template": ""}, 400, "Template name is required"),
        ({"template": "x"}, 404, "Template 'x' not found"),
    ],
)
def test_a_template_that_is_not_there_is_an_error(
    api: TestClient, body: Any, status: int, detail: str
) -> None:
    """In the words that its clients know."""
    got = api.post("/report", json=body)
    assert (got.status_code, got.json()) == (status, {"detail": detail})


def test_a_template_with_wrong_parameters_is_422(api: TestClient) -> None:
    """`loc` names the place in the body."""
    got = api.post("/report", json={"template": "since", "params": {"since": 7}})
    assert got.json()["detail"][0]["loc"] == ["body", "params", "since"]
    assert api.post("/report", json=[1]).status_code == 422


def test_a_route_of_its_own_answers_rows_alone(api: TestClient) -> None:
    """`@one` is the first row as an object, `@missing` the text of its 404."""
    assert api.get("/players/ann").json() == {"player": "ann", "rounds": 3, "total": 27}
    assert api.get("/players/%3Dx").json()["rounds"] == 1
    missing = api.get("/players/zoe")
    assert (missing.status_code, missing.json()) == (
        404,
        {"detail": "Player not found"},
    )
    rows = api.get("/rounds/since?since=2026-11-06").json()
    assert [row["player"] for row in rows] == ["ann"]
    assert api.get("/rounds/since?since=2027-01-01").json() == []
    as_csv = api.get("/players/ann", headers={"Accept": "text/csv"})
    assert as_csv.text.splitlines() == ["player,rounds,total", "ann,3,27"]


@pytest.mark.parametrize(
    "path", ["/views", "/views/scores", "/reports/clock", "/players/ann"]
)
def test_every_answer_requires_the_token(api: TestClient, path: str) -> None:
    """A route of a file, too."""
    assert api.get(path, headers={"Authorization": "wrong"}).status_code == 401


def test_what_is_not_there_is_404_and_what_has_an_error_503(api: TestClient) -> None:
    """The detail names file and line."""
    assert api.get("/views/nix").status_code == 404
    assert api.get("/reports/scores").status_code == 404
    broken = api.get("/reports/broken")
    assert broken.status_code == 503
    assert "g_broken.sql:3" in broken.json()["detail"]


def test_an_etag_depends_on_inputs_and_request(
    api: TestClient, built: Path, views_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later snapshot with the same rows is 304, and no process is started for it."""
    paths = ["/views/scores", "/reports/since?since=2026-11-01", "/players/ann"]
    first = {path: api.get(path).headers["ETag"] for path in paths}
    clock = api.get("/reports/clock").headers["ETag"]
    publish_rounds(built, views_dir, NOON + timedelta(minutes=10))

    async def started(*_: object, **__: object) -> None:
        raise AssertionError("started")

    monkeypatch.setattr(Worker, "run", started)
    for path, etag in first.items():
        again = api.get(path, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["X-Data-Updated-At"] == "2026-11-25T12:10:00Z"
        assert again.headers["Vary"] == "Accept, Accept-Encoding"
    other = api.get("/reports/clock", headers={"If-None-Match": clock})
    assert other.status_code == 500  # it reads the clock, so it is computed again


def test_a_file_that_changes_is_used_without_a_restart(
    api: TestClient, views_dir: Path
) -> None:
    """Its SQL and its parameters; a new file as well."""
    changed = FILES["f_clock"].replace("count(*)", "42")
    write_views(
        views_dir, f_clock=changed, h_new=FILES["f_clock"].replace("clock", "new")
    )
    assert api.get("/reports/clock").json()["rows"][0]["n"] == 42
    assert api.get("/reports/new").json()["rows"] == [
        {"instant": "2026-11-25T12:00:00Z", "n": 6}
    ]
    (views_dir / "h_new.sql").unlink()
    assert api.get("/reports/new").status_code == 404


def test_a_table_that_was_not_built_yet_is_503(
    api: TestClient, views_dir: Path
) -> None:
    """The next sync builds it."""
    write_views(views_dir, z_later=FILES["a_tables"].replace("scores", "later"))
    (views_dir / "a_tables.sql").unlink()
    got = api.get("/views/later")
    assert got.status_code == 503
    assert "not built yet" in got.json()["detail"]


def test_a_report_that_fails_is_500_without_the_engines_text(
    api: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The text may quote rows, so it is in the log only."""
    got = api.get("/reports/failing?text=secret")
    assert (got.status_code, got.json()) == (
        500,
        {"detail": "The report failing failed"},
    )
    assert "e_failing.sql:4" in caplog.text


def test_a_report_that_needs_too_much_memory_is_503(
    built: Path, views_dir: Path
) -> None:
    """Its process has a limit; the API answers on."""
    with client_of_views(built, views_dir, report_memory_mb=100) as client:
        got = client.get("/reports/hungry")
        assert (got.status_code, got.json()["detail"]) == (
            503,
            "hungry needs more than 100 MB of memory",
        )
        assert client.get("/reports/escaping?n=2000000000").status_code == 503
        assert client.get("/reports/clock").status_code == 200


@pytest.fixture
def slow_url(built: Path, views_dir: Path) -> Iterator[str]:
    """A real server whose reports may take 4 seconds."""
    settings = make_settings(data_dir=built, views_dir=views_dir, report_seconds=4)
    with served(create_fixed_app(settings, NOON)) as url:
        yield url


def test_a_slow_report_is_504_and_does_not_hold_health(slow_url: str) -> None:
    """It is killed at the deadline."""
    answers_of: list[httpx.Response] = []

    def ask() -> None:
        url = f"{slow_url}/reports/slow"
        answers_of.append(httpx.get(url, headers=TOKEN_HEADER, timeout=60))

    thread = threading.Thread(target=ask)
    thread.start()
    waits = []
    while thread.is_alive():
        began = time.perf_counter()
        assert httpx.get(f"{slow_url}/health").status_code == 200
        waits.append(time.perf_counter() - began)
    thread.join()
    (got,) = answers_of
    assert got.status_code == 504
    assert "longer than 4 seconds" in got.json()["detail"]
    assert len(waits) > 5
    assert max(waits) < 3


def test_a_client_that_disconnects_ends_its_report(slow_url: str) -> None:
    """So the next one need not wait for it."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{slow_url}/reports/slow", headers=TOKEN_HEADER, timeout=0.5)
    began = time.perf_counter()
    got = httpx.get(f"{slow_url}/reports/clock", headers=TOKEN_HEADER, timeout=60)
    assert got.status_code == 200
    assert time.perf_counter() - began < 4


def test_a_full_queue_is_503(slow_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One report runs, and no other may wait."""
    monkeypatch.setattr(answers, "MAX_WAITING", 0)
    got = httpx.get(f"{slow_url}/reports/slow", headers=TOKEN_HEADER, timeout=60)
    assert got.status_code == 503
    assert got.headers["Retry-After"] == "5"


def test_the_openapi_document_has_an_operation_per_definition(api: TestClient) -> None:
    """With typed parameters, units and meanings."""
    paths = api.get("/openapi.json").json()["paths"]
    scores = paths["/views/scores"]["get"]
    parameters = {each["name"]: each for each in scores["parameters"]}
    assert parameters["score.gte"]["schema"] == {"type": "integer"}
    assert parameters["limit"]["schema"]["maximum"] == 5
    document = scores["responses"]["200"]["content"]["application/json"]["schema"]
    row = document["properties"]["rows"]["items"]["properties"]
    assert row["score"] == {
        "type": "integer",
        "description": "Points of the round (points)",
    }
    since = {p["name"]: p for p in paths["/reports/since"]["get"]["parameters"]}
    assert since["since"]["required"] is True
    assert since["since"]["schema"] == {"type": "string", "format": "date-time"}
    assert since["since"]["description"] == "First instant, included"
    assert since["least"]["schema"] == {
        "type": "integer",
        "default": 0,
        "minimum": 0,
        "maximum": 100,
    }
    (player, *_) = paths["/players/{player}"]["get"]["parameters"]
    assert (player["name"], player["in"], player["required"]) == (
        "player",
        "path",
        True,
    )


@pytest.mark.parametrize("used", [False, True])
def test_the_api_never_imports_the_engine(
    built: Path, views_dir: Path, tmp_path: Path, used: bool
) -> None:
    """Neither without SQL files nor with them; without them there is no worker."""
    folder = views_dir if used else tmp_path / "empty"
    script = (
        "import sys\n"
        "from fastapi.testclient import TestClient\n"
        "from main import create_app\n"
        "from config import Settings\n"
        "app = create_app(Settings.model_validate(dict(\n"
        f"    analytics_secret_token='t', data_dir={str(built)!r},\n"
        f"    views_dir={str(folder)!r})))\n"
        "with TestClient(app, headers={'Authorization': 't'}) as client:\n"
        "    print(client.get('/views').status_code, app.state.worker.is_running)\n"
        "print([m for m in ('duckdb', 'xlsxwriter') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-3:-1] == [f"200 {used}", "[]"]
