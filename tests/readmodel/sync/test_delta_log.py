"""Delta Lake's log beside each table, as its own readers and DuckDB read it."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
from deltalake import DeltaTable

from demo.database import write_database
from demo.sample import sample
from readmodel.store import snapshot
from readmodel.sync.delta_log import COMMIT
from readmodel.sync.drain import drain
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.tables import TABLES
from tests.support.events import line, write_spool
from tests.support.programs import run_updater
from tests.support.replicas import Replica
from tests.support.snapshots import TEN, column_names, ids, publish_frames

MOMENT = datetime(2026, 11, 21, 10, 0, 0, 123456, UTC)


def columns() -> dict[str, pl.Series]:
    """A column of each type that tables have."""
    return {
        "i8": pl.Series([1, None, -128], dtype=pl.Int8),
        "i16": pl.Series([1, None, -(2**15)], dtype=pl.Int16),
        "i32": pl.Series([1, None, 2**31 - 1], dtype=pl.Int32),
        "i64": pl.Series([1, None, 2**63 - 1], dtype=pl.Int64),
        "u8": pl.Series([1, None, 255], dtype=pl.UInt8),
        "u16": pl.Series([1, None, 2**16 - 1], dtype=pl.UInt16),
        "u32": pl.Series([1, None, 2**32 - 1], dtype=pl.UInt32),
        "f32": pl.Series([1.5, None, 0.25], dtype=pl.Float32),
        "f64": pl.Series([1.5, None, 0.1], dtype=pl.Float64),
        "flag": pl.Series([True, None, False]),
        "text": pl.Series(["ä 🃏", None, ""]),
        "bytes": pl.Series([b"\0\xff", None, b""]),
        "day": pl.Series([date(2026, 1, 31), None, date(1, 1, 1)]),
        "at": pl.Series([MOMENT, None, MOMENT]),
        "local": pl.Series([MOMENT, None, MOMENT]).dt.replace_time_zone(None),
        "price": pl.Series(
            [Decimal("1.25"), None, Decimal("-9.99")], dtype=pl.Decimal(9, 2)
        ),
        "listed": pl.Series([[1, 2], None, []], dtype=pl.List(pl.Int64)),
        "nested": pl.Series(
            [{"a": 1, "b": "x"}] * 3, dtype=pl.Struct({"a": pl.Int32, "b": pl.String})
        ),
        'a "b", c/d': pl.Series([1, 2, 3], dtype=pl.Int32),
    }


def publish(
    data_dir: Path, frames: dict[str, list[pl.DataFrame]], minute: int = 0
) -> None:
    """Publish these tables with logs."""
    at = TEN + timedelta(minutes=minute)
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, at) as writer:
        writer.delta_logs = True
        writer.configured = tuple(frames)
        for name, parts in frames.items():
            table = writer.table(name, column_names(parts[0]))
            for part in parts:
                table.write(part, {})
        writer.publish()


def delta(data_dir: Path, table: str) -> Path:
    """Where the log of *table* is."""
    return data_dir / "current" / f"{table}.delta"


def paths(data_dir: Path) -> list[str]:
    """The paths of the parts in the log of ``t``."""
    text = (delta(data_dir, "t") / "_delta_log" / COMMIT).read_text()
    actions = [json.loads(line) for line in text.splitlines()]
    return [action["add"]["path"] for action in actions if "add" in action]


def test_every_type_is_read_as_it_is_stored(tmp_path: Path) -> None:
    """Unsigned integers are read as wider signed ones, all else exactly."""
    frame = pl.DataFrame(columns())
    publish(tmp_path, {"t": [frame.head(2), frame.tail(1)]})
    found = pl.read_delta(str(delta(tmp_path, "t")))
    wider = {"u8": pl.Int16, "u16": pl.Int32, "u32": pl.Int64}
    assert found.sort("i32", nulls_last=True).equals(
        frame.cast(wider).sort("i32", nulls_last=True)  # type: ignore[arg-type]
    )
    assert found.schema == frame.cast(wider).schema  # type: ignore[arg-type]


def test_a_table_with_a_type_that_delta_lacks_is_left_out(tmp_path: Path) -> None:
    """Others are there."""
    odd = pl.DataFrame({"at": [time(12)]})
    large = pl.DataFrame({"n": pl.Series([2**64 - 1], dtype=pl.UInt64)})
    publish(tmp_path, {"odd": [odd], "large": [large], "good": [ids(1)]})
    assert not delta(tmp_path, "odd").exists()
    assert not delta(tmp_path, "large").exists()
    assert delta(tmp_path, "good").is_dir()


def test_tables_with_any_name_and_without_rows(tmp_path: Path) -> None:
    """The log has the table's own name."""
    names = ["a,b", "x:y", "naïve 😀", "50%", "t.u"]
    publish(tmp_path, {name: [ids(7), ids(8)] for name in names} | {"empty": [ids()]})
    for name in names:
        folder = (tmp_path / "current" / snapshot.table_folder(name)).with_suffix(
            ".delta"
        )
        # An address, since a path may have percent signs.
        table = DeltaTable(folder.as_uri())
        assert table.metadata().name == name
        assert table.to_pyarrow_table()["id"].to_pylist() == [7, 8]
    assert pl.read_delta(str(delta(tmp_path, "empty"))).height == 0


