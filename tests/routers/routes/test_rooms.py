"""`GET /rooms` and `GET /rooms/{room_id}`: found, not there, never voted, not in range."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from tests.routers.conftest import client_of, make_settings
from tests.support import frames
from tests.support.frames import EMPTY, at, vote
from tests.support.oracle import Database, mean
from tests.support.sample import TAKEN_AT
from tests.support.snapshots import publish

BIG = 2**32 - 1
ROOMS = {1: "Sprint Planning", 2: None, 3: "sprint review", 4: "never", 12: "twelve"}
SPREADS = {1: [(3, 3), (1, 8), (5, 8)], 2: [(1, 2)], 9: [(2, 2)], BIG: [(1, 13)]}

DATABASE: Database = EMPTY | {
    "rooms": [
        {"id": room, "name": name, "first_used_at": at("2024-06-03 09:00")}
        for room, name in ROOMS.items()
    ],
    "votes": [
        vote(
            room_id=room,
            min_estimation=low,
            max_estimation=high,
            voted_at=at("2024-06-04 10:00") + timedelta(days=7 * number),
            duration=30 * (number + 1),
        )
        for room, spreads in SPREADS.items()
        for number, (low, high) in enumerate(spreads)
    ],
    "estimations": [
        {"user_id": user, "room_id": room, "estimated_at": at(moment)}
        for user, room, moment in (
            ("ada", 1, "2024-06-04 10:00"),
            ("ada", 1, "2024-06-11 10:00"),
            ("bob", 1, "2024-06-11 10:00"),
            (None, 1, "2024-06-11 10:00"),
            ("cyd", 8, "2024-06-11 10:00"),
        )
    ],
}


@pytest.fixture(scope="module")
def wide() -> Iterator[None]:
    """Ids are unsigned 32-bit integers, as in a database that declares them so."""
    saved = {name: dict(schema) for name, schema in frames.SCHEMAS.items()}
    for name in ("votes", "estimations"):
        frames.SCHEMAS[name]["room_id"] = pl.UInt32
    frames.SCHEMAS["rooms"]["id"] = pl.UInt32
    yield
    frames.SCHEMAS.update(saved)


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory,
    wide: None,
) -> Iterator[TestClient]:
    """One client for all tests here: no request changes anything."""
    data_dir: Path = tmp_path_factory.mktemp("rooms") / "data"
    publish(data_dir, DATABASE, TAKEN_AT)
    with client_of(make_settings(data_dir=data_dir)) as client:
        yield client


def ask(client: TestClient, path: str, **query: Any) -> dict[str, Any]:
    """The answer, which must be 200."""
    got = client.get(path, params=query)
    assert got.status_code == 200, got.text
    answer: dict[str, Any] = got.json()
    return answer


def test_a_room_that_is_not_there_is_404(client: TestClient) -> None:
    """It is in no table."""
    got = client.get("/rooms/77")
    assert (got.status_code, got.json()) == (404, {"detail": "There is no room 77"})


@pytest.mark.parametrize(
    ("room", "query", "status", "state"),
    [
        (1, {}, "voted", "named"),
        (1, {"from": "2024-06-04", "to": "2024-06-04"}, "voted", "named"),
        (1, {"period": "today"}, "not_in_range", "named"),
        (2, {}, "voted", "unnamed"),
        (4, {}, "never_voted", "named"),
        (4, {"period": "today"}, "never_voted", "named"),
        (8, {}, "never_voted", "deleted"),
        (9, {}, "voted", "deleted"),
        (BIG, {}, "voted", "deleted"),
    ],
)
def test_a_room_that_is_there_says_whether_it_voted(
    client: TestClient, room: int, query: dict[str, str], status: str, state: str
) -> None:
    """In the range, outside of it, or never."""
    got = ask(client, f"/rooms/{room}", **query)
    assert (got["status"], got["state"]) == (status, state)
    assert (got["last_vote_at"] is None) == (status == "never_voted")
    assert (got["stats"]["votes"] == 0) == (status != "voted")


def test_agreement_pace_members_and_series_are_those_of_the_votes(
    client: TestClient,
) -> None:
    """Computed here from the literal rows."""
    got = ask(client, "/rooms/1")
    spreads = [high - low for low, high in SPREADS[1]]
    assert got["agreement"] == {
        "avg_spread": round(mean(spreads), 2),
        "max_spread": 7.0,
        "unanimous": 0.33,
    }
    assert got["pace"] == {
        "meetings": 3,
        "votes_per_meeting": 1.0,
        "days_between_meetings": 7.0,
    }
    assert got["members"] == 2
    days = [(row["date"], row["avg_spread"], row["duration"]) for row in got["series"]]
    assert days == [
        ("2024-06-04", 0.0, 30.0),
        ("2024-06-11", 7.0, 60.0),
        ("2024-06-18", 3.0, 90.0),
    ]
    assert got["stats"] == ask(client, "/room/1/stats")
    month = ask(client, "/rooms/1", interval="month")["series"]
    assert [(row["date"], row["votes"]) for row in month] == [("2024-06-01", 3)]


def test_without_votes_figures_are_null_and_never_an_error(client: TestClient) -> None:
    """There is no spread to average."""
    got = ask(client, "/rooms/4")
    assert set(got["agreement"].values()) == {None}
    assert got["pace"]["days_between_meetings"] is None
    assert got["series"] == []


@pytest.mark.parametrize(
    ("query", "rooms"),
    [
        ({}, [1, 2, 9, BIG, 3, 4, 12]),
        ({"order": "last_vote"}, [2, 9, BIG, 1, 3, 4, 12]),
        ({"order": "name"}, [1, 4, 3, 12, 2, 9, BIG]),
        ({"order": "-votes"}, [1, 2, 9, BIG, 3, 4, 12]),
        ({"q": "SPRINT"}, [1, 3]),
        ({"q": "1"}, [1]),
        ({"q": "12"}, [12]),
        ({"q": str(BIG)}, [BIG]),
        ({"q": "9" * 30}, []),
        ({"q": ".*"}, []),
        ({"limit": 2, "offset": 1}, [2, 9]),
    ],
)
def test_rooms_are_found_by_name_or_id_and_ordered(
    client: TestClient, query: dict[str, Any], rooms: list[int]
) -> None:
    """The latest vote first; rooms that never voted are last, in order of their id."""
    got = ask(client, "/rooms", **query)
    assert [row["room_id"] for row in got["rows"]] == rooms
    assert got["total"] == (7 if "limit" in query else len(rooms))


def test_a_listed_room_has_figures_of_the_range(client: TestClient) -> None:
    """The last vote is of all time."""
    query = {"q": "sprint planning", "from": "2024-06-11", "to": "2024-06-11"}
    (row,) = ask(client, "/rooms", **query)["rows"]
    assert (row["votes"], row["members"]) == (1, 2)
    assert (row["avg_spread"], row["unanimous"]) == (7.0, 0.0)
    assert row["last_vote_at"] == "2024-06-18T10:00:00Z"


def test_unsigned_ids_work_for_the_statistics_of_a_room(client: TestClient) -> None:
    """Where the mirror has such ids; 2^32 is in no column."""
    assert ask(client, f"/room/{BIG}/stats")["votes"] == 1
    assert client.get(f"/room/{BIG + 1}/stats").status_code == 400
    assert client.get(f"/rooms/{BIG + 1}").status_code == 422
    assert client.get("/rooms/0").status_code == 422


def test_a_room_is_found_by_the_number_in_its_address(tmp_path: Path) -> None:
    """If the mirror has numbers."""
    frames.SCHEMAS["rooms"]["number"] = pl.Int32
    try:
        rooms = [{"id": 59, "name": "x", "number": 966031}]
        publish(tmp_path, EMPTY | {"rooms": rooms}, TAKEN_AT)
    finally:
        del frames.SCHEMAS["rooms"]["number"]
    with client_of(make_settings(data_dir=tmp_path)) as client:
        for text in ("966031", "59"):
            (row,) = ask(client, "/rooms", q=text)["rows"]
            assert (row["room_id"], row["number"]) == (59, 966031)
        assert ask(client, "/rooms", q="96603")["rows"] == []
        assert ask(client, "/rooms/59")["number"] == 966031
        assert client.get(f"/rooms/{BIG}").status_code == 404
