"""Atomic replacement and checksums of files."""

import zlib
from pathlib import Path

import pytest

from readmodel.store.damage import checksum
from readmodel.sync.disk import (
    remove_unfinished,
    replace_link,
    replacing,
    storage_errors,
    write_synced,
)
from util.errors import StorageError


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    """Until then the old one is there."""
    file = tmp_path / "file"
    file.write_text("old")
    with replacing(file) as unfinished:
        write_synced(unfinished, b"new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def replace_half(file: Path) -> None:
    """Write some bytes, then raise ZeroDivisionError."""
    with replacing(file) as unfinished:
        unfinished.write_text("half")
        raise ZeroDivisionError


def test_after_an_error_the_old_file_stays(tmp_path: Path) -> None:
    """And nothing half-written beside it."""
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError):
        replace_half(file)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_replaces_a_file_or_a_link(tmp_path: Path) -> None:
    """Whatever was there before; a leftover of a killed run does not stop it."""
    link = tmp_path / "link"
    link.write_text("a file")
    (tmp_path / ".link.part").symlink_to("leftover")
    for target in ("one", "other"):
        replace_link(link, target)
        assert str(link.readlink()) == target


def test_unfinished_files_are_removed_and_no_others(tmp_path: Path) -> None:
    """Those of earlier builds too, which named links differently."""
    for name in (".current.part", ".link-current"):
        (tmp_path / name).symlink_to("nowhere")
    (tmp_path / ".sync_runs.parquet.part").write_bytes(b"PAR1")
    kept = {tmp_path / "sync_runs.parquet", tmp_path / ".hidden"}
    for file in kept:
        file.touch()
    remove_unfinished(tmp_path)
    assert set(tmp_path.iterdir()) == kept


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_a_checksum_is_the_crc_32_of_all_bytes(tmp_path: Path, size: int) -> None:
    """However many chunks it is read in."""
    content = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(content[:size])
    assert checksum(tmp_path / "file") == zlib.crc32(content[:size])


def test_storage_errors_name_the_folder_and_the_reason(tmp_path: Path) -> None:
    """In one sentence that says what to do."""
    with (
        pytest.raises(StorageError, match=f"{tmp_path} cannot be used: No such file"),
        storage_errors(tmp_path),
    ):
        (tmp_path / "missing").stat()
