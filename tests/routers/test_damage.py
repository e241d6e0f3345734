"""Damaged files of the read model: 503 with which one, never other numbers or 500."""

import os
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from readmodel.store import damage
from readmodel.store.intact import IntactFiles
from tests.routers.conftest import client_of, make_settings
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import cut_short, flip_a_bit, publish
from util.errors import ReadModelDamaged

VOTES = "fpp_votes.parquet/part-00000.parquet"
ROOMS = "fpp_votes.rooms/part-00000.arrows"
VISITS = "fpp_page_views.visits/part-00000.parquet"
ACTIVITY = "activity/part-00000.parquet"


def part(data_dir: Path, name: str = VOTES) -> Path:
    """A file of the current snapshot."""
    return (data_dir / "current" / name).resolve()


@pytest.mark.parametrize("name", [VOTES, VISITS, ROOMS, ACTIVITY])
def test_a_flipped_bit_is_503_with_the_part_and_health_says_so(
    read_model: Path, client: TestClient, name: str
) -> None:
    """The bytes would be read as other numbers. A sync replaces the part."""
    flip_a_bit(part(read_model, name))
    damaged = client.get("/")
    assert damaged.status_code == 503
    assert damaged.json() == {"detail": f"{name} is damaged: the next sync replaces it"}
    assert damaged.headers["Retry-After"]
    assert client.get("/").status_code == 503
    health = client.get("/health")
    table = "fpp_estimations" if name == ACTIVITY else name.partition(".")[0]
    assert health.status_code == 503
    files = health.json()["components"]["parquet_files"]["files"]
    assert [file for file, whole in files.items() if not whole] == [f"{table}.parquet"]
    publish(read_model, SAMPLE, TAKEN_AT)
    assert client.get("/").status_code == 200
    assert client.get("/health").json()["components"]["parquet_files"]["status"] == "ok"


def test_damage_of_one_table_does_not_concern_others(
    read_model: Path, client: TestClient
) -> None:
    """Room statistics read the votes alone."""
    flip_a_bit(part(read_model, VISITS))
    assert client.get("/room/1/stats").status_code == 200
    assert client.get("/breakdown/room").status_code == 200
    assert client.get("/").status_code == 503


def test_a_truncated_part_is_503_and_health_says_so_before_anybody_reads(
    read_model: Path, client: TestClient
) -> None:
    """Its size differs from the manifest."""
    assert client.get("/").status_code == 200
    cut_short(part(read_model))
    assert client.get("/health").status_code == 503
    assert client.get("/").status_code == 503


@pytest.mark.parametrize(
    ("name", "url"), [(VOTES, "/breakdown/room"), (ROOMS, "/room/1/stats")]
)
def test_a_file_that_is_damaged_later_is_503_as_soon_as_reading_it_fails(
    read_model: Path, client: TestClient, name: str, url: str
) -> None:
    """It was compared when it was opened first; time and size are as they were."""
    assert client.get(url).status_code == 200
    file = part(read_model, name)
    status = file.stat()
    file.write_bytes(b"x" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    found = client.get(url)
    assert (found.status_code, "is damaged" in found.json()["detail"]) == (503, True)


def test_files_are_compared_once(
    read_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading all bytes on each request would cost as much as the answer."""
    read: list[Path] = []

    def checksum(file: Path) -> int:
        read.append(file)
        return damage.checksum(file)

    monkeypatch.setattr("readmodel.store.intact.checksum", checksum)
    with client_of(make_settings(data_dir=read_model)) as client:
        assert client.get("/").status_code == 200
        count = len(read)
        assert count == 19
        assert client.get("/?period=7d").status_code == 200
        assert client.get("/breakdown/room").status_code == 200
    assert len(read) == count


def test_damage_is_forgotten_with_the_file(tmp_path: Path) -> None:
    """Somebody restored it in place."""
    snapshot = publish(tmp_path, SAMPLE, TAKEN_AT)
    files = IntactFiles()
    file = Path(snapshot.files("fpp_votes")[0])
    whole = file.read_bytes()
    flip_a_bit(file)
    with pytest.raises(ReadModelDamaged):
        files.require(snapshot, ["fpp_votes"])
    assert files.damage(snapshot, "fpp_votes") == VOTES
    file.unlink()
    file.write_bytes(whole)
    files.require(snapshot, ["fpp_votes"])
    assert files.damage(snapshot, "fpp_votes") is None


def test_a_damaged_run_log_is_503(read_model: Path, client: TestClient) -> None:
    """The next run begins a new one; statistics are not affected."""
    (read_model / "sync_runs.parquet").write_bytes(b"PAR1 no log PAR1")
    for path in ("/sync/runs", "/sync/runs.csv"):
        found = client.get(path)
        assert found.status_code == 503
        assert "run log" in found.json()["detail"]
    assert client.get("/metrics").status_code == 200
    assert client.get("/").status_code == 200


def test_a_snapshot_of_the_future_is_degraded(read_model: Path) -> None:
    """Its age says nothing, so nobody would notice that syncs have stopped."""
    with client_of(
        make_settings(data_dir=read_model), TAKEN_AT.replace(year=2020)
    ) as it:
        health = it.get("/health").json()
    assert health["status"] == "degraded"
    assert health["components"]["freshness"]["age_seconds"] < 0
