"""The layout on disk as readers see it: one whole instant, complete or named."""

import os
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from readmodel.dtypes import INSTANT
from readmodel.store.snapshot import (
    NO_FILES,
    current,
    latest,
    table_files,
    table_folder,
)
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.tables import TABLES
from tests.support.effort import by_effort
from tests.support.snapshots import (
    PLAIN_FILES_AT,
    TEN,
    cut_short,
    damage_manifest,
    ids,
    plain_files,
    publish_frames,
)
from util.errors import ReadModelDamaged, ReadModelMissing


def test_a_published_snapshot_is_scanned_as_it_was_written(tmp_path: Path) -> None:
    """Rows come in the order of the parts, with the dtypes that were stored."""
    rows = pl.DataFrame(
        {
            "id": [1, 2],
            "avg": [Decimal("2.50"), None],
            "seen_at": [TEN, None],
            "kind": ["", None],
            "spectator": [True, None],
        },
        schema={
            "id": pl.UInt64,
            "avg": pl.Decimal(4, 2),
            "seen_at": INSTANT,
            "kind": pl.String,
            "spectator": pl.Boolean,
        },
    )
    snapshot = publish_frames(tmp_path, frames={"fpp_votes": [rows[:1], rows[1:]]})
    assert snapshot.scan("fpp_votes").collect_schema() == rows.schema
    assert snapshot.scan("fpp_votes").collect().equals(rows)
    assert snapshot.id == "20261121T100000.000000Z"
    assert snapshot.taken_at == TEN
    assert snapshot.path == (tmp_path / "snapshots" / snapshot.id).resolve()


def test_any_tool_can_read_a_table_by_its_path_in_data_dir(tmp_path: Path) -> None:
    """DATA_DIR/fpp_votes.parquet is the table, whatever snapshot is current."""
    publish_frames(tmp_path, frames={"fpp_votes": [ids(1, 2), ids(3)]})
    votes = pl.scan_parquet(f"{tmp_path}/fpp_votes.parquet")
    assert votes.collect()["id"].to_list() == [1, 2, 3]
    publish_frames(tmp_path, TEN + timedelta(minutes=1), {"fpp_votes": [ids(4)]})
    assert pl.read_parquet(tmp_path / "fpp_votes.parquet")["id"].to_list() == [4]


def test_an_empty_table_keeps_its_schema(tmp_path: Path) -> None:
    """It is one part without rows, read like any other."""
    publish_frames(tmp_path, frames={"fpp_votes": [ids()]})
    votes = pl.read_parquet(tmp_path / "fpp_votes.parquet")
    assert (votes.height, votes.schema) == (0, pl.Schema({"id": pl.Int32}))


def test_a_reader_keeps_its_snapshot_while_others_are_published(tmp_path: Path) -> None:
    """Opened once, a snapshot has the same rows however many follow."""
    opened = publish_frames(tmp_path, frames={"fpp_votes": [ids(7)]})
    for minute in range(1, 9):
        publish_frames(tmp_path, TEN + timedelta(minutes=minute))
    assert opened.scan("fpp_votes").collect()["id"].to_list() == [7]
    assert current(tmp_path).id == "20261121T100800.000000Z"


def test_links_above_the_data_may_change(tmp_path: Path) -> None:
    """DATA_DIR can be a link, to which another folder may come, and its folder may move."""
    one, two, data_dir = (tmp_path / name for name in ("one", "two", "data"))
    first = publish_frames(one)
    second = publish_frames(two)
    data_dir.symlink_to(one)
    assert current(data_dir).path == first.path
    data_dir.unlink()
    data_dir.symlink_to(two)
    assert current(data_dir).path == second.path
    moved = two.rename(tmp_path / "three")
    data_dir.unlink()
    data_dir.symlink_to(moved)
    assert current(data_dir).path == moved / second.path.relative_to(two)


def test_readers_in_parallel_see_all_tables_of_one_instant(tmp_path: Path) -> None:
    """Two tables that change together are never seen apart."""
    publish_frames(tmp_path)
    done = threading.Event()
    seen: list[tuple[int, int]] = []

    def read() -> None:
        while not done.is_set():
            snapshot = current(tmp_path)
            pair = [
                snapshot.scan(name).collect()["id"].item()
                for name in ("fpp_votes", "fpp_users")
            ]
            seen.append((pair[0], pair[1]))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for count in range(2, by_effort(12, 40)):
        both = {name: [ids(count)] for name in ("fpp_votes", "fpp_users")}
        publish_frames(tmp_path, TEN + timedelta(seconds=count), both)
    done.set()
    for reader in readers:
        reader.join()
    assert len(seen) > 10
    assert [pair for pair in seen if pair[0] != pair[1]] == []


