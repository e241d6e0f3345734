"""Errors: one response for each, which says what the client can do."""

import logging
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from routers import sections
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish

PATHS = ["/", "/daily-analytics", "/room/1/stats"]


@pytest.mark.parametrize("path", PATHS)
def test_before_the_first_sync_the_response_is_503_with_retry_after(
    data_dir: Path, client: TestClient, path: str
) -> None:
    """After the first snapshot it is 200, without a restart."""
    early = client.get(path)
    assert early.status_code == 503
    assert int(early.headers["Retry-After"]) > 0
    assert "no read model" in early.json()["detail"]
    publish(data_dir, SAMPLE, TAKEN_AT)
    assert client.get(path).status_code == 200


def test_an_unexpected_error_is_500_without_its_text_and_logged_once(
    read_model: Path,
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The message is in the log only."""
    assert read_model.exists()

    def broken(*_: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(sections, "collect_side_by_side", broken)
    with caplog.at_level(logging.ERROR):
        got = client.get("/")
    assert (got.status_code, got.json()) == (500, {"detail": "Internal server error"})
    assert "inside" not in got.text
    assert [record.getMessage() for record in caplog.records] == ["inside"]


def test_a_damaged_part_is_503_and_not_a_wrong_answer(
    read_model: Path, client: TestClient
) -> None:
    """A truncated file is not read as fewer rows."""
    part = next((read_model / "fpp_votes.parquet").resolve().iterdir())
    part.write_bytes(part.read_bytes()[:-20])
    assert client.get("/").status_code == 503


def test_an_unknown_path_is_404_with_a_detail(client: TestClient) -> None:
    """The body has no other member."""
    got = client.get("/nothing")
    assert (got.status_code, got.json()) == (404, {"detail": "Not Found"})
