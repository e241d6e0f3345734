"""`GET /retention`: cohorts of the sample."""

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.usefixtures("read_model")


def test_cohorts_are_listed_by_week(client: TestClient) -> None:
    """Each lists the weeks after it up to the present one."""
    answer = client.get("/retention?period=all").json()
    rows = answer["rows"]
    assert rows[0]["week"] == "2024-06-03"
    assert [len(row["returned"]) for row in rows] == list(range(8, -1, -1))
    assert sum(row["size"] for row in rows) > 0
    assert all(max(row["returned"], default=0) <= row["size"] for row in rows)
    assert answer["query"]["from"] == "2024-06-03"
    assert answer["data_updated_at"]


def test_rooms_can_be_counted_instead(client: TestClient) -> None:
    """The sum of all sizes is the number of rooms with an estimation."""
    users, rooms = (
        sum(row["size"] for row in client.get(f"/retention?of={of}").json()["rows"])
        for of in ("users", "rooms")
    )
    assert users
    assert rooms


def test_an_unchanged_answer_is_304(client: TestClient) -> None:
    """By the ETag of the first."""
    tag = client.get("/retention?period=90d").headers["ETag"]
    again = client.get("/retention?period=90d", headers={"If-None-Match": tag})
    assert again.status_code == 304


def test_unknown_parameters_are_refused(client: TestClient) -> None:
    """As everywhere."""
    assert client.get("/retention?of=teams").status_code == 422
    assert client.get("/retention?weekends=true").status_code == 422
