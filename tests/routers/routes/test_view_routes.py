"""Addresses of SQL files that earlier services had: their names, objects and lists."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.derived import run_derived, table_sql, write_views
from tests.support.views import client_of_views, rounds

HEATMAP = table_sql(
    "heatmap",
    "SELECT id, player, played_at FROM rounds WHERE player IS NOT NULL",
    "@filter player [=]",
    "@filter played_at [>=] as since",
    "@filter played_at [<] as until",
    "@limit 2 3",
    "@order played_at desc",
    "@route /heatmap",
    "@one player",
    "@missing Player not found",
)
BY_ALIAS = table_sql(
    "by_alias",
    "SELECT * FROM rounds",
    "@filter player [=] as name",
    "@route /by-name/{name}",
    "@order id",
)
REPORT = """\
-- @name count_of
-- @type report
-- @param player text null
-- @route /count
-- @one player
SELECT player, count(*) AS n FROM rounds
WHERE $player IS NULL OR player = $player GROUP BY player ORDER BY player
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of an API with these routes."""
    folder = tmp_path_factory.mktemp("view-routes")
    views_dir = write_views(folder / "views", a=HEATMAP + BY_ALIAS, b=REPORT)
    run_derived(folder / "data", views_dir, {"rounds": rounds()}, configured=["rounds"])
    settings = {"tables": "rounds:id", "path_prefix": "/api/stats/"}
    with client_of_views(folder / "data", views_dir, **settings) as client:
        yield client


def rows(api: TestClient, address: str) -> Any:
    """The answer's JSON."""
    got = api.get(address)
    assert got.status_code == 200, got.text
    return got.json()


def test_a_filter_has_the_name_that_clients_know(api: TestClient) -> None:
    """At the route and at the table's own address; the limit holds with a filter."""
    since = rows(api, "/heatmap?since=2026-11-03&limit=3")
    assert [row["id"] for row in since] == [6, 5, 3]
    assert len(rows(api, "/heatmap?since=2026-11-01")) == 2
    between = rows(api, "/views/heatmap?since=2026-11-02T00:00:00Z&until=2026-11-03")
    assert [row["id"] for row in between["rows"]] == [2]
    refused = api.get("/heatmap?played_at.gte=2026-11-03")
    assert refused.status_code == 422
    assert "use player, since, until" in refused.text


def test_one_row_is_an_object_only_for_those_who_ask_for_it(api: TestClient) -> None:
    """Without the parameter it is a list, which may be empty; with it 404."""
    assert rows(api, "/heatmap?player=bob") == {
        "id": 2,
        "player": "bob",
        "played_at": "2026-11-02T12:00:00Z",
    }
    assert rows(api, "/heatmap?since=2099-01-01") == []
    missing = api.get("/heatmap?player=nobody")
    assert (missing.status_code, missing.json()["detail"]) == (404, "Player not found")
    assert rows(api, "/count?player=ann") == {"player": "ann", "n": 3}
    assert [row["player"] for row in rows(api, "/count")] == ["=x", "ann", "bob", None]
    assert api.get("/count?player=nobody").status_code == 404


def test_one_row_of_a_file_is_one_line(api: TestClient) -> None:
    """The parameter decides for all formats."""
    assert len(api.get("/heatmap?player=ann&format=csv").text.splitlines()) == 2
    assert len(api.get("/heatmap?format=csv").text.splitlines()) == 3


def test_an_alias_is_a_name_in_a_path(api: TestClient) -> None:
    """As in a query."""
    assert [row["id"] for row in rows(api, "/by-name/ann")] == [1, 3, 6]


def test_the_catalogue_and_the_openapi_document_know_the_names(api: TestClient) -> None:
    """So the page and generated clients do."""
    views = {view["name"]: view for view in rows(api, "/views")["views"]}
    assert [each["parameter"] for each in views["heatmap"]["filters"]] == [
        *("player", "since", "until")
    ]
    paths = rows(api, "/openapi.json")["paths"]
    operation = paths["/heatmap"]["get"]
    names = [each["name"] for each in operation["parameters"]]
    assert names[:3] == ["player", "since", "until"]
    body = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert [each["type"] for each in body["anyOf"]] == ["object", "array"]
    (name, *_) = paths["/by-name/{name}"]["get"]["parameters"]
    assert (name["name"], name["in"]) == ("name", "path")


def test_everything_is_below_the_prefix_too(api: TestClient) -> None:
    """Its links begin with the prefix, and a path that is nowhere is 404."""
    assert rows(api, "/api/stats/heatmap?player=bob")["id"] == 2
    assert api.get("/api/stats/health").status_code == 200
    assert '"/api/stats/openapi.json"' in api.get("/api/stats/docs").text.replace(
        "'", '"'
    )
    assert rows(api, "/api/stats/openapi.json")["servers"] == [{"url": "/api/stats"}]
    assert api.get("/api/stats/nowhere").status_code == 404
    assert api.get("/api/statsheatmap").status_code == 404


def test_a_route_with_the_whole_path_comes_before_the_prefix(tmp_path: Path) -> None:
    """`@route /api/stats/health` is another thing than /health."""
    text = "-- @name mine\n-- @type report\n-- @route /api/stats/health\n-- @one\n"
    views_dir = write_views(tmp_path / "views", a=text + "SELECT 1 AS mine")
    run_derived(
        tmp_path / "data", views_dir, {"rounds": rounds()}, configured=["rounds"]
    )
    settings = {"tables": "rounds:id", "path_prefix": "/api/stats"}
    with client_of_views(tmp_path / "data", views_dir, **settings) as client:
        assert rows(client, "/api/stats/health") == {"mine": 1}
        assert "status" in rows(client, "/health")


def test_a_relative_folder_is_that_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the process that loads the files for it."""
    views_dir = write_views(tmp_path / "views", b=REPORT)
    run_derived(
        tmp_path / "data", views_dir, {"rounds": rounds()}, configured=["rounds"]
    )
    monkeypatch.chdir(tmp_path)
    with client_of_views(Path("data"), Path("views"), tables="rounds:id") as client:
        assert rows(client, "/count?player=ann") == {"player": "ann", "n": 3}
