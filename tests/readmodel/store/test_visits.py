"""Visits: the narrow second copy is made, kept, mended, and left aside where it is of no use."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from readmodel.store import visits
from readmodel.store.manifest import Manifest
from readmodel.store.snapshot import MANIFEST, Snapshot, current, visits_of
from readmodel.sync import reuse
from readmodel.sync.staging import SnapshotWriter, exclusive_lock
from tests.support.frames import EMPTY, at
from tests.support.oracle import Database, Row
from tests.support.snapshots import publish

TAKEN_AT = at("2024-06-10 12:00")
LATER = TAKEN_AT + timedelta(hours=1)

ROWS: list[Row] = [
    {"user_id": "ada", "room_id": 1, "estimated_at": at("2024-06-04 09:00")},
    {"user_id": None, "room_id": 2, "estimated_at": at("2024-06-05 09:00")},
    {"user_id": "", "room_id": None, "estimated_at": None},
    {"user_id": "ada", "room_id": 1, "estimated_at": at("2024-06-06 09:00")},
]
DATABASE: Database = {**EMPTY, "estimations": ROWS}
TABLE = "fpp_estimations"


@pytest.fixture
def published(tmp_path: Path) -> Snapshot:
    return publish(tmp_path, DATABASE, TAKEN_AT, parts=2)


def copies(snapshot: Snapshot) -> list[Path]:
    return [visits_of(Path(file)) for file in snapshot.files(TABLE)]


def keep_all(data_dir: Path) -> Snapshot:
    """The next snapshot, in which nothing has changed."""
    before = current(data_dir)
    assert before.manifest is not None
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, LATER) as stage:
        tables = {}
        for name, stored in before.manifest.tables.items():
            files = map(Path, before.files(name))
            parts = tuple(map(lambda p, f: stage.keep(name, p, f), stored.parts, files))
            tables[name] = replace(stored, parts=parts)
        stage.publish(tables)
    return current(data_dir)


def test_visits_are_the_rows_in_order_with_who_they_are_of(published: Snapshot) -> None:
    """Equal names are equal visitors, a missing one is none, an empty one is a name."""
    found = published.visits(TABLE).collect()
    assert found.schema == {
        "visitor": pl.UInt64,
        "estimated_at": pl.Datetime("us", "UTC"),
        "room_id": pl.Int32,
    }
    names = published.scan(TABLE).select("user_id").collect()["user_id"]
    assert found["visitor"].to_list() == [
        None if name is None else pl.Series([name]).hash()[0] for name in names
    ]
    assert_frame_equal(
        found.drop("visitor"),
        published.scan(TABLE).select("estimated_at", "room_id").collect(),
    )


def test_they_are_read_from_files_of_their_own(published: Snapshot) -> None:
    """Which is the point; tables that nobody visits have none."""
    assert "fpp_estimations.visits" in published.visits(TABLE).explain()
    folders = {path.name for path in published.path.glob("*.visits")}
    assert folders == {"fpp_estimations.visits", "fpp_page_views.visits"}


def test_an_unchanged_part_keeps_its_visits_as_a_hard_link(
    tmp_path: Path, published: Snapshot
) -> None:
    """Nothing is computed or written again."""
    after = keep_all(tmp_path)
    assert after.id != published.id
    for one, other in zip(copies(published), copies(after), strict=True):
        assert one.samefile(other)


def of_another_hash(manifest: Manifest) -> Manifest:
    """As another version of Polars would have left it."""
    return with_copies(manifest, hashing="another")


def of_an_earlier_version(manifest: Manifest) -> Manifest:
    """As before there were visits."""
    return with_copies(manifest, hashing=None)


def with_copies(manifest: Manifest, hashing: str | None) -> Manifest:
    tables = {
        name: replace(
            stored,
            parts=tuple(
                replace(
                    part,
                    visits=part.visits
                    and (replace(part.visits, hashing=hashing) if hashing else None),
                )
                for part in stored.parts
            ),
        )
        for name, stored in manifest.tables.items()
    }
    return replace(manifest, tables=tables)


@pytest.mark.parametrize("changed", [of_another_hash, of_an_earlier_version])
def test_visits_of_no_use_are_left_aside_and_made_anew(
    tmp_path: Path, published: Snapshot, changed: Callable[[Manifest], Manifest]
) -> None:
    """Until the next sync the rows themselves tell who was there."""
    right = published.visits(TABLE).collect()
    for file in copies(published):
        file.write_bytes(b"PAR1 hashes that mean nothing here")
    assert published.manifest is not None
    manifest = changed(published.manifest)
    (published.path / MANIFEST).write_bytes(manifest.to_json())
    assert_frame_equal(current(tmp_path).visits(TABLE).collect(), right)
    after = keep_all(tmp_path)
    assert "fpp_estimations.visits" in after.visits(TABLE).explain()
    assert_frame_equal(after.visits(TABLE).collect(), right)


def test_missing_visits_are_computed(published: Snapshot) -> None:
    """The API goes on until the next sync makes them again."""
    right = published.visits(TABLE).collect()
    copies(published)[1].unlink()
    assert_frame_equal(published.visits(TABLE).collect(), right)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-8])


def change_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("harm", [Path.unlink, cut, change_a_byte])
def test_damage_to_visits_is_damage_to_their_part(
    published: Snapshot, harm: Callable[[Path], object]
) -> None:
    """It is found where parts are examined, and mended as theirs is."""
    assert published.manifest is not None
    parts = published.manifest.tables[TABLE].parts
    held = [
        reuse.ReusablePart(part, Path(file), ())
        for part, file in zip(parts, published.files(TABLE), strict=True)
    ]
    assert [part.is_damaged() for part in held] == [False, False]
    harm(copies(published)[1])
    assert [part.is_damaged() for part in held] == [False, True]


def test_a_damaged_part_is_kept_without_visits(
    tmp_path: Path, published: Snapshot
) -> None:
    """Keeping looks at no rows; who compares the parts will find the damage."""
    part = Path(published.files(TABLE)[0])
    copies(published)[0].unlink()
    part.write_bytes(b"no Parquet")
    after = keep_all(tmp_path)
    assert after.manifest is not None
    found = [part.visits is not None for part in after.manifest.tables[TABLE].parts]
    assert found == [False, True]


def test_a_table_without_the_columns_has_none() -> None:
    """A further table is called as it likes."""
    assert visits.applies_to("fpp_page_views", ["id", "user_id", "viewed_at"])
    assert not visits.applies_to("fpp_page_views", ["id", "viewed_at"])
    assert not visits.applies_to("fpp_votes", ["id", "user_id", "viewed_at"])
