"""A standby as the source: what it cancels is tried again, and a promotion is noticed."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from readmodel.source.postgres.source import PostgresSource
from readmodel.source.protocol import PassingFault
from testbed.postgres import (
    Database,
    Server,
    fresh_database,
    private_server,
    standby_of,
)
from tests.readmodel.source.postgres.reading import THINGS, read_from
from tests.support.effort import some_long


@pytest.fixture(scope="module")
def primary() -> Iterator[Server]:
    """A server that standbys can follow."""
    with private_server("wal_level=replica", "hot_standby=on") as server:
        yield server


@pytest.fixture
def database(primary: Server) -> Iterator[Database]:
    """A database with 1,000 rows on the primary."""
    with fresh_database(primary.root) as fresh:
        fresh.run(
            "CREATE TABLE things (id int PRIMARY KEY, v text)",
            "INSERT INTO things SELECT i, 'x' FROM generate_series(1, 1000) i",
        )
        yield fresh


@pytest.fixture
def standby(primary: Server, database: Database) -> Iterator[Server]:
    """A standby that has this database."""
    assert database
    with standby_of(primary, "max_standby_streaming_delay=100ms") as server:
        yield server


def on(standby: Server, database: Database, **more: Any) -> PostgresSource:
    """The database as the standby gives it."""
    reader = database.reader
    return PostgresSource(
        "127.0.0.1",
        standby.root.port,
        reader.user,
        reader.password,
        database.name,
        **more,
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for *condition*."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def caught_up(primary: Server, standby: Server) -> Callable[[], bool]:
    """Whether the standby has replayed all that the primary has written so far."""
    with primary.root.connect() as connection:
        written = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
    assert written is not None

    def reached() -> bool:
        with standby.root.connect() as connection:
            row = connection.execute(
                "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written
            ).fetchone()
        return bool(row and row[0])

    return reached


@pytest.mark.long("test_a_transaction_that_the_standby_cancels_is_tried_again")
def test_a_standby_is_read_as_its_primary(
    primary: Server, standby: Server, database: Database
) -> None:
    """One instant, locks and all."""
    database.run("UPDATE things SET v = 'y' WHERE id = 5")
    until(caught_up(primary, standby))
    with on(standby, database).view([THINGS]) as view:
        reading = read_from(view)
    assert reading.frame.height == 1000
    assert reading.frame.filter(id=5)["v"].to_list() == ["y"]


@pytest.mark.parametrize("idle", some_long([False, True]))
def test_a_transaction_that_the_standby_cancels_is_tried_again(
    primary: Server, standby: Server, database: Database, idle: bool
) -> None:
    """The primary truncates what is being read; idle or not, the reason is named."""
    with (  # noqa: PT012 - each step may raise
        pytest.raises(PassingFault, match=r"cancelled the transaction|broke") as told,
        on(standby, database).view([THINGS]) as view,
    ):
        read_from(view)
        database.run("TRUNCATE things")
        if idle:
            time.sleep(2)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            read_from(view)
    assert "hot_standby_feedback = on" in str(told.value)
    until(caught_up(primary, standby))
    with on(standby, database).view([THINGS]) as view:
        assert read_from(view).frame.height == 0
