"""The updater as a process: output, exit codes, and how it stops."""

import json
import os
import re
import signal
import sqlite3
import subprocess
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
from tests.support import preloaded
from update_readmodel import _pauses

pytestmark = pytest.mark.external

ROOT = Path(__file__).parents[1]
COMMAND = [str(ROOT / "update_readmodel.py")]


def environ(settings: Mapping[str, str]) -> dict[str, str]:
    """Return *settings* with PATH and nothing else of this process; logs as text.

    VIEWS_DIR is the empty folder of the test session.
    """
    kept = {name: os.environ[name] for name in ("PATH", "VIEWS_DIR")}
    return {**kept, "LOG_FORMAT": "text", **settings}


def messages(text: str) -> list[str]:
    """Return the messages of a log without time, level and component."""
    return [line.partition(": ")[2] for line in text.splitlines()]


def update(
    settings: Mapping[str, str], *arguments: str, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run the updater to its end."""
    return preloaded.run(
        [*COMMAND, *arguments], timeout=60, env=environ(settings), cwd=cwd
    )


@contextmanager
def running(
    settings: Mapping[str, str], *arguments: str, cwd: Path = ROOT
) -> Iterator[subprocess.Popen[str]]:
    """Run the updater in the background; kill it at the end of the block."""
    with preloaded.start(
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
    """Read the log until a line contains *words*."""
    assert process.stdout is not None
    for line in iter(process.stdout.readline, ""):
        if words in line:
            return
    raise AssertionError(f"the updater ended without logging {words!r}")


def wait_until_staged(process: "subprocess.Popen[str]", data_dir: Path) -> None:
    """Wait until the updater has begun to build a snapshot."""
    while not list(data_dir.glob("snapshots/.staged-*")):
        assert process.poll() is None, "the updater ended by itself"
        time.sleep(0.02)


@pytest.fixture
def lite(tmp_path: Path) -> dict[str, str]:
    """Settings with a small SQLite source and an empty DATA_DIR."""
    connection = schema.create_sqlite(tmp_path / "source.db")
    schema.fill(connection, count=50)
    connection.close()
    return {
        "SOURCE_URL": f"sqlite:///{tmp_path / 'source.db'}",
        "DATA_DIR": str(tmp_path / "data"),
    }


def test_a_sync_logs_each_table_and_exits_with_0(
    database: Database, tmp_path: Path
) -> None:
    """A line per table with its rows and seconds, then a summary."""
    with database.connect() as connection:
        schema.create_mysql(connection)
        schema.fill(connection, count=50)
    done = update({**database.environ(), "DATA_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "")
    lines = messages(done.stderr)
    assert [line.split()[0] for line in lines] == ["Reading", *TABLES, "Mirrored"]
    assert lines[0] == f"Reading 6 tables of {lines[0].partition(' of ')[2]}"
    assert lines[0].endswith("for the first time")
    assert "50 rows" in lines[1]
    assert f"Mirrored 300 rows of {database.name} on" in lines[-1]
    assert current(tmp_path).id in lines[-1]


def test_a_relative_source_is_relative_to_the_working_directory(
    lite: dict[str, str], tmp_path: Path
) -> None:
    """``sqlite:///`` and a path without a leading slash."""
    done = update({**lite, "SOURCE_URL": "sqlite:///source.db"}, cwd=tmp_path)
    assert done.returncode == 0
    assert pl.read_parquet(tmp_path / "data" / "fpp_votes.parquet").height == 50


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"SOURCE_URL": ""}, "DB_HOST, DB_USERNAME, DB_PASSWORD missing"),
        ({"SOURCE_URL": "", "DB_HOST": "h", "DB_USERNAME": "u"}, "DB_PASSWORD missing"),
        ({"SOURCE_URL": "oracle://u:hunter2@h/d"}, "SOURCE_URL is malformed"),
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
    """It says what failed and what to do, without secrets."""
    done = update({**lite, **changed})
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "Reading" not in line]
    assert message in line
    assert "hunter2" not in done.stdout + done.stderr


def test_a_missing_table_is_a_failure_that_keeps_the_last_snapshot(
    lite: dict[str, str], tmp_path: Path
) -> None:
    """Readers continue with it."""
    assert update(lite).returncode == 0
    before = current(tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "source.db")) as connection:
        connection.execute("DROP TABLE fpp_rooms")
    done = update(lite)
    assert done.returncode == 1
    assert "Table fpp_rooms is missing" in done.stderr
    assert current(tmp_path / "data") == before


def test_every_repeats_until_a_signal(lite: dict[str, str], tmp_path: Path) -> None:
    """SIGTERM ends it at once, with exit code 0 and a last line about it."""
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


def test_ctrl_c_is_exit_code_130(lite: dict[str, str]) -> None:
    """So that a command that follows with && does not start."""
    with running(lite, "--every", "60") as process:
        wait_for(process, "Next sync at")
        process.send_signal(signal.SIGINT)
        wait_for(process, "Stopped by SIGINT")
        assert process.wait(10) == 130


def test_every_continues_after_a_failure(lite: dict[str, str], tmp_path: Path) -> None:
    """A fault that passes needs no operator."""
    (tmp_path / "source.db").rename(tmp_path / "away.db")
    with running(lite, "--every", "0.3") as process:
        assert process.stdout is not None
        assert "Reading 6 tables" in process.stdout.readline()
        assert "There is no SQLite file" in process.stdout.readline()
        assert re.search(r"Next sync at \d\d:\d\d:\d\d UTC", process.stdout.readline())
        (tmp_path / "away.db").rename(tmp_path / "source.db")
        lines = iter(process.stdout.readline, "")
        assert any("Mirrored 300 rows" in line for line in lines)


