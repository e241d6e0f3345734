"""PostgreSQL under concurrent writes and faults: the last sync is always exact.

Four writers insert with scrambled ids and late commits, update, delete, roll back to
savepoints and roll back all, while syncs run and faults are injected. Marks vouch for
blocks throughout. Seeded, and bounded in time.
"""

import random
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import polars as pl
import psycopg
import pytest

from readmodel.store.snapshot import current
from readmodel.sync.run import Options, Report, sync
from readmodel.sync.verify import verify
from readmodel.tables import TABLES, Table
from testbed import schema
from testbed.postgres import Database, Server, fresh_database, private_server
from testbed.schema import POSTGRES
from tests.readmodel.sync.test_concurrent_writes import (
    meanwhile,
    until,
    wait_for_a_sync,
)
from tests.support import preloaded
from tests.support.effort import by_effort, some_long
from tests.support.postgres import postgres_source
from tests.support.programs import ROOT, environ, run_updater
from util.errors import SourceError

SECONDS = by_effort(0.3, 1.0, 5.0)
WRITERS = 4
ROWS = 400


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
            except psycopg.Error:
                # The server is away or a table is being altered; both are intended.
                time.sleep(0.05)

    def _use(self, connection: psycopg.Connection, dice: random.Random) -> None:
        connection.execute("SET lock_timeout = '1s'")
        connection.commit()
        while not self._stop.is_set():
            for _ in range(dice.randrange(1, 6)):
                connection.execute("SAVEPOINT one")
                statement, row = self._statement(dice)
                connection.execute(statement.encode(), row)
                if dice.random() < 0.2:
                    connection.execute("ROLLBACK TO one")
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
            clean = [v.replace("\0", "") if isinstance(v, str) else v for v in row]
            return schema.insert(table, POSTGRES), clean
        some = f"(SELECT ctid FROM {table} OFFSET {dice.randrange(ROWS)} LIMIT 2)"
        if kind < 0.7:
            return f"DELETE FROM {table} WHERE ctid = ANY(ARRAY{some})", ()
        column, value = {
            "fpp_users": ("created_at", "created_at + interval '1 day'"),
            "fpp_rooms": ("last_used_at", "last_used_at + interval '1 day'"),
            "fpp_votes": ("duration", "(duration + 1) %% 1000"),
            "fpp_estimations": ("estimation", "(estimation + 1) %% 1000"),
        }.get(table, ("user_id", "reverse(user_id)"))
        return (
            f"UPDATE {table} SET {column} = {value} WHERE ctid = ANY(ARRAY{some})",
            (),
        )


def mirror(
    database: Database,
    data_dir: Path,
    tables: Sequence[Table] = tuple(TABLES.values()),
    **options: Any,
) -> Report:
    """Sync *tables*, by default all six."""
    source = postgres_source(database)
    now = lambda: datetime.now(UTC)  # noqa: E731
    return sync(source, data_dir, tables, now, options=Options(**options))


def rows_of(database: Database, table: str) -> list[str]:
    """The rows as the driver itself reads them, sorted."""
    return sorted(map(repr, database.query(f"SELECT * FROM {table}")))


def assert_exact(database: Database, data_dir: Path) -> None:
    """All six tables equal the database row by row, by values and by digests."""
    for table in TABLES:
        mirrored = pl.read_parquet(data_dir / f"{table}.parquet")
        naive = mirrored.with_columns(pl.col(pl.Datetime).dt.replace_time_zone(None))
        assert sorted(map(repr, naive.rows())) == rows_of(database, table), table
    source = postgres_source(database)
    for verdict in verify(source, data_dir, list(TABLES.values())):
        assert not verdict.differences
    assert all(path.name[0].isdigit() for path in (data_dir / "snapshots").iterdir())


def create(database: Database, seed: int) -> None:
    """Create and fill the six tables."""
    with closing(database.connect(autocommit=False)) as connection:
        for table in TABLES:
            connection.execute(schema.ddl(table, POSTGRES).encode())
        schema.fill(connection, seed, ROWS)


@pytest.mark.parametrize("seed", some_long([1, 2]))
def test_four_writers(postgres: Database, tmp_path: Path, seed: int) -> None:
    """Inserts that commit late, updates, deletes and rollbacks, between all syncs."""
    create(postgres, seed)
    with Writers(postgres, seed) as writers:
        for _ in until(SECONDS, lambda: writers.committed > 20):
            mirror(postgres, tmp_path)
    mirror(postgres, tmp_path)
    assert writers.committed > 20
    assert_exact(postgres, tmp_path)


