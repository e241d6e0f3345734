"""Links to the tables of the current snapshot."""

from datetime import timedelta
from pathlib import Path

from readmodel.store.snapshot import current
from readmodel.tables import TABLES
from tests.support.snapshots import (
    TEN,
    ids,
    plain_files,
    publish_frames,
)


def test_the_first_snapshot_replaces_plain_files(tmp_path: Path) -> None:
    """Each file becomes a link into the current snapshot."""
    plain_files(tmp_path)
    publish_frames(tmp_path)
    assert current(tmp_path).id == "20261121T100000.000000Z"
    for name in TABLES:
        link = tmp_path / f"{name}.parquet"
        assert str(link.readlink()) == f"current/{name}.parquet"


def test_the_link_of_a_table_no_longer_mirrored_goes(tmp_path: Path) -> None:
    """Other people's links and files stay."""
    publish_frames(tmp_path, frames={"orders": [ids(1)]})
    (tmp_path / "mine.parquet").symlink_to("/dev/null")
    assert (tmp_path / "orders.parquet").exists()
    publish_frames(tmp_path, TEN + timedelta(minutes=1))
    assert not (tmp_path / "orders.parquet").is_symlink()
    assert (tmp_path / "mine.parquet").is_symlink()
