"""`/v1`: the figures of today's addresses in other names, one unit and four decimals."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations.analytics import SECTIONS, analytics, collect, validate_row
from calculations.period import Interval, Period
from calculations.results_v1 import HistoryRow, ReturningRow, RoomStatistics
from calculations.room_stats import of_room, room_stats
from routers.sections import STATISTICS, encode_sections
from tests.routers.conftest import client_of, make_settings
from tests.support.effort import examples
from tests.support.frames import START, databases, nows, period, tables
from tests.support.oracle import Database
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish

RENAMED = {"reoccurring": "returning", "location_and_user_agent": "audience"}

RENAMED_FIGURES: Mapping[str, Mapping[str, str]] = {
    "traffic": {"average_duration": "average_session_seconds"},
    "votes": {
        "total_votes": "votes",
        "total_estimations": "estimations",
        "avg_estimations_per_vote": "estimations_per_vote",
        "avg_spectators_per_vote": "spectators_per_vote",
        "avg_duration_per_vote": "average_duration_seconds",
        "avg_estimation": "average_estimation",
        "avg_min_estimation": "average_min_estimation",
        "avg_max_estimation": "average_max_estimation",
    },
    "room": {
        "duration": "average_duration_seconds",
        "avg_avg_estimation": "average_estimation",
        "avg_min_estimation": "average_min_estimation",
        "avg_max_estimation": "average_max_estimation",
    },
}

MINUTES = ("average_duration", "avg_duration_per_vote")

RANGE = "from=2024-07-01&to=2024-07-31"


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One client for all tests here: no request changes anything."""
    data_dir: Path = tmp_path_factory.mktemp("v1") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    with client_of(make_settings(data_dir=data_dir)) as client:
        yield client


def translated(section: str, values: Any) -> Any:
    """A section of the exact row by hand: as `/v1` has to answer it."""
    if section in ("reoccurring", "historical"):
        return [{new_column(name): row[name] for name in row} for row in values]
    names = RENAMED_FIGURES.get(section, {})
    return {
        names.get(name, name): figure(name, value) for name, value in values.items()
    }


def new_column(name: str) -> str:
    """The name of a column of a series."""
    if name == "rooms":
        return "new_rooms"
    for old, new in (
        ("adjusted_reoccurring_", "active_returning_"),
        ("reoccurring_", "returning_"),
        ("acc_rooms", "cumulative_new_rooms"),
        ("acc_", "cumulative_"),
        ("ma_rooms", "moving_average_new_rooms"),
        ("ma_", "moving_average_"),
    ):
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def figure(name: str, value: Any) -> Any:
    """A figure of the exact row."""
    if isinstance(value, float):
        return round(value * 60 if name in MINUTES else value, 4)
    if isinstance(value, list):
        key = "value" if name == "estimation_counts" else "name"
        return [
            {key if old == "key" else old: each[old] for old in each} for each in value
        ]
    return value


def plain(value: object) -> Any:
    """As read from JSON."""
    return json.loads(json.dumps(value, default=str))


@settings(max_examples=examples(12, 200), deadline=None)
@given(
    database=databases,
    now=nows,
    interval=st.sampled_from([Interval.DAY, Interval.WEEK, Interval.MONTH]),
    sections=st.sets(st.sampled_from(SECTIONS), min_size=1),
)
def test_every_figure_is_that_of_the_exact_row(
    database: Database, now: datetime, interval: Interval, sections: set[str]
) -> None:
    """Up to the names, the units and the decimals that are stated."""
    when = Period(START, now, period().zone, None, interval)
    row = collect(analytics(tables(database), when, sections))
    _, found = encode_sections(row, STATISTICS)
    assert list(json.loads(found)) == [
        RENAMED.get(name, name) for name in SECTIONS if name in sections
    ]
    for name, value in row.row(0, named=True).items():
        answered = json.loads(found)[RENAMED.get(name, name)]
        assert answered == plain(translated(name, value)), name


@settings(max_examples=examples(12, 200), deadline=None)
@given(database=databases, now=nows)
def test_a_room_is_that_of_the_exact_row(database: Database, now: datetime) -> None:
    """Its duration is in seconds already."""
    votes = tables(database).votes
    for room in (1, 2, 99):
        row = collect(room_stats(of_room(votes, room), period(now=now)))
        found = validate_row(RoomStatistics, row).model_dump()
        assert found == translated("room", row.row(0, named=True))


