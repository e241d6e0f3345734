"""`GET /room/{room_id}/stats`: known, unknown and invalid rooms."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from readmodel.store.room_votes import RoomVotes
from readmodel.store.side_files import ROOMS
from readmodel.store.snapshot import current
from routers.computations import Computations
from routers.readings import ROOM_STATS, Reading
from tests.support.frames import NOW, START
from tests.support.oracle import Oracle
from tests.support.sample import SAMPLE


@pytest.fixture
def tmp_path(disk_path: Path) -> Path:
    """A folder on a disk: elsewhere the event loop answers no room."""
    return disk_path


@pytest.fixture(autouse=True)
def _published(read_model: Path) -> None:
    """Every test here has a read model."""
    assert read_model.exists()


@pytest.mark.parametrize("room", [1, 9, 2, 2147483647])
def test_a_known_room_has_figures_and_an_unknown_one_zeros(
    client: TestClient, room: int
) -> None:
    """Both are 200."""
    got = client.get(f"/room/{room}/stats")
    assert got.status_code == 200
    assert got.json() == Oracle(SAMPLE, START, NOW, ZoneInfo("UTC")).room(room)


@pytest.mark.parametrize("room", ["0", "-1", "-2147483648", "2147483648", "9" * 40])
def test_an_id_that_no_room_can_have_is_400(client: TestClient, room: str) -> None:
    """Ids are signed 32-bit integers from 1."""
    got = client.get(f"/room/{room}/stats")
    assert (got.status_code, got.json()) == (400, {"detail": "Invalid room_id"})


@pytest.mark.parametrize(
    "room",
    ["abc", "1.5", "1e3", "%00", "%FF%FE", "%C3%28", "%0A", "٣x", "NaN", "9" * 5000],
)
def test_an_id_that_is_not_an_integer_is_422_with_a_detail(
    client: TestClient, room: str
) -> None:
    """Never 500, for any bytes."""
    got = client.get(f"/room/{room}/stats")
    assert got.status_code == 422
    assert got.json()["detail"]


def test_a_room_has_the_same_figures_whatever_they_are_read_from(
    client: TestClient, read_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a thread, in the event loop, and from the parts if the side file is gone."""
    at_once: list[Reading] = []
    original = Computations.run_at_once

    def note(self: Computations, reading: Reading, *rest: Any) -> Any:
        at_once.append(reading)
        return original(self, reading, *rest)

    monkeypatch.setattr(Computations, "run_at_once", note)
    monkeypatch.setattr(
        RoomVotes, "of_room_in_memory", lambda self, room: self.of_room(room)
    )
    url = "/room/1/stats?period=90d&compare=previous"
    first = client.get(url)
    assert (first.status_code, at_once) == (200, [])
    second = client.get(url)
    assert (second.content, at_once) == (first.content, [ROOM_STATS])
    (file,) = current(read_model).side_files("fpp_votes", ROOMS)
    file.unlink()
    third = client.get(url)
    assert (third.content, len(at_once)) == (first.content, 1)
