"""`filter` over HTTP: every route that accepts it, its echo, its refusals."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from tests.routers.conftest import client_of, make_settings
from tests.support.frames import NOW, START
from tests.support.oracle import Oracle, Term
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish

BY_USER: list[Term] = [("source", False, "Google Search")]
BY_ROOM: list[Term] = [("room_id", True, "9")]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One client for all tests here: no request changes anything."""
    data_dir: Path = tmp_path_factory.mktemp("filters") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    with client_of(make_settings(data_dir=data_dir)) as client:
        yield client


def plain(answer: Any) -> Any:
    """The oracle's *answer* as JSON has it: dates and numbers as text."""
    if isinstance(answer, dict):
        return {str(key): plain(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [plain(value) for value in answer]
    return answer.isoformat() if hasattr(answer, "isoformat") else answer


@pytest.mark.parametrize(
    ("text", "terms"),
    [("source:Google Search", BY_USER), ("room_id:!9", BY_ROOM)],
)
def test_the_whole_answer_is_filtered(
    client: TestClient, text: str, terms: list[Term]
) -> None:
    """`query` repeats the filter, `not_applicable` explains what is missing."""
    got = client.get("/", params={"filter": text}).json()
    expected = Oracle(SAMPLE, START, NOW, ZoneInfo("UTC"), terms=terms).answer()
    assert got["data"] == plain(expected)
    assert got["query"]["filter"] == text
    missing = "votes" if terms is BY_USER else "traffic"
    assert missing in got["not_applicable"]


def test_a_comparison_is_filtered_on_both_sides(client: TestClient) -> None:
    """`previous` and `change` lack the section as well."""
    query = {"period": "30d", "compare": "previous", "filter": "source:Google Search"}
    got = client.get("/", params=query).json()
    for member in ("data", "previous", "change"):
        assert "traffic" in got[member]
        assert "votes" not in got[member]


def test_only_requested_sections_have_reasons(client: TestClient) -> None:
    """A filter that applies to all of them needs none."""
    query = {"filter": "source:!null", "sections": "traffic"}
    assert "not_applicable" not in client.get("/", params=query).json()
    query["sections"] = "votes"
    got = client.get("/", params=query).json()
    assert got["data"] == {}
    assert list(got["not_applicable"]) == ["votes"]


def test_a_comparison_of_nothing_has_nothing(client: TestClient) -> None:
    """No requested section applies to either range."""
    query = {"filter": "source:Teams", "sections": "votes", "period": "7d"}
    got = client.get("/", params=query | {"compare": "previous"}).json()
    assert (got["data"], got["previous"], got["change"]) == ({}, {}, {})


def test_daily_figures_without_meaning_are_null(client: TestClient) -> None:
    """With the reason beside them."""
    got = client.get("/daily-analytics", params={"filter": "source:Teams"}).json()
    assert (got["unique_users"], got["page_views"], got["votes"]) == (1, 1, None)
    assert set(got["not_applicable"]) == {"votes", "estimations", "rooms"}
    assert got["query"]["filter"] == "source:Teams"


def test_csv_files_are_filtered(client: TestClient) -> None:
    """A column without meaning has empty cells."""
    query = {"filter": "source:Teams", "from": "2024-08-01"}
    (row,) = csv.DictReader(
        client.get("/historical.csv", params=query).text.split("\n")
    )
    assert (row["page_views"], row["votes"], row["acc_votes"]) == ("1", "", "")
    routes = client.get("/breakdown/route.csv", params={"filter": "source:Teams"}).text
    assert routes == "route,count\r\nROADMAP,1\r\n"
    assert client.get("/reoccurring.csv", params=query).status_code == 200


@pytest.mark.parametrize(
    ("path", "text", "allowed"),
    [
        ("/", "colour:red", "use country"),
        ("/daily-analytics", "country", "use dimension:value"),
        ("/historical.csv", "source:x", "Google Search"),
        ("/breakdown/weekday.csv", "country:DE", "A vote has no user"),
        ("/breakdown/country.csv", "room:x", "A user has no room"),
    ],
)
def test_a_filter_without_meaning_is_422(
    client: TestClient, path: str, text: str, allowed: str
) -> None:
    """The error names the parameter, the value and what is allowed."""
    got = client.get(path, params={"filter": text})
    assert got.status_code == 422
    (problem,) = got.json()["errors"]
    assert problem["parameter"] == "filter"
    assert problem["value"] == text
    assert allowed in problem["message"]


def test_a_room_has_no_filter(client: TestClient) -> None:
    """It is one already."""
    assert client.get("/room/1/stats?filter=country:DE").status_code == 422
