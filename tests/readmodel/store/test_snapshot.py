"""The layout on disk: readers hold one whole instant, writers leave nothing behind."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from readmodel.dtypes import dtype_name
from readmodel.store.manifest import StoredTable
from readmodel.store.snapshot import NOTHING, Snapshot, current, held, latest
from readmodel.sync.staging import NOTE, SnapshotWriter, checksum, exclusive_lock
from readmodel.tables import TABLES
from util.errors import ReadModelMissing, StorageError, SyncRunning

TEN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
UTC_MICROS = pl.Datetime("us", "UTC")


def numbers(*values: int) -> pl.DataFrame:
    return pl.DataFrame({"id": list(values)}, schema={"id": pl.Int32})


def columns(frame: pl.DataFrame) -> dict[str, str]:
    return {name: dtype_name(dtype) for name, dtype in frame.schema.items()}


def publish(
    data_dir: Path,
    at: datetime = TEN,
    frames: Mapping[str, list[pl.DataFrame]] | None = None,
) -> Snapshot:
    """A snapshot of all six tables; each is one row, 1, unless *frames* says more."""
    frames = {name: [numbers(1)] for name in TABLES} | dict(frames or {})
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, at) as stage:
        stage.publish(
            {
                name: StoredTable(
                    columns(parts[0]),
                    tuple(stage.write(name, part, "{}") for part in parts),
                    at,
                )
                for name, parts in frames.items()
            }
        )
    return current(data_dir)


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
            "seen_at": UTC_MICROS,
            "kind": pl.String,
            "spectator": pl.Boolean,
        },
    )
    snapshot = publish(tmp_path, frames={"fpp_votes": [rows[:1], rows[1:]]})
    assert snapshot.scan("fpp_votes").collect_schema() == rows.schema
    assert snapshot.scan("fpp_votes").collect().equals(rows)
    assert snapshot.id == "20261121T100000.000000Z"
    assert snapshot.taken_at == TEN
    assert snapshot.path == (tmp_path / "snapshots" / snapshot.id).resolve()


def test_any_tool_can_read_a_table_by_its_path_in_data_dir(tmp_path: Path) -> None:
    """DATA_DIR/fpp_votes.parquet is the table, whatever snapshot is current."""
    publish(tmp_path, frames={"fpp_votes": [numbers(1, 2), numbers(3)]})
    votes = pl.scan_parquet(f"{tmp_path}/fpp_votes.parquet")
    assert votes.collect()["id"].to_list() == [1, 2, 3]
    publish(tmp_path, TEN + timedelta(minutes=1), {"fpp_votes": [numbers(4)]})
    assert pl.read_parquet(tmp_path / "fpp_votes.parquet")["id"].to_list() == [4]


def test_an_empty_table_keeps_its_schema(tmp_path: Path) -> None:
    """It is one part without rows, so it can be read like any other."""
    publish(tmp_path, frames={"fpp_votes": [numbers()]})
    votes = pl.read_parquet(tmp_path / "fpp_votes.parquet")
    assert (votes.height, votes.schema) == (0, pl.Schema({"id": pl.Int32}))


def test_a_reader_keeps_its_snapshot_while_others_are_published(tmp_path: Path) -> None:
    """Opened once, a snapshot answers the same however many follow."""
    held = publish(tmp_path, frames={"fpp_votes": [numbers(7)]})
    for minute in range(1, 9):
        publish(tmp_path, TEN + timedelta(minutes=minute))
    assert held.scan("fpp_votes").collect()["id"].to_list() == [7]
    assert current(tmp_path).id == "20261121T100800.000000Z"


def test_readers_in_parallel_see_all_tables_of_one_instant(tmp_path: Path) -> None:
    """Two tables that change together are never seen apart."""
    publish(tmp_path)
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
    for count in range(2, 40):
        both = {name: [numbers(count)] for name in ("fpp_votes", "fpp_users")}
        publish(tmp_path, TEN + timedelta(seconds=count), both)
    done.set()
    for reader in readers:
        reader.join()
    assert len(seen) > 10
    assert [pair for pair in seen if pair[0] != pair[1]] == []


def test_an_unchanged_part_is_a_hard_link(tmp_path: Path) -> None:
    """Keeping a part costs no space and keeps its record, under its new number."""
    first = publish(tmp_path, frames={"fpp_votes": [numbers(1), numbers(2)]})
    assert first.manifest is not None
    stored = first.manifest.tables["fpp_votes"]
    file = first.path / "fpp_votes.parquet" / "part-00001.parquet"
    with (
        exclusive_lock(tmp_path),
        SnapshotWriter(tmp_path, TEN + timedelta(hours=1)) as stage,
    ):
        part = stage.keep("fpp_votes", stored.parts[1], file)
        stage.publish({"fpp_votes": StoredTable(stored.columns, (part,), TEN)})
    second = latest(tmp_path)
    new = second.path / "fpp_votes.parquet" / "part-00000.parquet"
    assert new.samefile(file)
    assert part.checked_at == TEN
    assert second.scan("fpp_votes").collect()["id"].to_list() == [2]


def test_a_part_carries_a_note_in_its_footer(tmp_path: Path) -> None:
    """What the updater knows of a part travels with the file."""
    with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, TEN) as stage:
        part = stage.write("fpp_votes", numbers(1), '{"blocks": []}')
        file = stage.path / "fpp_votes.parquet" / part.file
        assert pl.read_parquet_metadata(file)[NOTE] == '{"blocks": []}'
        assert (part.rows, part.bytes) == (1, file.stat().st_size)
        assert part.crc32 == checksum(file)


def test_nothing_there_is_a_missing_read_model(tmp_path: Path) -> None:
    """Before the first sync, and without the folder itself."""
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ReadModelMissing, match="run update_readmodel.py"):
            current(place)
        assert list(held(place).items()) == [(name, NOTHING) for name in TABLES]


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    """A part that vanished is a missing table; the others are reported as there."""
    publish(tmp_path)
    (latest(tmp_path).path / "fpp_users.parquet" / "part-00000.parquet").unlink()
    with pytest.raises(ReadModelMissing, match="lacks fpp_users:"):
        current(tmp_path)
    assert lacking(tmp_path) == ["fpp_users"]


def lacking(data_dir: Path) -> list[str]:
    return [name for name, table in held(data_dir).items() if not table.complete]


def test_what_is_left_of_an_incomplete_table_counts(tmp_path: Path) -> None:
    """It takes room. A folder is no file."""
    parts = {"fpp_votes": [numbers(1), numbers(2)]}
    path = publish(tmp_path, frames=parts).path / "fpp_votes.parquet"
    whole = held(tmp_path)["fpp_votes"].bytes
    left = (path / "part-00000.parquet").stat().st_size
    (path / "part-00001.parquet").unlink()
    assert held(tmp_path)["fpp_votes"] == (left, False)
    (path / "part-00001.parquet").mkdir()
    assert held(tmp_path)["fpp_votes"] == (left, False)
    assert whole > left


def test_further_tables_take_room_but_are_not_required(tmp_path: Path) -> None:
    """Those of SYNC_TABLES."""
    path = publish(tmp_path, frames={"orders": [numbers(1)]}).path
    part = path / "orders.parquet" / "part-00000.parquet"
    assert held(tmp_path)["orders"] == (part.stat().st_size, True)
    part.unlink()
    assert lacking(tmp_path) == ["orders"]
    assert current(tmp_path).path == path


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 1}', '{"version": 2}', "\x00"]
)
def test_a_damaged_manifest_is_a_missing_read_model(tmp_path: Path, text: str) -> None:
    """It is said which snapshot is damaged and what to do."""
    snapshot = publish(tmp_path)
    (snapshot.path / "snapshot.json").write_text(text)
    with pytest.raises(ReadModelMissing, match=f"{snapshot.id} is damaged: run"):
        current(tmp_path)
    assert set(held(tmp_path).values()) == {NOTHING}


def test_size_counts_the_current_snapshot_only(tmp_path: Path) -> None:
    """Older snapshots share parts with it or will go."""
    publish(tmp_path)
    snapshot = publish(tmp_path, TEN + timedelta(minutes=1))
    parts = snapshot.path.glob("*/*.parquet")
    bytes_held = sum(table.bytes for table in held(tmp_path).values())
    assert bytes_held == sum(part.stat().st_size for part in parts) > 0


def plain_files(data_dir: Path) -> None:
    """What the earlier system leaves: one file a table, naive UTC timestamps."""
    at = datetime(2026, 1, 2, 3, 4, 5)
    for name in TABLES:
        frame = pl.DataFrame({"id": [1], "at": [at]})
        frame.write_parquet(data_dir / f"{name}.parquet")
        os.utime(data_dir / f"{name}.parquet", (1_767_322_000, 1_767_322_000))


def test_plain_files_are_served_in_utc(tmp_path: Path) -> None:
    """The earlier system's read model answers until the first sync."""
    plain_files(tmp_path)
    snapshot = current(tmp_path)
    votes = snapshot.scan("fpp_votes").collect()
    assert votes["at"].to_list() == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]
    assert votes.schema["at"] == UTC_MICROS
    assert snapshot.taken_at == datetime.fromtimestamp(1_767_322_000, UTC)
    assert all(table.complete and table.bytes for table in held(tmp_path).values())


