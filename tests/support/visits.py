"""A snapshot with visits, for tests of their files."""

from pathlib import Path

from readmodel.store.side_files import VISITS
from readmodel.store.snapshot import Snapshot
from tests.support.frames import EMPTY, at
from tests.support.oracle import Row
from tests.support.snapshots import publish

TABLE = "fpp_estimations"
ROWS: list[Row] = [
    {"user_id": "ada", "room_id": 1, "estimated_at": at("2024-06-04 09:00")},
    {"user_id": None, "room_id": 2, "estimated_at": at("2024-06-05 09:00")},
    {"user_id": "", "room_id": None, "estimated_at": None},
    {"user_id": "ada", "room_id": 1, "estimated_at": at("2024-06-06 09:00")},
]


def publish_visits(data_dir: Path) -> Snapshot:
    """Publish ROWS as the two parts of TABLE; the other tables are empty."""
    database = {**EMPTY, "estimations": ROWS}
    return publish(data_dir, database, at("2024-06-10 12:00"), parts=2)


def visits_of(snapshot: Snapshot) -> list[Path]:
    """The files with the visits of TABLE."""
    return [VISITS.path(Path(file)) for file in snapshot.files(TABLE)]