def test_a_stopped_sync_leaves_nothing_behind(
    database: Database, tmp_path: Path
) -> None:
    """Even during a fetch that a lock blocks."""
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


def test_the_next_sync_removes_what_a_killed_one_left(
    database: Database, tmp_path: Path
) -> None:
    """SIGKILL leaves a staged folder, which readers do not see."""
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


def test_a_second_updater_fails_and_the_first_continues(
    database: Database, tmp_path: Path
) -> None:
    """Only one may write at a time."""
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
    """A long run shortens the next pause; a longer one skips starts."""
    clock = iter([100.0, 103.0, 110.5, 145.0])
    pauses = _pauses(10.0, lambda: next(clock))
    assert [next(pauses) for _ in range(4)] == [0.0, 7.0, 9.5, 5.0]


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf", "nan"])
def test_an_interval_must_be_a_number_of_seconds(
    lite: dict[str, str], seconds: str
) -> None:
    """Nothing is synced."""
    done = update(lite, f"--every={seconds}")
    assert done.returncode == 2
    assert "--every" in done.stderr


def test_verify_exits_with_1_and_names_what_differs(
    lite: dict[str, str], tmp_path: Path
) -> None:
    """It exits with 0 if all tables are equal."""
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


def test_status_lists_every_table(lite: dict[str, str]) -> None:
    """As a table for people, or as JSON for programs."""
    assert update(lite).returncode == 0
    done = update(lite, "status")
    assert "fpp_votes" in done.stdout
    printed = json.loads(update(lite, "status", "--json").stdout)
    assert list(printed["tables"]) == list(TABLES)
    votes = printed["tables"]["fpp_votes"]
    assert (votes["rows"], votes["parts"]) == (50, 1)
    assert votes["bytes"] > 0
    for instant in ("newest_row", "changed_at", "verified_at"):
        assert datetime.fromisoformat(votes[instant]).utcoffset() == timedelta(0)


def test_full_fetches_all_and_tables_only_some(lite: dict[str, str]) -> None:
    """Other tables stay; the error names unknown ones."""
    assert update(lite).returncode == 0
    assert "0 fetched" in messages(update(lite).stderr)[-1]
    assert "300 fetched" in messages(update(lite, "--full").stderr)[-1]
    done = update(lite, "--full", "--tables", "fpp_votes,fpp_rooms")
    assert "100 fetched" in messages(done.stderr)[-1]
    done = update(lite, "--tables", "fpp_votes,orders")
    assert done.returncode == 1
    assert "--tables names orders, which is not mirrored" in done.stderr


def test_sync_tables_adds_tables_to_the_mirror(
    lite: dict[str, str], tmp_path: Path
) -> None:
    """Each is given with its sync column."""
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


def test_options_of_another_command_are_refused(lite: dict[str, str]) -> None:
    """Exit code 2; nothing is done."""
    done = update(lite, "status", "--full", "--every", "5", "--tables", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    for option in ("--full", "--every", "--tables"):
        assert option in done.stderr


@pytest.mark.parametrize("command", ["sync", "verify"])
def test_unknown_tables_are_refused(lite: dict[str, str], command: str) -> None:
    """By every command that takes names of tables."""
    done = update(lite, command, "--tables", "orders")
    assert done.returncode == 1
    assert "--tables names orders, which is not mirrored" in done.stderr


@pytest.mark.parametrize(
    ("words", "beginning"),
    [
        ([], "The sync failed: "),
        (["sync"], "The sync failed: "),
        (["status"], "The status cannot be shown: "),
        (["verify"], "The read model cannot be verified: "),
        (["doctor"], "The checks cannot be run: "),
    ],
)
def test_an_error_says_which_command_failed(
    lite: dict[str, str], words: list[str], beginning: str
) -> None:
    """Only a sync is called a sync."""
    done = update({**lite, "DB_PORT": "x"}, *words)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{beginning}DB_PORT is malformed")


def test_last_limits_the_runs_that_status_shows(lite: dict[str, str]) -> None:
    """0 shows none of them."""
    for _ in range(2):
        assert update(lite).returncode == 0
    for last in (0, 1, 2):
        printed = json.loads(
            update(lite, "status", "--json", "--last", str(last)).stdout
        )
        assert len(printed["runs"]) == last


SHOWING = (
    *(["status"], ["status", "--json"], ["status", "--check"], ["verify"], ["doctor"]),
    *(["views"], ["report"], ["retention", "--dry-run"], ["forget", "x", "--dry-run"]),
    *(["--help"], ["status", "--help"]),
)


def test_every_command_ends_quietly_when_its_reader_goes_away(
    lite: dict[str, str], subtests: pytest.Subtests
) -> None:
    """As `… | head -1` does it: exit code 141 and no traceback."""
    assert update(lite).returncode == 0
    read, write = os.pipe()
    os.close(read)
    for arguments in SHOWING:
        with subtests.test(arguments=arguments):
            process = preloaded.start(
                [*COMMAND, *arguments],
                env=environ(lite),
                cwd=ROOT,
                stdout=write,
                stderr=subprocess.PIPE,
                text=True,
            )
            _, said = process.communicate(timeout=60)
            assert "Traceback" not in said
            assert (process.returncode, said) == (141, "")
    os.close(write)


def test_a_sync_whose_log_nobody_reads_succeeds(lite: dict[str, str]) -> None:
    """The copy matters more than its messages."""
    read, write = os.pipe()
    os.close(read)
    process = preloaded.start(
        COMMAND, env=environ(lite), cwd=ROOT, stdout=write, stderr=write
    )
    os.close(write)
    assert process.wait(60) == 0
    assert current(Path(lite["DATA_DIR"])).manifest
