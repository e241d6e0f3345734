"""What a killed run leaves behind."""

from pathlib import Path

from readmodel.store.snapshot import current
from readmodel.sync.lock import exclusive_lock
from tests.support.snapshots import (
    publish_frames,
)


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    """Staged folders, unfinished links, and a snapshot that never became current."""
    before = publish_frames(tmp_path)
    staged = tmp_path / "snapshots" / ".staged-20261121T110000.000000Z"
    orphan = tmp_path / "snapshots" / "20261121T110000.000000Z"
    for place in (staged, orphan):
        (place / "fpp_votes.parquet").mkdir(parents=True)
        (place / "fpp_votes.parquet" / "part-00000.parquet").write_bytes(b"PAR1")
    (tmp_path / ".link-current").symlink_to("snapshots/x")
    (tmp_path / ".current.part").symlink_to("snapshots/x")
    (tmp_path / ".sync_runs.parquet.part").write_bytes(b"PAR1")
    with exclusive_lock(tmp_path):
        pass
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [before.id]
    assert not list(tmp_path.glob(".*"))
    assert current(tmp_path) == before
