"""Replicas in the updater: beside the syncs, reported, and back again."""

import json
import logging
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config import load
from demo.database import write_database
from demo.sample import sample
from readmodel.replica.collect import CollectReport
from readmodel.replica.transfer import read_pointer, write_state
from readmodel.store import metrics, snapshot
from readmodel.store.replica_state import read_state
from tests.support import preloaded
from tests.support.effort import some_long
from tests.support.events import line, write_spool
from tests.support.programs import ROOT, STOP_SECONDS, environ, run_updater
from tests.support.replicas import Replica, content, publish_ids
from tests.support.servers import StubServer
from tests.support.storage import Bucket, endpoint, network
from updater import status
from updater.following import Follower
from updater.replication import Replication
from util.errors import ReplicaError
from util.stopping import StopRequest


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A folder for the replica."""
    folder = tmp_path / "drive"
    folder.mkdir()
    return folder


@pytest.fixture
def replicated(settings: dict[str, str], drive: Path) -> dict[str, str]:
    """Settings of an updater with a replica in a folder."""
    return settings | {"REPLICA_URL": f"file://{drive}"}


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Level and beginning of the lines about the replica."""
    return [
        f"{record.levelname} {record.getMessage()}"
        for record in caplog.records
        if record.name in ("fpp.replica", "fpp.sentry_wrapper")
    ]


def test_a_lost_data_dir_comes_back_and_no_table_is_fetched_again(
    replicated: dict[str, str], data_dir: Path, tmp_path: Path
) -> None:
    """`restore` brings snapshot, events, position and logs; `verify` agrees with it."""
    spool = tmp_path / "spool"
    write_spool(spool, [line("e1"), line("e2")])
    with_events = replicated | {"SPOOL_DIR": str(spool)}
    assert run_updater(with_events).returncode == 0
    before = content(data_dir)
    data_dir.rename(tmp_path / "lost")
    write_spool(spool, [line("e2"), line("e3")], 2)
    begun = run_updater(with_events)
    assert begun.returncode == 1
    assert "is empty, and file://" in begun.stderr
    assert "restore` first" in begun.stderr
    assert not (data_dir / "current").exists()

    done = run_updater(with_events, "restore")
    assert done.returncode == 0, done.stderr
    assert "the next sync continues from it" in done.stdout
    assert content(data_dir) == before
    refused = run_updater(with_events, "restore")
    assert refused.returncode == 1
    assert "has a read model: restore into an empty folder" in refused.stderr

    verified = run_updater(with_events, "verify")
    assert verified.returncode == 0, verified.stdout
    done = run_updater(with_events)
    assert done.returncode == 0
    assert ", 0 fetched, " in done.stderr
    current = snapshot.current(data_dir)
    events = current.scan("events").collect()["event_id"].sort().to_list()
    assert events == ["e1", "e2", "e3"]
    runs = json.loads(run_updater(with_events, "status", "--json").stdout)["runs"]
    assert len(runs) == 2  # the log of the lost host, continued


def test_each_program_does_its_part(
    replicated: dict[str, str], data_dir: Path, tmp_path: Path
) -> None:
    """One sync, one `follow`, `status` on both hosts, and an earlier snapshot."""
    other = replicated | {"DATA_DIR": str(tmp_path / "copy")}
    refused = run_updater(other, "follow")
    assert refused.returncode == 1
    assert "There is no replica at file://" in refused.stderr
    assert run_updater(replicated).returncode == 0
    followed = run_updater(other, "follow")
    assert followed.returncode == 0, followed.stderr
    assert content(tmp_path / "copy") == content(data_dir)
    again = run_updater(other, "follow")
    assert again.stdout == "DATA_DIR has the replica's snapshot already\n"
    for settings in (replicated, other):
        shown = json.loads(run_updater(settings, "status", "--json").stdout)["replica"]
        assert shown["lag_seconds"] == 0
        assert shown["bytes"] > 0
        assert shown["failed_because"] is None
    early = run_updater(
        replicated | {"DATA_DIR": str(tmp_path / "early")},
        *("restore", "--as-of", "2020-01-01T00:00:00Z"),
    )
    assert early.returncode == 1
    assert "the oldest one is of 20" in early.stderr


