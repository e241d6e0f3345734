"""The updater as it is run: its lines, its exit codes, and how it stops."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from readmodel.store.snapshot import current
from readmodel.tables import TABLES
from testbed import schema
from testbed.mariadb import Database
from update_readmodel import _pauses

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, str(ROOT / "update_readmodel.py")]


def environ(given: Mapping[str, str]) -> dict[str, str]:
    """Nothing of this process's settings, but its PATH; logs as people read them."""
    return {"PATH": os.environ["PATH"], "LOG_FORMAT": "text", **given}


def messages(text: str) -> list[str]:
    """The messages of a log, without time, level and component."""
    return [line.partition(": ")[2] for line in text.splitlines()]


def update(
    settings: Mapping[str, str], *arguments: str, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environ(settings),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(
    settings: Mapping[str, str], *arguments: str, cwd: Path = ROOT
) -> Iterator[subprocess.Popen[str]]:
    """The updater in the background; killed at the end if it still runs."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        env=environ(settings),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: "subprocess.Popen[str]", words: str) -> None:
    """Read the log until a line says *words*."""
    assert process.stdout is not None
    for line in iter(process.stdout.readline, ""):
        if words in line:
            return
    raise AssertionError(f"the updater ended without saying {words!r}")


def wait_until_staged(process: "subprocess.Popen[str]", data_dir: Path) -> None:
    """Wait until the updater has begun to build a snapshot."""
    while not list(data_dir.glob("snapshots/.staged-*")):
        assert process.poll() is None, "the updater ended by itself"
        time.sleep(0.02)


@pytest.fixture
def lite(tmp_path: Path) -> dict[str, str]:
    """Settings that name a small SQLite source and an empty DATA_DIR."""
    connection = schema.create_sqlite(tmp_path / "source.db")
    schema.fill(connection, count=50)
    connection.close()
    return {
        "SOURCE_URL": f"sqlite:///{tmp_path / 'source.db'}",
        "DATA_DIR": str(tmp_path / "data"),
    }


def test_a_sync_tells_of_each_table_and_exits_with_0(
    database: Database, tmp_path: Path
) -> None:
    """A line per table with its rows and seconds, then a summary."""
    with database.connect() as connection:
        schema.create_mysql(connection)
        schema.fill(connection, count=50)
    done = update({**database.environ(), "DATA_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "")
    lines = messages(done.stderr)
    assert [line.split()[0] for line in lines] == [*TABLES, "Mirrored"]
    assert "50 rows" in lines[0]
    assert f"Mirrored 300 rows of {database.name} on" in lines[-1]
    assert current(tmp_path).id in lines[-1]


def test_a_relative_source_is_found_from_the_working_directory(
    lite: dict[str, str], tmp_path: Path
) -> None:
    """sqlite:/// and a path without a further slash."""
    done = update({**lite, "SOURCE_URL": "sqlite:///source.db"}, cwd=tmp_path)
    assert done.returncode == 0
    assert pl.read_parquet(tmp_path / "data" / "fpp_votes.parquet").height == 50


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"SOURCE_URL": ""}, "DB_HOST, DB_USERNAME, DB_PASSWORD missing"),
        ({"SOURCE_URL": "", "DB_HOST": "h", "DB_USERNAME": "u"}, "DB_PASSWORD missing"),
        ({"SOURCE_URL": "postgres://u:hunter2@h/d"}, "SOURCE_URL is malformed"),
        ({"SOURCE_URL": "mysql://u:hunter2@h:port/d"}, "SOURCE_URL is malformed"),
        ({"SOURCE_URL": "mysql://u:hunter2@127.0.0.1:1/d"}, "No database answers at 127.0.0.1:1: check"),
        ({"SOURCE_URL": "", "DB_PORT": "0"}, "DB_PORT is malformed"),
        ({"SOURCE_URL": "sqlite:////nowhere.db"}, "There is no SQLite file /nowhere.db: check SOURCE_URL"),
        ({"DATA_DIR": "/proc/nothing"}, "DATA_DIR /proc/nothing cannot be used"),
        ({"SYNC_INTERVAL_SECONDS": "often"}, "SYNC_INTERVAL_SECONDS is malformed"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line_and_exit_code_1(
    lite: dict[str, str], changed: dict[str, str], message: str
) -> None:
    """It says what failed and what to do, and tells no secret."""
    done = update({**lite, **changed})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert message in line
    assert "hunter2" not in done.stdout + done.stderr


def test_a_missing_table_is_a_failure_that_keeps_the_last_snapshot(
    lite: dict[str, str], tmp_path: Path
) -> None:
    """Readers go on with what was there."""
    assert update(lite).returncode == 0
    before = current(tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "source.db")) as connection:
        connection.execute("DROP TABLE fpp_rooms")
    done = update(lite)
    assert done.returncode == 1
    assert "Table fpp_rooms is missing" in done.stderr
    assert current(tmp_path / "data") == before


