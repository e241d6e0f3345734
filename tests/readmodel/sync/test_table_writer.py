"""Parts and side files, written or linked."""

import errno
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from readmodel.store.damage import checksum
from readmodel.store.manifest import Manifest
from readmodel.store.snapshot import MANIFEST, current, latest
from readmodel.sync import table_writer
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from tests.support.snapshots import (
    TEN,
    column_names,
    ids,
    link_all,
    publish_frames,
)
from tests.support.visits import TABLE, publish_visits, visits_of
from util.errors import StorageError


def test_an_unchanged_part_is_a_hard_link(tmp_path: Path) -> None:
    """Linking a part costs no space and keeps its record, under its new number."""
    first = publish_frames(tmp_path, frames={"fpp_votes": [ids(1), ids(2)]})
    assert first.manifest is not None
    stored = first.manifest.tables["fpp_votes"]
    file = first.path / "fpp_votes.parquet" / "part-00001.parquet"
    with (
        exclusive_lock(tmp_path),
        SnapshotWriter(tmp_path, TEN + timedelta(hours=1)) as writer,
    ):
        writer.table("fpp_votes", stored.columns, TEN).link(stored.parts[1], file)
        writer.publish()
    second = latest(tmp_path)
    assert second.manifest is not None
    new = second.path / "fpp_votes.parquet" / "part-00000.parquet"
    assert new.samefile(file)
    (part,) = second.manifest.tables["fpp_votes"].parts
    assert part == replace(stored.parts[1], file="part-00000.parquet")
    assert part.checked_at == TEN
    assert second.scan("fpp_votes").collect()["id"].to_list() == [2]


def test_a_part_carries_its_footer_and_its_record_is_that_of_the_file(
    tmp_path: Path,
) -> None:
    """Size and checksum are those of the bytes on disk."""
    with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, TEN) as writer:
        table = writer.table("fpp_votes", column_names(ids()))
        part = table.write(ids(1), {"fpp-analytics": '{"blocks": []}'})
        file = writer.path / "fpp_votes.parquet" / part.file
        footer = pl.read_parquet_metadata(file)
        assert footer["fpp-analytics"] == '{"blocks": []}'
        assert (part.rows, part.bytes) == (1, file.stat().st_size)
        assert part.crc32 == checksum(file)


def test_a_linked_part_has_its_visits_linked_too(tmp_path: Path) -> None:
    """Nothing is computed or written again."""
    before = publish_visits(tmp_path)
    after = link_all(tmp_path)
    assert after.id != before.id
    for one, other in zip(visits_of(before), visits_of(after), strict=True):
        assert one.samefile(other)


def of_another_hash(manifest: Manifest) -> Manifest:
    """The manifest that another version of Polars would have written."""
    return with_visits(manifest, "another")


def of_an_earlier_version(manifest: Manifest) -> Manifest:
    """The manifest of a version without visits."""
    return with_visits(manifest, None)


def with_visits(manifest: Manifest, version: str | None) -> Manifest:
    """Record visits of this hash, or none."""
    tables = {
        name: replace(
            stored,
            parts=tuple(
                replace(
                    part,
                    visits=replace(part.visits, version=version)
                    if part.visits and version
                    else None,
                )
                for part in stored.parts
            ),
        )
        for name, stored in manifest.tables.items()
    }
    return replace(manifest, tables=tables)


@pytest.mark.parametrize("changed", [of_another_hash, of_an_earlier_version])
def test_unusable_visits_are_ignored_and_written_again(
    tmp_path: Path, changed: Callable[[Manifest], Manifest]
) -> None:
    """Until the next sync they are derived from the rows."""
    published = publish_visits(tmp_path)
    right = published.visits(TABLE).collect()
    for file in visits_of(published):
        file.write_bytes(b"PAR1 hashes that mean nothing here")
    assert published.manifest is not None
    manifest = changed(published.manifest)
    (published.path / MANIFEST).write_bytes(manifest.to_json())
    assert_frame_equal(current(tmp_path).visits(TABLE).collect(), right)
    after = link_all(tmp_path)
    assert "fpp_estimations.visits" in after.visits(TABLE).explain()
    assert_frame_equal(after.visits(TABLE).collect(), right)


def test_a_damaged_part_is_linked_without_visits(tmp_path: Path) -> None:
    """Linking reads no rows; comparing checksums will find the damage."""
    published = publish_visits(tmp_path)
    visits_of(published)[0].unlink()
    Path(published.files(TABLE)[0]).write_bytes(b"no Parquet")
    after = link_all(tmp_path)
    assert after.manifest is not None
    found = [part.visits is not None for part in after.manifest.tables[TABLE].parts]
    assert found == [False, True]


def test_a_full_disk_says_how_much_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that somebody can make room."""
    publish_frames(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * 2**20))

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(table_writer, "write_synced", refuse)
    match = "is full.*3 MB are free; make room for 1 MB more"
    with pytest.raises(StorageError, match=match):
        publish_frames(tmp_path, TEN + timedelta(hours=1))