def test_the_id_of_plain_files_changes_with_them(tmp_path: Path) -> None:
    """It is the same while they are, and another once one was written again."""
    plain_files(tmp_path)
    before = current(tmp_path).id
    assert before == current(tmp_path).id
    assert before.startswith("plain-")
    os.utime(tmp_path / "fpp_votes.parquet", (1_767_322_600, 1_767_322_600))
    assert current(tmp_path).id != before


def test_a_missing_plain_file_is_named(tmp_path: Path) -> None:
    """Five of six files are not a read model."""
    plain_files(tmp_path)
    (tmp_path / "fpp_rooms.parquet").unlink()
    with pytest.raises(ReadModelMissing, match="lacks fpp_rooms:"):
        current(tmp_path)


def test_the_first_snapshot_replaces_plain_files(tmp_path: Path) -> None:
    """After it, each is a link into the current snapshot."""
    plain_files(tmp_path)
    publish(tmp_path)
    assert current(tmp_path).id == "20261121T100000.000000Z"
    for name in TABLES:
        link = tmp_path / f"{name}.parquet"
        assert os.readlink(link) == f"current/{name}.parquet"


def test_the_link_of_a_table_no_longer_mirrored_goes(tmp_path: Path) -> None:
    """Other people's links and files stay."""
    publish(tmp_path, frames={"orders": [numbers(1)]})
    (tmp_path / "mine.parquet").symlink_to("/dev/null")
    assert (tmp_path / "orders.parquet").exists()
    publish(tmp_path, TEN + timedelta(minutes=1))
    assert not (tmp_path / "orders.parquet").is_symlink()
    assert (tmp_path / "mine.parquet").is_symlink()