def test_an_empty_data_dir_is_a_missing_read_model(tmp_path: Path) -> None:
    """Before the first sync, and without the folder itself."""
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ReadModelMissing, match=r"run update_readmodel\.py"):
            current(place)
        assert list(table_files(place).items()) == [(name, NO_FILES) for name in TABLES]


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    """A missing part is a missing table; the others are complete."""
    publish_frames(tmp_path)
    (latest(tmp_path).path / "fpp_users.parquet" / "part-00000.parquet").unlink()
    with pytest.raises(ReadModelMissing, match="lacks fpp_users:"):
        current(tmp_path)
    assert lacking(tmp_path) == ["fpp_users"]


def lacking(data_dir: Path) -> list[str]:
    """The tables of which a file is missing."""
    return [name for name, table in table_files(data_dir).items() if not table.complete]


def test_the_files_left_of_an_incomplete_table_count(tmp_path: Path) -> None:
    """They take space. A folder is not a file."""
    parts = {"fpp_votes": [ids(1), ids(2)]}
    path = publish_frames(tmp_path, frames=parts).path / "fpp_votes.parquet"
    whole = table_files(tmp_path)["fpp_votes"].bytes
    left = (path / "part-00000.parquet").stat().st_size
    (path / "part-00001.parquet").unlink()
    assert table_files(tmp_path)["fpp_votes"] == (left, False)
    (path / "part-00001.parquet").mkdir()
    assert table_files(tmp_path)["fpp_votes"] == (left, False)
    assert whole > left


def test_further_tables_take_space_but_are_not_required(tmp_path: Path) -> None:
    """Those of SYNC_TABLES."""
    path = publish_frames(tmp_path, frames={"orders": [ids(1)]}).path
    part = path / "orders.parquet" / "part-00000.parquet"
    assert table_files(tmp_path)["orders"] == (part.stat().st_size, True)
    part.unlink()
    assert lacking(tmp_path) == ["orders"]
    assert current(tmp_path).path == path


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 1}', '{"version": 2}', "\x00"]
)
def test_a_damaged_manifest_is_a_missing_read_model(tmp_path: Path, text: str) -> None:
    """The error names the snapshot and says what to do."""
    snapshot = publish_frames(tmp_path)
    damage_manifest(snapshot.path, text.encode())
    with pytest.raises(ReadModelMissing, match=f"{snapshot.id} is damaged: run"):
        current(tmp_path)
    assert set(table_files(tmp_path).values()) == {NO_FILES}


def test_size_counts_the_current_snapshot_only(tmp_path: Path) -> None:
    """Older snapshots share parts with it or will go."""
    publish_frames(tmp_path)
    snapshot = publish_frames(tmp_path, TEN + timedelta(minutes=1))
    parts = snapshot.path.glob("*/*.parquet")
    size = sum(table.bytes for table in table_files(tmp_path).values())
    assert size == sum(part.stat().st_size for part in parts) > 0


def test_plain_files_are_served_in_utc(tmp_path: Path) -> None:
    """The earlier system's read model answers until the first sync."""
    plain_files(tmp_path)
    snapshot = current(tmp_path)
    votes = snapshot.scan("fpp_votes").collect()
    assert votes["at"].to_list() == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]
    assert votes.schema["at"] == INSTANT
    assert snapshot.taken_at == datetime.fromtimestamp(PLAIN_FILES_AT, UTC)
    assert all(
        table.complete and table.bytes for table in table_files(tmp_path).values()
    )


def test_the_id_of_plain_files_changes_with_them(tmp_path: Path) -> None:
    """It stays while they stay, and is another one after one is written again."""
    plain_files(tmp_path)
    before = current(tmp_path).id
    assert before == current(tmp_path).id
    assert before.startswith("plain-")
    later = PLAIN_FILES_AT + 600
    os.utime(tmp_path / "fpp_votes.parquet", (later, later))
    assert current(tmp_path).id != before


