"""GET /events/rejected: dead letters, newest first, counted by code."""

from datetime import datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from readmodel.store import snapshot
from readmodel.sync.drain import drain
from tests.support.events import line, rejected_line, write_spool
from tests.support.sample import TAKEN_AT

URL = "/events/rejected"
SECOND = 1_000_000


@pytest.fixture
def letters(read_model: Path, tmp_path: Path) -> Path:
    """Three dead letters, and an event that is none."""
    first = rejected_line("r1", "clock")
    at = first["received_at"]
    write_spool(
        tmp_path / "spool",
        [
            first,
            rejected_line("r2", "schema", received_at=at + SECOND, schema="a.json"),
            rejected_line("r3", "clock", received_at=at + 2 * SECOND, event_id="e3"),
            line("e1"),
        ],
    )
    drain(read_model, tmp_path / "spool")
    return read_model


def test_the_newest_dead_letters_come_first(letters: Path, client: TestClient) -> None:
    """With everything that is stored about them."""
    assert letters.exists()
    answer = client.get(URL).json()
    assert (answer["total"], answer["counts"]) == (3, {"clock": 2, "schema": 1})
    assert [each["rejection_id"] for each in answer["rejected"]] == ["r3", "r2", "r1"]
    assert answer["rejected"][1] == {
        "rejection_id": "r2",
        "event_id": None,
        "code": "schema",
        "message": "name is missing",
        "raw": "{}",
        "schema": "a.json",
        "sender": "token-1",
        "received_at": "2026-11-21T10:00:01Z",
        "batch": "b1",
    }
    assert datetime.fromisoformat(answer["rejected"][0]["received_at"])


def test_they_can_be_selected_by_code(letters: Path, client: TestClient) -> None:
    """The counts are those of all."""
    assert letters.exists()
    answer = client.get(URL, params={"code": "clock", "limit": 1}).json()
    assert [each["rejection_id"] for each in answer["rejected"]] == ["r3"]
    assert answer["total"] == 3
    assert client.get(URL, params={"code": "other"}).json()["rejected"] == []


def test_pages_continue_each_other(letters: Path, client: TestClient) -> None:
    """The last one has no next page."""
    assert letters.exists()
    found, address = [], f"{URL}?limit=2"
    while address:
        answer = client.get(address).json()
        found += [each["rejection_id"] for each in answer["rejected"]]
        address = answer["next"]
    assert found == ["r3", "r2", "r1"]


def test_they_can_be_narrowed_by_arrival_and_sender(
    letters: Path, client: TestClient
) -> None:
    """A range includes its beginning and not its end; without an offset it is in UTC."""
    assert letters.exists()

    def found(**query: str) -> list[str]:
        answer = client.get(URL, params=query).json()
        return [each["rejection_id"] for each in answer["rejected"]]

    assert found(since="2026-11-21T10:00:01", until="2026-11-21T10:00:02Z") == ["r2"]
    assert found(since="2026-11-21T12:00:02+02:00") == ["r3"]
    assert found(sender="token-1", code="clock") == ["r3", "r1"]
    assert found(sender="other") == []


def test_they_are_a_table_in_every_format(letters: Path, client: TestClient) -> None:
    """By extension and by Accept; what a limit leaves out is said."""
    assert letters.exists()
    csv = client.get(f"{URL}.csv", params={"limit": 2})
    assert csv.headers["X-Truncated"] == "rows"
    lines = csv.text.splitlines()
    assert lines[0].startswith("rejection_id,event_id,code,message,raw,schema")
    assert [each.partition(",")[0] for each in lines[1:]] == ["r3", "r2"]
    accepted = client.get(URL, headers={"Accept": "application/x-ndjson"})
    assert len(accepted.text.splitlines()) == 3
    table = client.get(f"{URL}.json").json()
    assert table["title"] == "events-rejected"
    for extension in ("xlsx", "parquet"):
        assert client.get(f"{URL}.{extension}").status_code == 200


def test_they_can_be_listed_as_of_an_earlier_instant(
    letters: Path, client: TestClient
) -> None:
    """From the snapshot of that time; 404 if none is kept of then."""
    newest = snapshot.latest(letters)
    before = TAKEN_AT.isoformat().replace("+00:00", "Z")
    answer = client.get(URL, params={"as_of": before})
    assert answer.status_code == 404, newest.id


def test_an_unchanged_list_is_304(letters: Path, client: TestClient) -> None:
    """Until the next drain."""
    assert letters.exists()
    etag = client.get(URL).headers["ETag"]
    again = client.get(URL, headers={"If-None-Match": etag})
    assert again.status_code == 304


def test_without_events_it_is_404(read_model: Path, client: TestClient) -> None:
    """The detail names the setting."""
    assert read_model.exists()
    answer = client.get(URL)
    assert (answer.status_code, "SPOOL_DIR" in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "x=1", "limit=1&limit=2", "after=x", "since=y"]
)
def test_other_parameters_are_refused(
    query: str, letters: Path, client: TestClient
) -> None:
    """As on all routes."""
    assert letters.exists()
    assert client.get(f"{URL}?{query}").status_code == 422


def test_it_requires_the_token(client: TestClient) -> None:
    """Events may be personal."""
    del client.headers["Authorization"]
    assert client.get(URL).status_code == 401


@pytest.mark.parametrize("path", ["/", "/historical.csv", "/rooms"])
def test_events_leave_the_etags_of_statistics_as_they_are(
    path: str, read_model: Path, client: TestClient, tmp_path: Path
) -> None:
    """A dashboard is not sent the same figures again, while events arrive."""
    assert snapshot.latest(read_model).mirror_id == snapshot.latest(read_model).id
    before = client.get(path)
    for number in (1, 2):
        write_spool(tmp_path / "spool", [line(f"e{number}")], number)
        drain(read_model, tmp_path / "spool")
        assert snapshot.latest(read_model).mirror_id != snapshot.latest(read_model).id
        again = client.get(path, headers={"If-None-Match": before.headers["ETag"]})
        assert again.status_code == 304
    after = client.get(path)
    assert (after.content, after.headers["ETag"]) == (
        before.content,
        before.headers["ETag"],
    )