def updater(settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    """An updater that syncs without pause."""
    return preloaded.start(
        [str(ROOT / "update_readmodel.py"), "--every", "0.01"],
        env=environ(settings),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.long(
    "tests/readmodel/sync/test_concurrent_writes.py::test_an_updater_that_is_killed_at_random"
)
def test_an_updater_that_is_killed_at_random(
    postgres: Database, tmp_path: Path
) -> None:
    """SIGKILL, wherever it is."""
    create(postgres, 3)
    dice = random.Random(3)
    settings = {**postgres.environ(), "DATA_DIR": str(tmp_path)}
    mirror(postgres, tmp_path)
    with Writers(postgres, 3):
        for _ in range(4):
            process = updater(settings)
            wait_for_a_sync(tmp_path)
            time.sleep(dice.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert current(tmp_path).scan("fpp_votes").collect().height > 0
    done = run_updater(settings)
    assert done.returncode == 0, done.stderr
    assert_exact(postgres, tmp_path)


def restart(server: Server, how: signal.Signals) -> None:
    """Stop the server by the signal *how*, and start it."""
    server.stop(how)
    server.start()


@pytest.mark.long(
    "tests/readmodel/source/postgres/test_vouching.py::test_a_crash_that_loses_commits_is_noticed"
)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_server_that_is_killed_and_restarted(
    tmp_path: Path, how: signal.Signals
) -> None:
    """Also where commits that were seen are lost; runs wait, or fail and say so."""
    with (
        private_server("synchronous_commit=off", "wal_writer_delay=10s") as server,
        fresh_database(server.root) as database,
    ):
        create(database, 5)
        # The role itself must survive the crash.
        database.run("CHECKPOINT")
        mirror(database, tmp_path)
        with Writers(database, 5):
            for _ in range(2):
                timer = threading.Timer(0.3, restart, [server, how])
                timer.start()
                for _ in until(1.5):
                    with suppress(SourceError):  # The server is down.
                        mirror(database, tmp_path)
                timer.join()
        mirror(database, tmp_path)
        assert_exact(database, tmp_path)


@pytest.mark.long(
    "tests/readmodel/sync/test_concurrent_writes.py::test_a_connection_that_is_killed_every_few_milliseconds"
)
def test_a_session_that_is_ended_every_few_milliseconds(
    postgres: Database, tmp_path: Path
) -> None:
    """No run finishes, none does damage, and the next one is exact."""
    create(postgres, 6)
    mirror(postgres, tmp_path)
    before = current(tmp_path).id
    reasons: list[str] = []
    with closing(postgres.connect()) as connection:

        def end() -> None:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                (postgres.reader.user,),
            )

        with Writers(postgres, 6), meanwhile(end, every=0.004):
            for _ in until(SECONDS):
                try:
                    mirror(postgres, tmp_path, patience=timedelta(seconds=1))
                except SourceError as error:
                    reasons.append(str(error))
                assert current(tmp_path).id >= before
    assert all(str(postgres.reader.port) in reason for reason in reasons)
    mirror(postgres, tmp_path)
    assert_exact(postgres, tmp_path)


ALTERS = (
    "ALTER TABLE fpp_votes ADD COLUMN note varchar(20) DEFAULT 'x'",
    "ALTER TABLE fpp_votes ALTER note TYPE text",
    "ALTER TABLE fpp_votes ALTER avg_estimation TYPE numeric(10,4)",
    "VACUUM FULL fpp_users",
    "ALTER TABLE fpp_votes DROP COLUMN note",
    "ALTER TABLE fpp_rooms ALTER id TYPE bigint",
    (
        "CREATE TYPE route AS ENUM ('HOME', 'CONTACT', 'IMPRINT', 'ROOM', 'ANALYTICS', 'ROADMAP'); "
        "ALTER TABLE fpp_page_views ALTER route TYPE route USING route::route"
    ),
    "ALTER TYPE route RENAME VALUE 'ROADMAP' TO 'Road map'",
    "TRUNCATE TABLE fpp_rooms",
    "CREATE INDEX ON fpp_users (created_at)",
    "ALTER TABLE fpp_estimations ADD COLUMN more int GENERATED ALWAYS AS (room_id * 2) STORED",
    "VACUUM FREEZE fpp_votes",
    "CLUSTER fpp_events USING fpp_events_pkey",
    (
        "BEGIN; CREATE TABLE fresh (LIKE fpp_events INCLUDING ALL); INSERT INTO fresh SELECT id, "
        "reverse(user_id), event, event_at FROM fpp_events; ALTER TABLE fpp_events RENAME TO old; "
        "ALTER TABLE fresh RENAME TO fpp_events; COMMIT"
    ),
)


@pytest.mark.long(
    "tests/readmodel/sync/test_concurrent_writes.py::test_tables_that_are_altered_between_and_during_syncs"
)
def test_tables_that_are_altered_between_and_during_syncs(
    postgres: Database, tmp_path: Path
) -> None:
    """Columns come, go and widen; tables are emptied, rewritten and swapped."""
    create(postgres, 7)
    alters = iter(ALTERS)

    def alter() -> None:
        if statement := next(alters, None):
            postgres.run(statement)

    with Writers(postgres, 7), meanwhile(alter, every=SECONDS / 8):
        for _ in until(2 * SECONDS):
            mirror(postgres, tmp_path)
    for statement in alters:
        postgres.run(statement)
        mirror(postgres, tmp_path)
    mirror(postgres, tmp_path)
    assert_exact(postgres, tmp_path)
    votes = current(tmp_path).scan("fpp_votes").collect_schema()
    assert votes["avg_estimation"] == pl.Decimal(10, 4)