def test_a_missing_plain_file_is_named(tmp_path: Path) -> None:
    """Five of six files are not a read model."""
    plain_files(tmp_path)
    (tmp_path / "fpp_rooms.parquet").unlink()
    with pytest.raises(ReadModelMissing, match="lacks fpp_rooms:"):
        current(tmp_path)


def test_rows_are_those_of_all_tables_together(tmp_path: Path) -> None:
    """Six tables of one row, one of which has three."""
    snapshot = publish_frames(tmp_path, frames={"fpp_votes": [ids(1), ids(2, 3)]})
    assert snapshot.rows == 5 + 3


@pytest.mark.parametrize(
    ("table", "folder"),
    [
        ("orders", "orders.parquet"),
        ("sales.orders", "sales.orders.parquet"),
        ("a b%c", "a b%c.parquet"),
        ("a/b", "a%2Fb.parquet"),
        ("../x", "%2E.%2Fx.parquet"),
        (".hidden", "%2Ehidden.parquet"),
        ("a%2Fb", "a%252Fb.parquet"),
        ("sync_runs", "%73ync_runs.parquet"),
    ],
)
def test_folders_have_safe_names(table: str, folder: str) -> None:
    """Neither another folder, nor a hidden one, nor the run log."""
    assert table_folder(table) == folder


@given(st.text("a/.%25F2Esync_runs", min_size=1))
def test_folders_of_different_tables_differ(table: str) -> None:
    """A name can be decoded from its folder's name."""
    folder = table_folder(table)
    assert unquote(folder.removesuffix(".parquet")) == table
    assert "/" not in folder
    assert not folder.startswith(".")


def test_tables_with_any_name_are_published_and_read(tmp_path: Path) -> None:
    """Their links are in DATA_DIR, and the run log stays what it is."""
    names = ["../x", "a/b", "a,b", "x:y", 'q"q', "sync_runs", "naïve 😀\n", "*?[a]"]
    (tmp_path / "sync_runs.parquet").write_bytes(b"log")
    snapshot = publish_frames(tmp_path, frames={name: [ids(7)] for name in names})
    for name in names:
        assert snapshot.scan(name).collect().rows() == [(7,)]
        assert pl.read_parquet(tmp_path / table_folder(name), glob=False).height == 1
    assert (tmp_path / "sync_runs.parquet").read_bytes() == b"log"
    assert not (tmp_path.parent / "x.parquet").exists()


def test_a_snapshot_without_tables_is_complete(tmp_path: Path) -> None:
    """TABLES=none: it can be published, opened and followed by another."""
    for minute in (0, 1):
        at = TEN + timedelta(minutes=minute)
        with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, at) as writer:
            writer.configured = ()
            writer.publish()
        found = current(tmp_path)
        assert (found.taken_at, found.rows, found.table_files()) == (at, 0, {})
        assert not found.serves_statistics


@pytest.mark.parametrize("name", ["snapshot.json", "snapshot.json.copy"])
def test_one_damaged_copy_of_the_manifest_is_harmless(
    tmp_path: Path, name: str
) -> None:
    """The other one has the same bytes."""
    snapshot = publish_frames(tmp_path)
    for damage in (b"", b"{", b"\xff" * 100):
        (snapshot.path / name).write_bytes(damage)
        assert current(tmp_path) == snapshot
    (snapshot.path / name).unlink()
    assert current(tmp_path) == snapshot


def test_a_part_of_another_size_is_not_there(tmp_path: Path) -> None:
    """Reading it would fail, or be wrong."""
    snapshot = publish_frames(tmp_path)
    cut_short(Path(snapshot.files("fpp_votes")[0]))
    with pytest.raises(ReadModelMissing, match="lacks fpp_votes"):
        current(tmp_path)


def test_a_pipe_in_place_of_the_manifest_is_damage(tmp_path: Path) -> None:
    """Opening it would wait for a writer, for ever."""
    snapshot = publish_frames(tmp_path)
    for name in ("snapshot.json", "snapshot.json.copy"):
        (snapshot.path / name).unlink()
        os.mkfifo(snapshot.path / name)
    with pytest.raises(ReadModelDamaged, match="is damaged"):
        current(tmp_path)


def test_a_loop_of_links_is_damage(tmp_path: Path) -> None:
    """No other error, which would be answered with 500."""
    (tmp_path / "current").symlink_to("current")
    with pytest.raises(ReadModelDamaged, match="current in DATA_DIR"):
        current(tmp_path)
