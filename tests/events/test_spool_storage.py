"""Which storage a spool is on."""

from pathlib import Path

import pytest

from events.spool_storage import shared_storage_of


@pytest.mark.parametrize(
    ("kind", "found"),
    [("ext4", None), ("nfs4", "nfs4"), ("fuse.sshfs", "fuse.sshfs"), ("tmpfs", None)],
)
def test_a_shared_storage_is_recognised(
    kind: str, found: str | None, tmp_path: Path
) -> None:
    """By the mount that contains the folder."""
    mounts = tmp_path / "mountinfo"
    (tmp_path / "a b" / "spool").mkdir(parents=True)
    point = str(tmp_path / "a b").replace(" ", "\\040")
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:5 / {point} rw shared:1 - {kind} x rw\n"
    )
    folder = tmp_path / "a b" / "spool"
    assert shared_storage_of(folder, mounts) == found
    assert shared_storage_of(tmp_path, mounts) is None
    assert shared_storage_of(folder, tmp_path / "none") is None
