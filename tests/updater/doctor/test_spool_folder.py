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