def snapshots(data_dir: Path) -> list[str]:
    return sorted(path.name[9:15] for path in (data_dir / "snapshots").iterdir())


def test_the_newest_and_the_young_snapshots_stay(tmp_path: Path) -> None:
    """Three whatever their age, and all of the last ten minutes."""
    for hour in range(5):
        publish(tmp_path, TEN + timedelta(hours=hour))
    assert snapshots(tmp_path) == ["120000", "130000", "140000"]
    for minute in range(4, 11, 2):
        publish(tmp_path, TEN + timedelta(hours=4, minutes=minute))
    assert snapshots(tmp_path) == ["140000", "140400", "140600", "140800", "141000"]
    publish(tmp_path, TEN + timedelta(hours=4, minutes=10, microseconds=1))
    assert snapshots(tmp_path)[0] == "140400"


def test_two_snapshots_of_one_instant_get_two_ids(tmp_path: Path) -> None:
    """A clock that stands still does not overwrite what readers hold."""
    first, second = publish(tmp_path), publish(tmp_path)
    assert first.id < second.id
    assert first.path.exists()


def test_a_failed_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """The snapshot before it stays current, and what was staged is gone."""
    before = publish(tmp_path)
    with (
        pytest.raises(ZeroDivisionError),
        exclusive_lock(tmp_path),
        SnapshotWriter(tmp_path, TEN + timedelta(hours=1)) as stage,
    ):
        stage.write("fpp_votes", numbers(1), "{}")
        raise ZeroDivisionError
    assert current(tmp_path) == before
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [before.id]


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    """Staged folders, half-made links, and what was renamed but never made current."""
    before = publish(tmp_path)
    staged = tmp_path / "snapshots" / ".staged-20261121T110000.000000Z"
    orphan = tmp_path / "snapshots" / "20261121T110000.000000Z"
    for place in (staged, orphan):
        (place / "fpp_votes.parquet").mkdir(parents=True)
        (place / "fpp_votes.parquet" / "part-00000.parquet").write_bytes(b"PAR1")
    (tmp_path / ".link-current").symlink_to("snapshots/x")
    (tmp_path / ".sync_runs.parquet.part").write_bytes(b"PAR1")
    with exclusive_lock(tmp_path):
        pass
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [before.id]
    assert not list(tmp_path.glob(".*"))
    assert current(tmp_path) == before


HOLDER = """
import signal, sys
from pathlib import Path
from readmodel.sync.staging import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


def test_a_second_writer_is_told_to_wait_and_a_killed_one_blocks_nobody(
    tmp_path: Path,
) -> None:
    """The lock is held by the process, not by the file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(SyncRunning, match="Another updater"),
            exclusive_lock(tmp_path),
        ):
            raise AssertionError("two writers at once")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with (
        exclusive_lock(tmp_path),
        (tmp_path / "update.lock").open() as lock,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """DATA_DIR is a file: one sentence with the place and the reason."""
    place = tmp_path / "data"
    place.write_text("")
    with (
        pytest.raises(StorageError, match=f"DATA_DIR {place} cannot be used: File"),
        exclusive_lock(place),
    ):
        raise AssertionError("a file was taken for a folder")


def test_rows_are_those_of_all_tables_together(tmp_path: Path) -> None:
    """Six tables of one row, one of them with two parts more."""
    snapshot = publish(tmp_path, frames={"fpp_votes": [numbers(1), numbers(2, 3)]})
    assert snapshot.rows == 5 + 3
