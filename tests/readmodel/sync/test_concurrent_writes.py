"""Syncs during concurrent writes and faults: the last sync is always exact.

Four writers insert with scrambled ids and late commits, update, delete and roll back,
while syncs run and faults are injected. Seeded, and bounded in time.
"""

import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import mysql.connector
import polars as pl
import pytest

from readmodel.store.snapshot import current
from readmodel.tables import TABLES
from testbed import schema
from testbed.mariadb import (
    Database,
    Login,
    MariadbServer,
    fresh_database,
    private_server,
)
from tests.support import preloaded
from tests.support.effort import by_effort, some_long
from tests.support.exactness import assert_exact, create, mirror_all
from tests.support.programs import ROOT, environ, run_updater
from util.errors import SourceError, StorageError

pytestmark = pytest.mark.external

SECONDS = by_effort(0.3, 1.0, 5.0)
PATIENCE_SECONDS = 60
WRITERS = 4


class Writers:
    """Four connections that write at random until they are stopped."""

    def __init__(self, database: Database, seed: int) -> None:
        """Prepare the threads; entering the context starts them."""
        self._database = database
        self._stop = threading.Event()
        self._ids = iter(random.Random(seed).sample(range(1_000, 200_000), 100_000))
        self._lock = threading.Lock()
        self.committed = 0
        self._threads = [
            threading.Thread(target=self._write, args=(random.Random(seed * 10 + n),))
            for n in range(WRITERS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, dice: random.Random) -> None:
        while not self._stop.is_set():
            try:
                with closing(self._database.connect(autocommit=False)) as connection:
                    self._use(connection, dice)
            except (mysql.connector.Error, OSError):
                # The server is away or a table is being altered; both are intended.
                time.sleep(0.05)

    def _use(self, connection: Any, dice: random.Random) -> None:
        cursor = connection.cursor()
        cursor.execute("SET time_zone = '+00:00', innodb_lock_wait_timeout = 1")
        while not self._stop.is_set():
            for _ in range(dice.randrange(1, 6)):
                cursor.execute(*self._statement(dice))
            time.sleep(dice.random() * 0.02)
            if dice.random() < 0.2:
                connection.rollback()
            else:
                connection.commit()
                self.committed += 1

    def _statement(self, dice: random.Random) -> tuple[str, Sequence[Any]]:
        table = dice.choice(list(TABLES))
        kind = dice.random()
        if kind < 0.5:
            with self._lock:
                first = next(self._ids)
            (row,) = schema.random_rows(table, 1, dice, first)
            return schema.insert(table), row
        at = {"fpp_users": "created_at", "fpp_rooms": "last_used_at"}.get(table)
        where = f"ORDER BY {TABLES[table].key} LIMIT 2 OFFSET {dice.randrange(9)}"
        if kind < 0.7:
            # MariaDB's DELETE takes no OFFSET.
            return (
                f"DELETE FROM {table} ORDER BY RAND({dice.randrange(99)}) LIMIT 1",
                (),
            )
        column = at or {"fpp_votes": "duration", "fpp_estimations": "estimation"}.get(
            table
        )
        moved = f"{column} + INTERVAL 1 DAY" if at else f"({column} + 1) % 1000"
        if column is None:
            column, moved = "user_id", "REVERSE(user_id)"
        return (
            f"UPDATE {table} SET {column} = {moved} {where.partition(' OFFSET')[0]}",
            (),
        )


@contextmanager
def meanwhile(work: Callable[[], None], every: float) -> Iterator[None]:
    """Repeat *work* in a thread until the block ends."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(every):
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def until(seconds: float, enough: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Yield again and again for *seconds*, and on a busy machine until *enough*."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or not enough():
        assert time.monotonic() < deadline + PATIENCE_SECONDS
        yield


def wait_for_a_sync(data_dir: Path) -> None:
    """Wait until an updater has published a snapshot."""
    before, deadline = current(data_dir).id, time.monotonic() + PATIENCE_SECONDS
    while current(data_dir).id == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("seed", some_long([1, 2]))
def test_four_writers(database: Database, tmp_path: Path, seed: int) -> None:
    """Inserts that commit late, updates, deletes and rollbacks, during every sync."""
    create(database, seed)
    with Writers(database, seed) as writers:
        for _ in until(SECONDS, lambda: writers.committed > 20):
            mirror_all(database, tmp_path)
    mirror_all(database, tmp_path)
    assert writers.committed > 20
    assert_exact(database, tmp_path)


def test_an_updater_that_is_killed_at_random(
    database: Database, tmp_path: Path
) -> None:
    """By SIGKILL, at any point of a sync."""
    create(database, 3)
    dice = random.Random(3)
    settings = {**database.environ(), "DATA_DIR": str(tmp_path)}
    mirror_all(database, tmp_path)
    with Writers(database, 3):
        for _ in range(by_effort(2, 6)):
            process = updater(settings, "--every", "0.01")
            wait_for_a_sync(tmp_path)
            time.sleep(dice.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert current(tmp_path).scan("fpp_votes").collect().height > 0
    assert run_updater(settings).returncode == 0
    assert_exact(database, tmp_path)


def updater(settings: dict[str, str], *arguments: str) -> "subprocess.Popen[bytes]":
    """Start the updater with these settings and arguments."""
    return preloaded.start(
        [str(ROOT / "update_readmodel.py"), *arguments],
        env=environ(settings),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.long(
    "tests/updater/test_heartbeats.py::test_a_second_updater_pushes_nothing"
)
def test_two_updaters_at_once(database: Database, tmp_path: Path) -> None:
    """One syncs, the other is refused at each attempt; nothing is written twice."""
    create(database, 4)
    settings = {**database.environ(), "DATA_DIR": str(tmp_path)}
    with Writers(database, 4):
        both = [updater(settings, "--every", "0.01") for _ in range(2)]
        while len(list(tmp_path.glob("snapshots/2*"))) < 5:
            assert [process.poll() for process in both] == [None, None]
            time.sleep(0.05)
        time.sleep(SECONDS)
        for process in both:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(10) for process in both] == [0, 0]
    mirror_all(database, tmp_path)
    assert_exact(database, tmp_path)


@pytest.mark.long("test_a_connection_that_is_killed_every_few_milliseconds")
def test_a_server_that_is_killed_and_restarted(tmp_path: Path) -> None:
    """Runs retry, or fail with a reason; the read model stays complete throughout."""
    with private_server() as server, fresh_database(server.root) as database:
        create(database, 5)
        mirror_all(database, tmp_path)
        with Writers(database, 5):
            for _ in range(2):
                restart = threading.Timer(0.3, _restart, [server])
                restart.start()
                for _ in until(1.5):
                    with suppress(SourceError):  # The server was away from the start.
                        mirror_all(database, tmp_path)
                restart.join()
        mirror_all(database, tmp_path)
        assert_exact(database, tmp_path)


def _restart(server: MariadbServer) -> None:
    server.stop(signal.SIGKILL)
    server.start()


def test_a_connection_that_is_killed_every_few_milliseconds(
    database: Database, mariadb_login: Login, tmp_path: Path
) -> None:
    """Runs fail without damage, and the next one is exact."""
    create(database, 6)
    mirror_all(database, tmp_path)
    before = current(tmp_path).id
    reasons: list[str] = []
    with closing(mariadb_login.connect()) as connection:

        def kill() -> None:
            with closing(connection.cursor()) as cursor:
                cursor.execute(f"KILL CONNECTION USER '{database.reader.user}'")

        with Writers(database, 6), meanwhile(kill, every=0.004):
            for _ in until(SECONDS):
                try:
                    mirror_all(database, tmp_path, patience=timedelta(seconds=1))
                except SourceError as error:
                    reasons.append(str(error))
                assert current(tmp_path).id >= before
    assert [reason for reason in reasons if database.name not in reason] == []
    mirror_all(database, tmp_path)
    assert_exact(database, tmp_path)


ALTERS = (
    "ALTER TABLE fpp_votes ADD COLUMN note varchar(20) DEFAULT 'x' FIRST",
    "ALTER TABLE fpp_votes MODIFY note text AFTER id",
    "ALTER TABLE fpp_votes MODIFY avg_estimation decimal(10,4)",
    "ALTER TABLE fpp_votes DROP COLUMN note",
    "ALTER TABLE fpp_rooms MODIFY id bigint NOT NULL AUTO_INCREMENT",
    "ALTER TABLE fpp_events MODIFY event varchar(40) NOT NULL",
    "ALTER TABLE fpp_page_views ALTER COLUMN source SET DEFAULT 'q', MODIFY route varchar(20)",
    "TRUNCATE TABLE fpp_rooms",
    "ALTER TABLE fpp_users ADD INDEX (created_at)",
    "ALTER TABLE fpp_estimations ADD COLUMN more int AS (room_id * 2) VIRTUAL",
)


def test_tables_that_are_altered_between_and_during_syncs(
    database: Database, tmp_path: Path
) -> None:
    """Columns are added, dropped, moved and widened; a table is truncated and refilled."""
    create(database, 7)
    alters = iter(ALTERS)

    def alter() -> None:
        if statement := next(alters, None):
            database.run(statement)

    with Writers(database, 7), meanwhile(alter, every=SECONDS / 12):
        for _ in until(SECONDS):
            mirror_all(database, tmp_path)
    for statement in alters:
        database.run(statement)
        mirror_all(database, tmp_path)
    mirror_all(database, tmp_path)
    assert_exact(database, tmp_path)
    votes = current(tmp_path).scan("fpp_votes").collect_schema()
    assert votes["avg_estimation"] == pl.Decimal(10, 4)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few hundred kilobytes."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", str(place)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(database: Database, small_disk: Path) -> None:
    """The run fails with the reason and leaves nothing behind; the next one is exact."""
    create(database, 8)
    mirror_all(database, small_disk)
    before = current(small_disk)
    ballast = small_disk / "ballast"
    with Writers(database, 8):
        ballast.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 20_000))
        for _ in until(1):
            with pytest.raises(StorageError, match="No space left"):
                mirror_all(database, small_disk, full=True)
            assert current(small_disk) == before
            assert not list((small_disk / "snapshots").glob(".*"))
    ballast.unlink()
    mirror_all(database, small_disk)
    assert_exact(database, small_disk)
