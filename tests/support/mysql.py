"""A MySQL source for a test's database, and the mirror of its table `things`."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from readmodel.source.mysql.source import MysqlSource
from readmodel.sync.run import Report, sync
from readmodel.tables import Table
from testbed.mariadb import Database
from util.errors import Stopped

THINGS = Table("things", key="id")


def mysql_source(database: Database) -> MysqlSource:
    """The source that reads *database* as its read-only user."""
    reader = database.reader
    return MysqlSource(
        reader.host, reader.port, reader.user, reader.password, database.name
    )


def mirror(
    source: Database | MysqlSource, data_dir: Path, tables: Sequence[Table] = (THINGS,)
) -> Report:
    """Sync *tables* into *data_dir*."""
    opened = source if isinstance(source, MysqlSource) else mysql_source(source)
    return sync(opened, data_dir, tables, lambda: datetime.now(UTC))


def read_things(data_dir: Path) -> pl.DataFrame:
    """The mirrored rows of `things`, as any tool reads them."""
    return pl.read_parquet(data_dir / "things.parquet")


def sleeping(database: Database) -> Iterator[int]:
    """How many statements of the reader sleep on the server, asked again and again."""
    asked = (
        "SELECT COUNT(*) FROM information_schema.processlist "
        "WHERE user = %s AND info LIKE '%SLEEP%'"
    )
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        for _ in range(2000):
            cursor.execute(asked, (database.reader.user,))
            ((count,),) = cursor.fetchall()
            yield count
            time.sleep(0.01)


@contextmanager
def stopped_while_asleep(database: Database, statements: int) -> Iterator[None]:
    """Raise Stopped in the block once so many *statements* of the reader sleep.

    By a signal, as a stop arrives. No thread that the block began is alive afterwards.
    """

    def stop(*_: object) -> None:
        raise Stopped("Stopped by SIGALRM")

    def signal_once_asleep() -> None:
        if statements in sleeping(database):
            os.kill(os.getpid(), signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, stop)
    threads = set(threading.enumerate())
    threading.Thread(target=signal_once_asleep).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
    for thread in set(threading.enumerate()) - threads:
        thread.join(20)
        assert not thread.is_alive()