def test_a_replica_that_cannot_be_written_fails_no_sync(
    replicated: dict[str, str], drive: Path, data_dir: Path, kuma: StubServer
) -> None:
    """The log, `status` and the next heartbeat say so; then it catches up."""
    monitored = replicated | {"UPTIMEKUMA_PUSH_URL": f"{kuma.url}/api/push/x"}
    drive.rmdir()
    done = run_updater(monitored)
    assert done.returncode == 0
    assert "create it, or mount its drive" in done.stderr
    shown = run_updater(monitored, "status").stdout
    assert "has no snapshot of this one yet; failing since" in " ".join(shown.split())
    assert run_updater(monitored).returncode == 0
    (_, second) = [dict(request.query) for request in kuma.requests]
    assert second["status"] == "up"
    assert "; the replica is not up to date: The folder " in second["msg"]
    drive.mkdir()
    assert run_updater(monitored).returncode == 0
    shown = run_updater(monitored, "status").stdout
    assert "is 0 s behind; 0." in " ".join(shown.split())
    state = read_state(data_dir)
    assert state
    assert state.failed_because is None


def test_a_storage_that_is_down_holds_up_no_first_sync(
    replicated: dict[str, str], data_dir: Path
) -> None:
    """Nobody knows then whether there is a replica."""
    done = run_updater(replicated | {"REPLICA_URL": "file:///no/such"})
    assert done.returncode == 0
    assert "The replica cannot be read: The folder /no/such" in done.stderr
    assert snapshot.current(data_dir)


def test_doctor_tries_the_storage(replicated: dict[str, str], drive: Path) -> None:
    """It leaves nothing behind, and fails if there is no such folder."""
    done = run_updater(replicated, "doctor")
    assert (
        f"✓ replica      file://{drive} can be written and has no snap" in done.stdout
    )
    assert not [path for path in drive.rglob("*") if path.name != ".lock"]
    failing = run_updater(replicated | {"REPLICA_URL": "file:///no/such"}, "doctor")
    assert failing.returncode == 1
    assert (
        "✗ replica      The folder /no/such of REPLICA_URL does not" in failing.stdout
    )


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://host/folder", "bucket/folder", "s3://", "file://host/folder"),
        *("s3://key:secret@bucket/folder", "s3://bucket/folder?x=y"),
    ],
)
def test_a_malformed_address_is_one_line(settings: dict[str, str], url: str) -> None:
    """It is not repeated, as it may have credentials."""
    done = run_updater(settings | {"REPLICA_URL": url})
    assert done.returncode == 1
    assert "REPLICA_URL is malformed: use s3://bucket/folder, gs:" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


def test_follow_without_an_address_names_the_setting(settings: dict[str, str]) -> None:
    """So does `restore`."""
    for command in ("follow", "restore"):
        done = run_updater(settings, command)
        assert done.returncode == 1
        assert "REPLICA_URL is missing" in done.stderr