def test_every_repeats_until_it_is_told_to_stop(
    lite: dict[str, str], tmp_path: Path
) -> None:
    """SIGTERM ends it at once, with exit code 0 and a last line that says so."""
    with running(lite, "--every", "0.3") as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        summaries = (line for line in lines if "Mirrored" in line)
        ids = [next(summaries).split()[-1] for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(10) == 0
    assert "Stopped by SIGTERM" in rest
    assert len(set(ids)) == 3
    assert current(tmp_path / "data").id >= ids[-1]


def test_every_goes_on_after_a_failure(lite: dict[str, str], tmp_path: Path) -> None:
    """What passes by itself needs nobody."""
    (tmp_path / "source.db").rename(tmp_path / "away.db")
    with running(lite, "--every", "0.3") as process:
        assert process.stdout is not None
        assert "There is no SQLite file" in process.stdout.readline()
        (tmp_path / "away.db").rename(tmp_path / "source.db")
        lines = iter(process.stdout.readline, "")
        assert any("Mirrored 300 rows" in line for line in lines)


def test_a_stopped_sync_leaves_nothing_behind(
    database: Database, tmp_path: Path
) -> None:
    """In the midst of a fetch that the database holds up."""
    with database.connect() as connection:
        schema.create_mysql(connection)
        schema.fill(connection, count=50)
    settings = {**database.environ(), "DATA_DIR": str(tmp_path / "data")}
    assert update(settings).returncode == 0
    before = current(tmp_path / "data")
    with database.connect() as locker, locker.cursor() as cursor:
        cursor.execute("LOCK TABLES fpp_votes WRITE")
        with running(settings) as process:
            wait_until_staged(process, tmp_path / "data")
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            wait_for(process, "Stopped by SIGTERM")
            assert process.wait(10) == 0
    assert current(tmp_path / "data") == before
    snapshots = tmp_path / "data" / "snapshots"
    assert [path.name for path in snapshots.iterdir()] == [before.id]


def test_a_killed_sync_is_cleared_by_the_next(
    database: Database, tmp_path: Path
) -> None:
    """SIGKILL leaves a staged folder; nobody sees it, and the next run removes it."""
    with database.connect() as connection:
        schema.create_mysql(connection)
        schema.fill(connection, count=50)
    settings = {**database.environ(), "DATA_DIR": str(tmp_path / "data")}
    snapshots = tmp_path / "data" / "snapshots"
    with database.connect() as locker, locker.cursor() as cursor:
        cursor.execute("LOCK TABLES fpp_votes WRITE")
        with running(settings) as process:
            wait_until_staged(process, tmp_path / "data")
            process.kill()
            process.wait()
    assert [path.name[:8] for path in snapshots.iterdir()] == [".staged-"]
    assert update(settings).returncode == 0
    assert [path.name for path in snapshots.iterdir()] == [
        current(tmp_path / "data").id
    ]
    assert pl.read_parquet(tmp_path / "data" / "fpp_votes.parquet").height == 50


def test_a_second_updater_says_so_and_leaves(
    database: Database, tmp_path: Path
) -> None:
    """Two at once would write twice; the first goes on."""
    with database.connect() as connection:
        schema.create_mysql(connection)
    settings = {**database.environ(), "DATA_DIR": str(tmp_path / "data")}
    with database.connect() as locker, locker.cursor() as cursor:
        cursor.execute("LOCK TABLES fpp_votes WRITE")
        with running(settings) as process:
            wait_until_staged(process, tmp_path / "data")
            second = update(settings)
            assert second.returncode == 1
            assert "Another updater is at work" in second.stderr
            cursor.execute("UNLOCK TABLES")
            wait_for(process, "Mirrored 0 rows")
            assert process.wait(10) == 0


def test_runs_are_aligned_to_the_start_and_do_not_drift() -> None:
    """A run that takes a while shortens the pause; one that takes too long skips times."""
    clock = iter([100.0, 103.0, 110.5, 145.0])
    pauses = _pauses(10.0, lambda: next(clock))
    assert [next(pauses) for _ in range(4)] == [0.0, 7.0, 9.5, 5.0]


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf", "nan"])
def test_an_interval_must_be_a_time(lite: dict[str, str], seconds: str) -> None:
    """The usage is shown, and nothing is synced."""
    done = update(lite, f"--every={seconds}")
    assert done.returncode == 2
    assert "--every" in done.stderr


def test_verify_exits_with_1_and_names_what_differs(
    lite: dict[str, str], tmp_path: Path
) -> None:
    """And with 0 where all is equal; it needs no lock and changes nothing."""
    assert update(lite).returncode == 0
    done = update(lite, "verify")
    assert done.returncode == 0
    assert done.stdout.count("equals the database") == 6
    with closing(sqlite3.connect(tmp_path / "source.db")) as connection:
        connection.execute("UPDATE fpp_votes SET duration = duration + 1 WHERE id = 1")
        connection.commit()
    done = update(lite, "verify")
    assert done.returncode == 1
    assert "fpp_votes/part-00000.parquet: holds 50 rows" in done.stdout
    done = update(lite, "verify", "--json", "--tables", "fpp_votes")
    (verdict,) = map(json.loads, done.stdout.splitlines())
    assert verdict["table"] == "fpp_votes"
    assert verdict["differences"][0]["part"] == "part-00000.parquet"


def test_status_tells_of_every_table(lite: dict[str, str]) -> None:
    """As a table for people, or as JSON for programs."""
    assert update(lite).returncode == 0
    done = update(lite, "status")
    assert "fpp_votes" in done.stdout
    told = json.loads(update(lite, "status", "--json").stdout)
    assert list(told["tables"]) == list(TABLES)
    votes = told["tables"]["fpp_votes"]
    assert (votes["rows"], votes["parts"]) == (50, 1)
    assert votes["bytes"] > 0
    for instant in ("newest_row", "changed_at", "verified_at"):
        assert datetime.fromisoformat(votes[instant]).utcoffset() == timedelta(0)


def test_full_fetches_all_and_tables_only_some(lite: dict[str, str]) -> None:
    """What is not named stays; what is not mirrored is named."""
    assert update(lite).returncode == 0
    assert "0 fetched" in messages(update(lite).stderr)[-1]
    assert "300 fetched" in messages(update(lite, "--full").stderr)[-1]
    done = update(lite, "--full", "--tables", "fpp_votes,fpp_rooms")
    assert "100 fetched" in messages(done.stderr)[-1]
    done = update(lite, "--tables", "fpp_votes,orders")
    assert done.returncode == 1
    assert "--tables names orders, which is not mirrored" in done.stderr


def test_further_tables_are_mirrored(lite: dict[str, str], tmp_path: Path) -> None:
    """SYNC_TABLES names them, each with its sync column."""
    with closing(sqlite3.connect(tmp_path / "source.db")) as connection:
        connection.execute("CREATE TABLE orders (id INT, total DECIMAL(10,2))")
        connection.execute("INSERT INTO orders VALUES (1, 2.5)")
        connection.commit()
    assert update({**lite, "SYNC_TABLES": "orders:id"}).returncode == 0
    orders = pl.read_parquet(tmp_path / "data" / "orders.parquet")
    assert orders.rows() == [(1, Decimal("2.50"))]
    done = update({**lite, "SYNC_TABLES": "orders"})
    assert done.returncode == 1
    assert "SYNC_TABLES is malformed" in done.stderr
