"""What a spool needs of its file system."""

from pathlib import Path

import pytest

from updater.doctor import spool_folder


def test_what_a_spool_needs_of_its_file_system_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that hides a renamed file, or keeps a removed one, is no spool."""
    assert spool_folder.spool_folder_problem(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patch:
        patch.setattr(spool_folder, "list_files", lambda _: [])
        problem = spool_folder.spool_folder_problem(tmp_path)
        assert problem == "does not show a file after its rename"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda _: None)
        problem = spool_folder.spool_folder_problem(tmp_path)
        assert problem == "shows a file that was removed"
    missing = spool_folder.spool_folder_problem(tmp_path / "missing")
    assert missing == "cannot be written to (No such file or directory)"


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
    assert spool_folder.shared_storage_of(folder, mounts) == found
    assert spool_folder.shared_storage_of(tmp_path, mounts) is None
    assert spool_folder.shared_storage_of(folder, tmp_path / "none") is None