def test_an_answer_has_the_days_of_its_question(shared_client: TestClient) -> None:
    """The envelope of `GET /`, also without parameters."""
    whole = shared_client.get("/v1/statistics").json()
    assert list(whole) == ["data", "data_updated_at", "query"]
    assert whole["query"]["from"] is None
    old = shared_client.get(f"/?{RANGE}&compare=previous").json()
    new = shared_client.get(f"/v1/statistics?{RANGE}&compare=previous").json()
    assert new["query"] == old["query"]
    assert list(new) == list(old)
    assert set(new["change"]) == set(old["change"])
    (before, now) = (
        each["traffic"]["bounce_rate"] for each in (new["previous"], new["data"])
    )
    change = new["change"]["traffic"]["bounce_rate"]
    assert change == (round((now - before) / before * 100, 2) if before else None)


def test_series_have_the_columns_of_their_model(shared_client: TestClient) -> None:
    """They are sent as Polars encodes them, so no model checks them."""
    path = "/v1/statistics?sections=returning,historical"
    data = shared_client.get(path).json()["data"]
    assert list(data) == ["returning", "historical"]
    assert list(data["returning"][0]) == list(ReturningRow.__annotations__)
    columns = [name for name in HistoryRow.__annotations__ if name != "hour"]
    assert list(data["historical"][0]) == columns


def test_sections_have_their_new_names(shared_client: TestClient) -> None:
    """Those of `GET /` are refused, with the new ones in the message."""
    found = shared_client.get("/v1/statistics?sections=audience").json()
    assert list(found["data"]) == ["audience"]
    refused = shared_client.get("/v1/statistics?sections=reoccurring")
    assert refused.status_code == 422
    assert "returning" in refused.text


def test_what_does_not_apply_has_its_new_name(shared_client: TestClient) -> None:
    """Sections, and columns of series."""
    filtered = "filter=room_id:1"
    old = shared_client.get(f"/?{filtered}").json()["not_applicable"]
    new = shared_client.get(f"/v1/statistics?{filtered}").json()["not_applicable"]
    assert "location_and_user_agent" in old
    assert new["audience"] == old["location_and_user_agent"]
    path = "/v1/statistics?filter=country:DE"
    answer = shared_client.get(path).json()
    assert {"historical.new_rooms", "historical.votes"} <= set(answer["not_applicable"])
    assert {row["new_rooms"] for row in answer["data"]["historical"]} == {None}


def test_an_unchanged_answer_is_not_sent_again(shared_client: TestClient) -> None:
    """And it has another ETag than the same question at `/`."""
    for path in ("/v1/statistics", "/v1/rooms/1/statistics"):
        etag = shared_client.get(f"{path}?{RANGE}").headers["ETag"]
        again = shared_client.get(f"{path}?{RANGE}", headers={"If-None-Match": etag})
        assert again.status_code == 304
    etag = shared_client.get("/").headers["ETag"]
    headers = {"If-None-Match": etag}
    assert shared_client.get("/v1/statistics", headers=headers).status_code == 200


def test_a_room_has_the_figures_of_its_old_address(shared_client: TestClient) -> None:
    """In seconds, with a comparison, and more exact."""
    asked = "from=2024-06-03&to=2024-06-30&compare=previous"
    old = shared_client.get(f"/room/1/stats?{asked}").json()
    new = shared_client.get(f"/v1/rooms/1/statistics?{asked}").json()
    assert new["votes"] == old["votes"] > 0
    assert round(new["average_duration_seconds"]) == old["duration"]
    assert new["average_estimation"] == pytest.approx(
        old["avg_avg_estimation"], abs=0.006
    )
    assert (new["query"], new["data_updated_at"]) == (
        old["query"],
        old["data_updated_at"],
    )
    assert set(new["previous"]) == set(RoomStatistics.model_fields)


def test_no_votes_in_the_range_and_no_such_room_differ(
    shared_client: TestClient,
) -> None:
    """Zeros, and 404."""
    days = "from=2024-07-02&to=2024-07-03"
    empty = shared_client.get(f"/v1/rooms/1/statistics?{days}")
    assert (empty.status_code, empty.json()["votes"]) == (200, 0)
    missing = shared_client.get(f"/v1/rooms/4000000/statistics?{days}")
    assert missing.status_code == 404
    assert "no room 4000000" in missing.json()["detail"]
    assert shared_client.get("/v1/rooms/0/statistics").status_code == 422


def test_minutes_and_old_words_are_gone(shared_client: TestClient) -> None:
    """From the names of all figures."""
    answer = shared_client.get(f"/v1/statistics?{RANGE}").text
    room = shared_client.get("/v1/rooms/1/statistics").text
    for word in ("reoccurring", "avg_", "acc_", '"ma_', "user_agent", '"duration"'):
        assert word not in answer + room