def test_duckdb_reads_the_table(tmp_path: Path) -> None:
    """By the dataset that deltalake makes of the log."""
    publish(tmp_path, {"t": [ids(1, 2), ids(3)]})
    dataset = DeltaTable(delta(tmp_path, "t")).to_pyarrow_dataset()
    assert dataset.count_rows() == 3
    connection = duckdb.connect()
    connection.register("t", dataset)
    assert connection.sql(
        "SELECT sum(id), count(*) FROM t WHERE id > 1"
    ).fetchall() == [(5, 2)]


def test_a_log_that_was_read_never_leads_to_another_snapshot(tmp_path: Path) -> None:
    """Readers that resolve `current` go on with its files; others find them gone."""
    publish(tmp_path, {"t": [ids(1)]})
    opened = DeltaTable(delta(tmp_path, "t"))
    through = [delta(tmp_path, "t") / path for path in paths(tmp_path)]
    assert [path.is_file() for path in through] == [True]
    publish(tmp_path, {"t": [ids(2)]}, 1)
    assert opened.to_pyarrow_table()["id"].to_pylist() == [1]
    assert [path.exists() for path in through] == [False]
    assert pl.read_delta(str(delta(tmp_path, "t")))["id"].to_list() == [2]


def test_folders_of_parquet_are_read_as_before(tmp_path: Path) -> None:
    """By readers that take every file of a folder, and no row is stored twice."""
    publish(tmp_path, {"t": [ids(1), ids(2)]})
    assert pl.read_parquet(tmp_path / "t.parquet")["id"].to_list() == [1, 2]
    files = (tmp_path / "snapshots").rglob("part-*.parquet")
    assert len(list(files)) == 2


def test_the_setting_and_drains_and_followers(tmp_path: Path) -> None:
    """With DELTA_LOGS each sync writes them, and a drain after it; without, none."""
    database = tmp_path / "sample.db"
    write_database(database, sample(datetime(2026, 11, 20, tzinfo=UTC), 0.005))
    data, spool, drive = tmp_path / "data", tmp_path / "spool", tmp_path / "drive"
    drive.mkdir()
    settings = {
        "SOURCE_URL": f"sqlite:///{database}",
        "DATA_DIR": str(data),
        "DELTA_LOGS": "true",
    }
    assert run_updater(settings).returncode == 0
    for name in TABLES:
        stored = snapshot.current(data).scan(name).collect()
        assert pl.read_delta(str(delta(data, name))).height == stored.height
    write_spool(spool, [line("e1")])
    drain(data, spool)
    assert pl.read_delta(str(delta(data, "events"))).height == 1
    replica = Replica(f"file://{drive}")
    replica.upload(data)
    followed = run_updater(
        settings | {"DATA_DIR": str(tmp_path / "copy"), "REPLICA_URL": replica.url},
        "follow",
    )
    assert followed.returncode == 0, followed.stderr
    assert pl.read_delta(str(delta(tmp_path / "copy", "events"))).height == 1
    assert run_updater(settings | {"DELTA_LOGS": "false"}).returncode == 0
    assert not list((data / "current").glob("*.delta"))
    write_spool(spool, [line("e2")], 2)
    drain(data, spool)
    assert not list((data / "current").glob("*.delta"))


def test_without_the_setting_a_snapshot_has_none(tmp_path: Path) -> None:
    """Its files are those of before."""
    publish_frames(tmp_path)
    assert not list((tmp_path / "current").glob("*.delta"))
