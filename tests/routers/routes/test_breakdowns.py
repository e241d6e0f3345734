"""`GET /breakdown/{dimension}`: rows, pages, order, search, and filters of rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from calculations.breakdown import Dimension
from tests.routers.conftest import client_of, make_settings
from tests.support.frames import EMPTY, at, vote
from tests.support.oracle import Database
from tests.support.sample import TAKEN_AT
from tests.support.snapshots import publish

PLACES = [("DE", "BE", 3), ("DE", "NW", 2), ("US", "NY", 2), ("DE", None, 1)]

DATABASE: Database = EMPTY | {
    "users": [
        {
            "id": f"{country}{region}{n}",
            "country": country,
            "region": region,
            "device": "Unknown" if n else None,
            "created_at": at("2024-06-04 09:00"),
        }
        for country, region, count in PLACES
        for n in range(count)
    ],
    "rooms": [
        {"id": 1, "name": "Sprint, 14"},
        {"id": 2, "name": None},
        {"id": 3, "name": "daily"},
        {"id": 4, "name": "daily"},
    ],
    "votes": [vote(room_id=room) for room in (1, 2, 2, 2, 3, 4, 4, 7, 8, 8, 8, 8)],
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One client for all tests here: no request changes anything."""
    data_dir: Path = tmp_path_factory.mktemp("breakdowns") / "data"
    publish(data_dir, DATABASE, TAKEN_AT)
    with client_of(make_settings(data_dir=data_dir)) as client:
        yield client


def ask(client: TestClient, dimension: str, **query: Any) -> dict[str, Any]:
    """The answer, which must be 200."""
    got = client.get(f"/breakdown/{dimension}", params=query)
    assert got.status_code == 200, got.text
    answer: dict[str, Any] = got.json()
    return answer


def test_rows_are_those_of_the_csv_file_with_their_filters(client: TestClient) -> None:
    """A missing region is null, and its filter finds it."""
    got = ask(client, "region")
    assert [
        (row["country"], row["value"], row["count"]) for row in got["rows"]
    ] == PLACES
    assert got["rows"][3] == {
        "value": None,
        "name": "Unknown",
        "country": "DE",
        "count": 1,
        "filter": "country:DE,region:null",
    }
    assert (got["total"], got["total_count"]) == (4, 8)
    assert got["query"]["tz"] == "UTC"


def test_missing_values_are_told_apart_from_the_text_unknown(
    client: TestClient,
) -> None:
    """The CSV file and `GET /` add them up, as before."""
    rows = ask(client, "device")["rows"]
    assert [(row["value"], row["count"]) for row in rows] == [("Unknown", 4), (None, 4)]
    assert client.get("/breakdown/device.csv").text == "device,count\r\nUnknown,8\r\n"


def test_rooms_without_a_name_and_deleted_rooms_are_rows_at_the_end(
    client: TestClient,
) -> None:
    """Even if they are the largest."""
    rows = ask(client, "room")["rows"]
    assert [
        (row["name"], row["state"], row["count"], row["filter"]) for row in rows
    ] == [
        ("daily", "named", 3, "room:daily"),
        ("Sprint, 14", "named", 1, 'room:"Sprint, 14"'),
        ("Deleted rooms", "deleted", 5, "room_state:deleted"),
        ("Rooms without a name", "unnamed", 3, "room_state:unnamed"),
    ]


@pytest.mark.parametrize("dimension", list(Dimension))
def test_the_filter_of_a_row_selects_what_it_counts(
    client: TestClient, dimension: str
) -> None:
    """Asked with it, the breakdown has this one row."""
    for row in ask(client, dimension)["rows"]:
        if row["filter"] is not None:
            (found,) = ask(client, dimension, filter=row["filter"])["rows"]
            assert found == row


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ({"limit": 2}, ["BE", "NW"]),
        ({"limit": 2, "offset": 2}, ["NY", None]),
        ({"offset": 9}, []),
        ({"order": "count"}, [None, "NW", "NY", "BE"]),
        ({"order": "-count"}, ["BE", "NW", "NY", None]),
        ({"order": "name"}, ["BE", "NW", "NY", None]),
        ({"order": "-name", "limit": 1}, [None]),
        ({"q": "us"}, ["NY"]),
        ({"q": "n"}, ["NW", "NY", None]),
        ({"q": ".*"}, []),
        ({"filter": "country:!DE"}, ["NY"]),
        ({"period": "today"}, []),
    ],
)
def test_pages_orders_and_searches(
    client: TestClient, query: dict[str, Any], values: list[str | None]
) -> None:
    """The total does not depend on the page."""
    got = ask(client, "region", **query)
    assert [row["value"] for row in got["rows"]] == values
    if "limit" in query:
        assert got["total"] == 4


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "offset=-1", "order=size", "filter=room:x"]
)
def test_what_is_not_allowed_is_422(client: TestClient, query: str) -> None:
    """As everywhere."""
    assert client.get(f"/breakdown/region?{query}").status_code == 422


def test_the_csv_address_is_not_taken_by_the_json_one(client: TestClient) -> None:
    """A file has an extension, in any format; an unknown dimension is refused."""
    assert (
        client.get("/breakdown/region.csv").headers["content-type"].startswith("text")
    )
    assert "dimension" not in client.get("/breakdown/region.json").json()
    assert client.get("/breakdown/colour").status_code == 422
