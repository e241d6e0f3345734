"""Derived tables and reports over HTTP, by a real worker."""

import io
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import polars as pl
import pytest
from fastapi.testclient import TestClient

from readmodel.tables import EVENT_TABLE_NAMES, TABLES
from routers.formats.media import TableFormat
from routers.routes.declared import add_routes
from routers.views import answers
from routers.worker.client import Worker
from sqlfiles.catalogue import load
from tests.routers.conftest import create_fixed_app, make_settings, served
from tests.support.derived import NOON, run_derived, table_sql, write_views
from tests.support.effort import some_long
from tests.support.programs import ROOT
from tests.support.views import (
    EVERYTHING,
    FILES,
    PLAYERS,
    SCORES,
    TOKEN_HEADER,
    client_of_views,
    publish_rounds,
    rounds,
)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with VIEWS_DIR and DATA_DIR, which no test changes."""
    folder = tmp_path_factory.mktemp("views")
    views_dir = write_views(folder / "views", **FILES)
    publish_rounds(folder / "data", views_dir)
    return folder


@pytest.fixture(scope="session")
def api(template: Path) -> Iterator[TestClient]:
    """A client of the API with derived tables and reports; all tests share it."""
    data_dir, views_dir = template / "data", template / "views"
    with client_of_views(data_dir, views_dir, rate_limit_per_minute=0) as client:
        yield client


@pytest.fixture
def views_dir(tmp_path: Path) -> Path:
    """VIEWS_DIR with `FILES`."""
    return write_views(tmp_path / "views", **FILES)


@pytest.fixture
def built(template: Path, data_dir: Path) -> Path:
    """DATA_DIR with all derived tables of `views_dir`."""
    return shutil.copytree(template / "data", data_dir, symlinks=True)


@pytest.fixture
def own_api(built: Path, views_dir: Path) -> Iterator[TestClient]:
    """A client of an API whose tables and files the test may change."""
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
    (problem,) = got.json()["errors"]
    assert (problem["location"], problem["parameter"]) == (place, name)
    assert message in problem["message"]


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
    assert got.json()["errors"][0]["parameter"] == "params.since"
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


def test_no_shipped_route_is_a_route_of_the_api(data_dir: Path) -> None:
    """`/rooms/{room_id}/pace`, a report, is served beside `/rooms/{room_id}`."""
    app = create_fixed_app(make_settings(data_dir=data_dir))
    assert "/rooms/{room_id}" in app.openapi()["paths"]
    names = (*TABLES, *EVENT_TABLE_NAMES)
    catalogue = load(ROOT / "views", names, ZoneInfo("UTC"))
    added = add_routes(app, ROOT / "views")
    assert "/rooms/{room_id}/pace" in added
    assert set(added) == {found.route for found in catalogue.definitions if found.route}


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


UNKNOWN_KEY = SCORES.replace("@description", "@colour")


def kept_scores(client: TestClient) -> dict[str, Any]:
    """What the catalogue says of the table `scores`."""
    views = client.get("/views").json()["views"]
    (found,) = [view for view in views if view["object"] == "scores"]
    return dict(found)


@pytest.mark.parametrize(
    ("text", "line"),
    some_long(
        [
            pytest.param(UNKNOWN_KEY, 4, id="an unknown key"),
            pytest.param(
                SCORES.replace("rounds", "nothing"), 14, id="an unknown table"
            ),
            pytest.param("SELECT 1", 1, id="no header"),
        ]
    ),
)
def test_a_table_whose_definition_has_an_error_keeps_its_last_good_rows(
    own_api: TestClient, built: Path, views_dir: Path, text: str, line: int
) -> None:
    """Before and after the next sync; the catalogue and the header say so."""
    (views_dir / "a_tables.sql").write_text(text + EVERYTHING + PLAYERS)
    for at in (NOON, NOON + timedelta(minutes=10)):
        got = own_api.get("/views/scores?order=id&player.in=ann,bob")
        assert (got.status_code, ids(got)) == (200, [1, 2, 3, 6])
        assert got.headers["X-Stale-Since"] == f"{at:%Y-%m-%dT%H:%M:%SZ}"
        described = kept_scores(own_api)
        assert described["stale_since"] == got.headers["X-Stale-Since"]
        assert f"a_tables.sql:{line}: " in described["failed_because"]
        assert (described["rows"], described["sql"]) == (6, "")
        assert described["built_at"] == "2026-11-25T12:00:00Z"
        assert [c["name"] for c in described["columns"]] == rounds().columns
        assert "score.gte" in [each["parameter"] for each in described["filters"]]
        if at == NOON:
            publish_rounds(built, views_dir, NOON + timedelta(minutes=10))


def test_a_mended_definition_is_no_longer_stale(
    own_api: TestClient, views_dir: Path
) -> None:
    """Its ETag differs from that of the rows that were kept."""
    tables = (views_dir / "a_tables.sql").read_text()
    write_views(views_dir, a_tables=UNKNOWN_KEY + EVERYTHING + PLAYERS)
    kept = own_api.get("/views/scores?limit=5").headers["ETag"]
    write_views(views_dir, a_tables=tables)
    got = own_api.get("/views/scores?limit=5", headers={"If-None-Match": kept})
    assert got.status_code == 200
    assert "X-Stale-Since" not in got.headers
    assert kept_scores(own_api)["stale_since"] is None


def test_a_table_whose_file_is_gone_is_404(
    own_api: TestClient, views_dir: Path
) -> None:
    """No error explains it, so it is no table that waits to be mended."""
    (views_dir / "a_tables.sql").unlink()
    assert own_api.get("/views/scores").status_code == 404


def test_an_etag_depends_on_inputs_and_request(
    own_api: TestClient, built: Path, views_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later snapshot with the same rows is 304, and no process is started for it."""
    paths = ["/views/scores", "/reports/since?since=2026-11-01", "/players/ann"]
    first = {path: own_api.get(path).headers["ETag"] for path in paths}
    clock = own_api.get("/reports/clock").headers["ETag"]
    publish_rounds(built, views_dir, NOON + timedelta(minutes=10))

    async def started(*_: object, **__: object) -> None:
        raise AssertionError("started")

    monkeypatch.setattr(Worker, "run", started)
    for path, etag in first.items():
        again = own_api.get(path, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["X-Data-Updated-At"] == "2026-11-25T12:10:00Z"
        assert again.headers["Vary"] == "Accept, Accept-Encoding"
    other = own_api.get("/reports/clock", headers={"If-None-Match": clock})
    assert other.status_code == 500  # it reads the clock, so it is computed again


def test_a_file_that_changes_is_used_without_a_restart(
    own_api: TestClient, views_dir: Path
) -> None:
    """Its SQL and its parameters; a new file as well."""
    changed = FILES["f_clock"].replace("count(*)", "42")
    write_views(
        views_dir, f_clock=changed, h_new=FILES["f_clock"].replace("clock", "new")
    )
    assert own_api.get("/reports/clock").json()["rows"][0]["n"] == 42
    assert own_api.get("/reports/new").json()["rows"] == [
        {"instant": "2026-11-25T12:00:00Z", "n": 6}
    ]
    (views_dir / "h_new.sql").unlink()
    assert own_api.get("/reports/new").status_code == 404


def test_a_table_that_was_not_built_yet_is_503(
    own_api: TestClient, views_dir: Path
) -> None:
    """The next sync builds it."""
    write_views(views_dir, z_later=FILES["a_tables"].replace("scores", "later"))
    (views_dir / "a_tables.sql").unlink()
    got = own_api.get("/views/later")
    assert got.status_code == 503
    assert "not built yet" in got.json()["detail"]


def test_where_tables_are_not_mirrored_what_reads_them_is_404(
    data_dir: Path, tmp_path: Path
) -> None:
    """Other definitions are served, although the statistics are not."""
    votes = table_sql("votes", "SELECT * FROM fpp_votes")
    busy = "-- @name busy\n-- @type report\nSELECT * FROM votes"
    views = write_views(tmp_path / "views", a=EVERYTHING, b=votes, c=busy)
    run_derived(data_dir, views, {"rounds": rounds()}, configured=["rounds"])
    with client_of_views(data_dir, views) as client:
        assert client.get("/").status_code == 404
        assert len(client.get("/views/everything").json()["rows"]) == 6
        for path, detail in (
            (
                "/views/votes",
                "view votes reads fpp_votes, which TABLES does not mirror",
            ),
            ("/reports/busy.csv", "report busy reads votes, which is not built"),
        ):
            got = client.get(path)
            assert (got.status_code, got.json()) == (404, {"detail": f"The {detail}"})
        catalogue = client.get("/views").json()
    assert catalogue["errors"] == []
    assert [each["name"] for each in catalogue["unmirrored"]] == ["votes", "busy"]


def test_rows_that_are_older_than_the_snapshot_say_since_when(
    data_dir: Path, tmp_path: Path
) -> None:
    """Of a derived table and of a report, if a table that they read has failed."""
    largest = "-- @name largest\n-- @type report\nSELECT max(id) AS id FROM rounds"
    views = write_views(tmp_path / "views", a=EVERYTHING, b=largest)
    tables = {"rounds": rounds()}
    run_derived(data_dir, views, tables, configured=["rounds"])
    with client_of_views(data_dir, views) as client:
        for path in ("/views/everything", "/reports/largest"):
            assert "X-Stale-Since" not in client.get(path).headers
        late = NOON + timedelta(minutes=10)
        run_derived(
            data_dir, views, tables, late, configured=["rounds"], failed=["rounds"]
        )
        for path in ("/views/everything", "/reports/largest"):
            got = client.get(path)
            assert got.status_code == 200
            assert got.headers["X-Stale-Since"] == "2026-11-25T12:10:00Z"


def test_what_reads_a_table_that_was_never_read_is_503(
    data_dir: Path, tmp_path: Path
) -> None:
    """It names the table and the reason; the others are served."""
    names = table_sql("names", "SELECT name FROM teams")
    largest = "-- @name largest\n-- @type report\nSELECT max(id) AS id FROM teams"
    views = write_views(tmp_path / "views", a=EVERYTHING, b=names, c=largest)
    run_derived(
        data_dir,
        views,
        {"rounds": rounds()},
        configured=["rounds", "teams"],
        failed=["teams"],
    )
    with client_of_views(data_dir, views) as client:
        assert client.get("/views/everything").status_code == 200
        for path in ("/views/names", "/reports/largest"):
            got = client.get(path)
            assert got.status_code == 503
            assert got.json()["detail"].endswith("teams was dropped")
        catalogue = client.get("/views").json()
    (stale,) = [view for view in catalogue["views"] if view["name"] == "names"]
    assert stale["failed_because"] == "its input teams is stale: teams was dropped"
    assert catalogue["errors"] == []


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
def slow_url(
    built: Path, views_dir: Path, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A real server whose reports may take as many seconds as the parameter says."""
    settings = make_settings(
        data_dir=built, views_dir=views_dir, report_seconds=request.param
    )
    with served(create_fixed_app(settings, NOON)) as url:
        yield url


@pytest.mark.parametrize("slow_url", [2], indirect=True)
def test_a_slow_report_is_504_and_does_not_hold_health(slow_url: str) -> None:
    """It is killed at the deadline."""
    answers_of: list[httpx.Response] = []

    def ask() -> None:
        url = f"{slow_url}/reports/slow"
        answers_of.append(httpx.get(url, headers=TOKEN_HEADER, timeout=60))

    thread = threading.Thread(target=ask)
    thread.start()
    answered = 0
    while thread.is_alive():
        assert httpx.get(f"{slow_url}/health").status_code == 200
        answered += 1
    thread.join()
    (got,) = answers_of
    assert got.status_code == 504
    assert "longer than 2 seconds" in got.json()["detail"]
    assert answered > 5


@pytest.mark.parametrize("slow_url", [600], indirect=True)
def test_a_client_that_disconnects_ends_its_report(slow_url: str) -> None:
    """So the next one need not wait for it."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{slow_url}/reports/slow", headers=TOKEN_HEADER, timeout=0.5)
    got = httpx.get(f"{slow_url}/reports/clock", headers=TOKEN_HEADER, timeout=60)
    assert got.status_code == 200


def test_a_full_queue_is_503(
    built: Path, views_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One report runs, and no other may wait."""
    monkeypatch.setattr(answers, "MAX_WAITING", 0)
    settings = make_settings(data_dir=built, views_dir=views_dir)
    with served(create_fixed_app(settings, NOON)) as url:
        got = httpx.get(f"{url}/reports/slow", headers=TOKEN_HEADER, timeout=60)
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


def test_a_route_of_the_api_is_neither_replaced_nor_documented_anew(
    built: Path, views_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Even with another name of its parameter."""
    taken = "-- @name mine\n-- @type report\n-- @route {}\n{}SELECT 1 AS a"
    write_views(
        views_dir,
        h_taken=taken.format("/health", ""),
        i_taken=taken.format("/room/{id}/stats", "-- @param id text required\n")
        .replace("mine", "other")
        .replace("SELECT 1", "SELECT $id"),
    )
    with client_of_views(built, views_dir) as client:
        assert client.get("/health").json()["status"]
        paths = client.get("/openapi.json").json()["paths"]
        assert "mine" not in paths["/health"]["get"]["summary"].lower()
        assert "/room/{id}/stats" not in paths
        assert {"/reports/mine", "/reports/other"} <= paths.keys()
    assert "h_taken.sql:1: @route /health is taken" in caplog.text
    assert "i_taken.sql:1: @route /room/{id}/stats is taken" in caplog.text


def test_a_route_whose_definition_has_an_error_is_503(
    built: Path, views_dir: Path
) -> None:
    """The detail names file and line; once mended, it answers."""
    text = "-- @name mine\n-- @type report\n-- @route /mine\nSELECT {} AS a"
    write_views(views_dir, h_mine=text.format("nonsense"))
    with client_of_views(built, views_dir) as client:
        got = client.get("/mine")
        assert got.status_code == 503
        assert "h_mine.sql:4" in got.json()["detail"]
        write_views(views_dir, h_mine=text.format("1"))
        assert client.get("/mine").json() == [{"a": 1}]
        (views_dir / "h_mine.sql").unlink()
        assert client.get("/mine").status_code == 404


def test_the_openapi_document_follows_the_files(
    own_api: TestClient, built: Path
) -> None:
    """The prefix that a proxy has removed is in it, too."""
    views_dir = built.parent / "views"
    write_views(views_dir, h_new="-- @name new\n-- @type report\nSELECT 1 AS a")
    document = own_api.get("/openapi.json").json()
    assert "/reports/new" in document["paths"]
    assert document["servers"] == [{"url": "/"}]
    behind_proxy = TestClient(own_api.app, root_path="/analytics")
    servers = behind_proxy.get("/openapi.json").json()["servers"]
    assert servers == [{"url": "/analytics"}]


@pytest.mark.long(
    "tests/sqlfiles/test_catalogue.py::test_an_empty_folder_does_not_import_duckdb"
)
@pytest.mark.parametrize("used", some_long([True, False]))
def test_the_api_never_imports_the_engine(
    built: Path, views_dir: Path, tmp_path: Path, used: bool
) -> None:
    """Neither without SQL files nor with them; there is no worker before it is used."""
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
        "    assert not app.state.worker.is_running\n"
        "    assert client.get('/favicon.ico').status_code == 404\n"
        "    assert not app.state.worker.is_running\n"
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