@pytest.mark.long("test_a_sync_without_the_setting_imports_nothing_of_it")
def test_without_the_setting_nothing_of_it_is_imported() -> None:
    """Neither by the updater, nor by the API, nor by the collector."""
    code = (
        "import sys, update_readmodel, main, collect_events\n"
        "found = [name for name in sys.modules if name.startswith(('obstore', "
        "'readmodel.replica', 'updater.replication', 'readmodel.store.replica_state'))]\n"
        "sys.exit(', '.join(found) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], env=environ({}), cwd=ROOT, check=True)


def test_a_sync_without_the_setting_imports_nothing_of_it(
    settings: dict[str, str], data_dir: Path
) -> None:
    """And leaves no file."""
    code = (
        "import sys, update_readmodel\n"
        "assert update_readmodel.main([]) == 0\n"
        "assert update_readmodel.main(['status']) == 0\n"
        "sys.exit('obstore' in sys.modules or 'readmodel.replica' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env=environ(settings),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = {path.name for path in data_dir.iterdir()}
    assert not {name for name in names if "replica" in name}


def test_a_failure_is_reported_once_until_it_ends(
    data_dir: Path, drive: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Uploads are tried again every minute."""
    publish_ids(data_dir, 0, [1])
    drive.rmdir()
    settings = load({"DATA_DIR": str(data_dir), "REPLICA_URL": f"file://{drive}"})
    replication = Replication(settings, StopRequest())
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert [replication.run() for _ in range(3)] == [False] * 3
        figures = metrics.replica_figures(data_dir)
        assert figures
        assert figures.failed_because
        drive.mkdir()
        assert replication.run()
        assert replication.run()
    lines = logged(caplog)
    assert [entry.split()[0] for entry in lines] == ["ERROR", "INFO", "INFO"]
    assert lines[1] == "INFO The replica is written again"
    assert lines[2].startswith("INFO Uploaded 0.0")


def test_a_follower_reports_likewise(
    data_dir: Path, drive: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It serves what it has meanwhile."""
    copy = tmp_path / "copy"
    publish_ids(data_dir, 0, [1])
    Replica(f"file://{drive}").upload(data_dir)
    settings = load({"DATA_DIR": str(copy), "REPLICA_URL": f"file://{drive}"})
    follower = Follower(settings, StopRequest())
    assert follower.run()
    away = drive.with_name("away")
    drive.rename(away)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert [follower.run() for _ in range(3)] == [False] * 3
        text = " ".join(status.lines(settings, datetime.now(UTC), 0))
        assert "failing since" in text
        away.rename(drive)
        assert follower.run()
    lines = logged(caplog)
    assert [entry.split()[0] for entry in lines] == ["ERROR", "INFO"]
    assert "failing" not in " ".join(status.lines(settings, datetime.now(UTC), 0))


def test_objects_are_collected_once_an_hour(
    data_dir: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upload; a failure there is none of the upload."""
    now = datetime.now(UTC)
    settings = load({"DATA_DIR": str(data_dir), "REPLICA_URL": f"file://{drive}"})
    replication = Replication(settings, StopRequest(), lambda: now)
    collected: list[str] = []

    def collect(token: str) -> CollectReport:
        collected.append(token)
        if len(collected) <= 2:
            raise ReplicaError("no listing")
        return CollectReport(0, 0)

    monkeypatch.setattr(replication._collector, "collect", collect)
    for minute in (0, 1):
        publish_ids(data_dir, minute, [minute])
        assert replication.run()
    for minute, passed in ((2, 0), (3, 59), (4, 2)):
        now += timedelta(minutes=passed)
        publish_ids(data_dir, minute, [minute])
        assert replication.run()
    assert len(collected) == 4


def test_what_somebody_else_removed_is_uploaded_again(
    data_dir: Path, drive: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is noticed when objects are collected."""
    settings = load({"DATA_DIR": str(data_dir), "REPLICA_URL": f"file://{drive}"})
    replication = Replication(settings, StopRequest())
    publish_ids(data_dir, 0, [1])
    assert replication.run()
    for file in (drive / "objects").iterdir():
        file.unlink()
    state = read_state(data_dir)
    assert state
    write_state(data_dir, replace(state, collected_at=None))
    published = publish_ids(data_dir, 1, [1], [2])
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert [replication.run() for _ in range(3)] == [False, True, True]
    assert any("as if somebody else removed them" in line for line in logged(caplog))
    Replica(f"file://{drive}").follow(tmp_path / "copy")
    assert content(tmp_path / "copy") == published


@pytest.mark.long(
    "tests/readmodel/replica/test_killed.py::test_whenever_an_upload_dies_the_replica_has_a_whole_snapshot"
)
@pytest.mark.external
def test_processes_are_killed_at_random_and_the_replica_follows(
    tmp_path: Path, bucket: Bucket, s3_port: int
) -> None:
    """An updater and a follower, through a network that fails, killed again and again.

    After each kill the follower has a whole snapshot, and at the end the last one.
    """
    import random

    chance = random.Random(5)
    database = tmp_path / "source.db"
    write_database(database, sample(datetime(2026, 11, 20, tzinfo=UTC), 0.005))
    data, copy = tmp_path / "data", tmp_path / "copy"
    with network(s3_port) as net:
        net.fault = lambda *_: (
            chance.choice(("drop", "500", "truncate"))
            if chance.random() < 0.05
            else None
        )
        shared = {
            "REPLICA_URL": bucket.url,
            "SOURCE_URL": f"sqlite:///{database}",
            **endpoint(net.port),
        }
        commands = {
            "updater": (shared | {"DATA_DIR": str(data)}, ["--every", "1"]),
            "follower": (
                shared | {"DATA_DIR": str(copy)},
                ["follow", "--every", "0.2"],
            ),
        }

        def start(name: str) -> "subprocess.Popen[bytes]":
            settings, arguments = commands[name]
            return preloaded.start(
                [str(ROOT / "update_readmodel.py"), *arguments],
                env=environ(settings),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

        running = {name: start(name) for name in commands}
        try:
            for _ in range(6):
                add_page_view(database)
                time.sleep(chance.uniform(0.3, 1.5))
                name = chance.choice(list(commands))
                running[name].send_signal(signal.SIGKILL)
                running[name].wait(STOP_SECONDS)
                require_whole(copy)
                running[name] = start(name)
            net.fault = lambda *_: None
            wait_until_equal(database, copy)
        finally:
            for process in running.values():
                process.terminate()
            codes = [process.wait(STOP_SECONDS) for process in running.values()]
    assert codes == [0, 0]
    require_whole(copy)


def add_page_view(database: Path) -> None:
    """A row that the next sync finds."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO fpp_page_views SELECT MAX(id) + 1, MAX(user_id), NULL,"
            " 'HOME', NULL, datetime('now') FROM fpp_page_views"
        )


def require_whole(copy: Path) -> None:
    """Every file of the current snapshot has the checksum of its manifest."""
    from readmodel.store.intact import IntactFiles

    if (copy / "current").exists():
        current = snapshot.current(copy)
        assert current.manifest
        IntactFiles().require(current, current.manifest.tables)


def wait_until_equal(database: Path, copy: Path) -> None:
    """Wait until the follower has the page views of the database."""
    with closing(sqlite3.connect(database)) as connection:
        (expected,) = connection.execute(
            "SELECT MAX(id) FROM fpp_page_views"
        ).fetchone()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (copy / "current").exists():
            views = snapshot.current(copy).scan("fpp_page_views").collect()
            if views["id"].max() == expected:
                return
        time.sleep(0.1)
    raise AssertionError("the follower is behind")


@pytest.mark.external
@pytest.mark.parametrize("command", some_long(["sync", "--every", "follow"]))
def test_a_storage_that_hangs_does_not_hold_up_sigterm(
    settings: dict[str, str], data_dir: Path, bucket: Bucket, s3_port: int, command: str
) -> None:
    """An upload can be cut off anywhere."""
    if command != "follow":
        assert run_updater(settings).returncode == 0
    with network(s3_port) as net:
        net.fault = lambda *_: "hang"
        process = preloaded.start(
            [str(ROOT / "update_readmodel.py"), command],
            env=environ(settings | {"REPLICA_URL": bucket.url, **endpoint(net.port)}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while not net.requests and time.monotonic() < until:
            time.sleep(0.02)
        assert net.requests
        process.terminate()
        assert process.wait(10) == 0


def test_the_replica_in_a_bucket_is_that_of_the_updater(
    settings: dict[str, str], data_dir: Path, bucket: Bucket
) -> None:
    """One sync uploads to it, credentials come from the environment."""
    done = run_updater(settings | {"REPLICA_URL": bucket.url, **bucket.environ})
    assert done.returncode == 0, done.stderr
    with bucket.used() as url:
        replica = Replica(url)
        pointer, _ = read_pointer(replica.storage)
        replica.storage.close()
    assert pointer
    assert pointer.current == snapshot.current(data_dir).id
