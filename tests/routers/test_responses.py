"""ETags: an unchanged answer is not computed again."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from tests.routers.conftest import client_of, make_settings
from tests.support.frames import NOW
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish

PATHS = ["/", "/room/1/stats", "/daily-analytics"]


@pytest.mark.parametrize("path", PATHS)
def test_an_unchanged_answer_is_304_without_computing(
    read_model: Path, client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If-None-Match is a tag, a list of tags, a strong tag or `*`."""
    assert read_model.exists()
    first = client.get(path)
    etag = first.headers["ETag"]

    def computed(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(pl.LazyFrame, "collect", computed)
    for sent in (etag, f'"x", {etag}', etag.removeprefix("W/"), "*"):
        again = client.get(path, headers={"If-None-Match": sent})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == etag
        assert again.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("path", PATHS)
def test_another_etag_is_answered_in_full(
    read_model: Path, client: TestClient, path: str
) -> None:
    """Its Cache-Control requires revalidation."""
    assert read_model.exists()
    got = client.get(path, headers={"If-None-Match": 'W/"other"'})
    assert got.status_code == 200
    assert got.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("path", PATHS)
def test_the_etag_differs_by_snapshot_day_and_settings(
    data_dir: Path, path: str
) -> None:
    """A client never keeps an outdated answer."""
    publish(data_dir, SAMPLE, TAKEN_AT)
    plain = make_settings(data_dir=data_dir)
    tags = [
        _etag(client_of(plain), path),
        _etag(client_of(plain, NOW + timedelta(days=1)), path),
        _etag(client_of(make_settings(data_dir=data_dir, timezone="Asia/Tokyo")), path),
    ]
    publish(data_dir, SAMPLE, TAKEN_AT + timedelta(minutes=1))
    tags.append(_etag(client_of(plain), path))
    assert len(set(tags)) == 4


def test_the_etag_changes_daily_or_for_the_last_24_hours_every_minute(
    data_dir: Path,
) -> None:
    """Rows leave the last 24 hours as time passes."""
    publish(data_dir, SAMPLE, TAKEN_AT)
    settings, later = make_settings(data_dir=data_dir), NOW + timedelta(minutes=1)
    same = {_etag(client_of(settings, at), "/") for at in (NOW, later)}
    moved = {_etag(client_of(settings, at), "/daily-analytics") for at in (NOW, later)}
    assert (len(same), len(moved)) == (1, 2)


def test_a_matching_etag_does_not_replace_the_token(
    read_model: Path, client: TestClient
) -> None:
    """401, not 304."""
    assert read_model.exists()
    etag = client.get("/").headers["ETag"]
    headers = {"If-None-Match": etag, "Authorization": "wrong"}
    assert client.get("/", headers=headers).status_code == 401


def _etag(client: TestClient, path: str) -> str:
    with client:
        return str(client.get(path).headers["ETag"])
