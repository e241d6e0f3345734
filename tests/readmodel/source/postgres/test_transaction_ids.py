"""Prepared transactions that end late, and transaction ids that go around."""

from collections.abc import Iterator

import pytest

from testbed.postgres import Database, Server, fresh_database, private_server
from tests.readmodel.source.postgres.reading import read
from tests.readmodel.source.postgres.test_vouching import create, observe, vouched
from tests.support.effort import some_long

ALL = {0, 1, 2, 3, 4, 5, 6}
# Ids go around after 2 ** 32, which begins the next epoch.
NEAR_THE_END = 2**32 - 60


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that can prepare transactions, and that a test may stop."""
    with private_server("max_prepared_transactions=5", "autovacuum=off") as started:
        yield started


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A database with 100 rows in blocks of 16."""
    with fresh_database(server.root) as fresh:
        create(fresh)
        yield fresh


def prepare(database: Database, *statements: str) -> None:
    """Do *statements* in a transaction that is prepared as `late`."""
    with database.connect(autocommit=False) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        connection.execute("PREPARE TRANSACTION 'late'")


@pytest.mark.parametrize("end", some_long(["COMMIT", "ROLLBACK"]))
def test_a_prepared_transaction_that_ends_later_is_noticed(
    database: Database, end: str
) -> None:
    """It belongs to no session, and outlives its own."""
    prepare(
        database,
        "UPDATE things SET v = 'late' WHERE id = 1",
        "DELETE FROM things WHERE id = 20",
        "INSERT INTO things VALUES (20, 'late', 1)",
    )
    database.run("UPDATE things SET v = 'z' WHERE id = 99")
    known = observe(database)
    assert known is not None
    assert vouched(database, known)[0] == ALL - {6}, "6 is later than the prepared one"
    database.run(f"{end} PREPARED 'late'")
    late = {0, 1} if end == "COMMIT" else set()
    assert vouched(database, known)[0] == ALL - {6} - late
    values = read(database).frame.filter(id=1)["v"].to_list()
    assert values == (["late"] if end == "COMMIT" else ["x"])


def test_a_prepared_transaction_survives_a_restart_of_the_server(
    server: Server, database: Database
) -> None:
    """After a restart nothing is vouched for, and then it commits."""
    prepare(database, "UPDATE things SET v = 'late' WHERE id = 1")
    known = observe(database)
    assert known is not None
    server.stop()
    server.start()
    assert vouched(database, known)[0] == set()
    known = observe(database)
    assert known is not None
    database.run("COMMIT PREPARED 'late'")
    assert 0 not in vouched(database, known)[0]
    assert read(database).frame.filter(id=1)["v"].to_list() == ["late"]


def move_ids(server: Server, epoch: int, xid: int) -> None:
    """Let the next transaction id be *xid* of *epoch*, for a server without old rows."""
    server.root.run("ALTER DATABASE template0 ALLOW_CONNECTIONS true")
    for name in ("template0", "template1", "postgres"):
        server.root.run("VACUUM FREEZE", database=name)
    server.stop()
    server.call(
        "pg_resetwal",
        f"--epoch={epoch}",
        f"--next-transaction-id={xid}",
        f"--oldest-transaction-id={xid - 1_000}",
        str(server.data),
    )
    # The states of the ids before it, which are in a file for each 2 ** 20.
    server.own(server.data / "pg_xact" / f"{xid // 2**20:04X}", bytes(2**18))
    server.start()


def test_ids_that_go_around_are_compared_by_their_epoch(server: Server) -> None:
    """Rows from before and after the turn, with marks from before and after it."""
    move_ids(server, 3, NEAR_THE_END)
    with fresh_database(server.root) as database:
        create(database)
        before = observe(database)
        assert before is not None
        assert vouched(database, before)[0] == ALL
        assert turn(database) > 4 * 2**32
        assert vouched(database, before)[0] == ALL - {0}, "id 1 was changed"
        after = observe(database)
        assert after is not None
        assert vouched(database, after)[0] == ALL
        database.run("UPDATE things SET v = 'y' WHERE id = 40")
        assert vouched(database, before)[0] == ALL - {0, 2}
        assert vouched(database, after)[0] == ALL - {2}
        assert read(database).frame.height == 100


def turn(database: Database) -> int:
    """Use up ids until they have gone around; the last one."""
    with database.connect() as connection:
        for _ in range(200):
            connection.execute("UPDATE things SET n = n + 1 WHERE id = 1")
            row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
            assert row is not None
            if int(row[0]) % 2**32 < NEAR_THE_END:
                return int(row[0])
    raise AssertionError("the ids have not gone around")
