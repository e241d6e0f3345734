"""Vouching for blocks by xmin and count: never for one that has changed."""

import os
import random
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import Block, KnownBlocks, choose_blocking
from readmodel.source.postgres.vouching import WRAPAROUND, Mark
from testbed.postgres import Database, Login, Server, fresh_database, private_server
from tests.readmodel.source.postgres.reading import THINGS, digests, source_of
from tests.support.effort import THOROUGH, by_effort, examples, some_long

WIDTH = 16


def observe(database: Database) -> KnownBlocks | None:
    """The digests of a view and its mark; None where it cannot vouch."""
    with source_of(database).view([THINGS]) as view:
        columns = view.columns(THINGS)
        blocks = view.blocks(THINGS, columns, choose_blocking(THINGS, columns, WIDTH))
        mark = view.mark(THINGS)
    return None if mark is None else KnownBlocks(blocks, mark)


LIE = -1
"""A digest that no block has, so that a block vouched for shows."""


def vouched(
    database: Database, known: KnownBlocks
) -> tuple[set[int | None], Sequence[Block]]:
    """The numbers of the blocks that are vouched for, and the true digests of all."""
    lies = [Block(block.number, block.rows, LIE) for block in known.blocks]
    with source_of(database).view([THINGS]) as view:
        columns = view.columns(THINGS)
        cut = choose_blocking(THINGS, columns, WIDTH)
        claimed = view.blocks_since(
            THINGS, columns, cut, [KnownBlocks(lies, known.mark)]
        )
        true = view.blocks(THINGS, columns, cut)
    assert [(b.number, b.rows) for b in claimed] == [(b.number, b.rows) for b in true]
    for claim, block in zip(claimed, true, strict=True):
        assert claim.digest in (LIE, block.digest)
    return {block.number for block in claimed if block.digest == LIE}, true


def assert_nothing_is_wrongly_vouched_for(
    database: Database, known: KnownBlocks
) -> tuple[int, int]:
    """How many blocks were vouched for, each being what it was, and how many changed."""
    numbers, true = vouched(database, known)
    same = {block.number for block in set(known.blocks) & set(true)}
    assert numbers <= same
    return len(numbers), len(known.blocks) - len(same)


def create(database: Database, rows: int = 100) -> None:
    """Create `things` with *rows* in blocks of 16."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v text, n int)",
        f"INSERT INTO things SELECT i, 'x', i FROM generate_series(1, {rows}) i",
    )


def test_only_the_blocks_that_were_written_to_are_digested(postgres: Database) -> None:
    """By an insert, an update and a delete; the others are vouched for."""
    create(postgres)
    known = observe(postgres)
    assert known is not None
    assert vouched(postgres, known)[0] == {0, 1, 2, 3, 4, 5, 6}
    postgres.run(
        "UPDATE things SET v = 'y' WHERE id = 1",
        "DELETE FROM things WHERE id = 40",
        "DELETE FROM things WHERE id BETWEEN 64 AND 79",
        "INSERT INTO things VALUES (101), (1000), (-5)",
    )
    assert vouched(postgres, known)[0] == {1, 3, 5}
    postgres.run(
        "DELETE FROM things WHERE id = 20; INSERT INTO things VALUES (20, 'x', 20)"
    )
    assert vouched(postgres, known)[0] == {3, 5}


@pytest.mark.parametrize(
    "statement",
    some_long(["VACUUM things", "VACUUM FREEZE things", "ANALYZE things", "CREATE INDEX ON things (v)",
     "BEGIN; UPDATE things SET v = 'y'; ROLLBACK", "BEGIN; SELECT * FROM things FOR UPDATE; COMMIT",
     "CREATE TABLE other AS SELECT * FROM things"], 3),
)  # fmt: skip
def test_what_changes_no_row_keeps_all_blocks_vouched_for(
    postgres: Database, statement: str
) -> None:
    """Vacuum, freezing, locks and rollbacks leave the ids of the rows as they are."""
    create(postgres)
    known = observe(postgres)
    assert known is not None
    postgres.run(statement)
    assert len(vouched(postgres, known)[0]) == 7


SWAP = (
    "CREATE TABLE other AS SELECT id, 'swapped' AS v, n FROM things",
    "ALTER TABLE things RENAME TO old; ALTER TABLE other RENAME TO things",
)


@pytest.mark.parametrize(
    ("before", "after"),
    some_long([
        (SWAP[:1], SWAP[1:]),
        ((), ("ALTER TABLE things DROP n", "ALTER TABLE things ADD n int DEFAULT 2")),
        (("CREATE TYPE mood AS ENUM ('sad', 'ok')", "ALTER TABLE things ADD m mood DEFAULT 'ok'"),
         ("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",)),
        (("CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE TYPE pair AS (a int, b mood[])",
          "CREATE DOMAIN pairs AS pair[]", ("ALTER TABLE things ADD m pairs DEFAULT "
          "'{\"(1,{ok})\"}'")), ("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",)),
        ((), ("TRUNCATE things", "INSERT INTO things SELECT i, 'y', i FROM generate_series(1, 100) i")),
        ((), ("ALTER TABLE things ALTER n TYPE bigint",)),
        ((), ("VACUUM FULL things",)),
        ((), ("ALTER TABLE things RENAME TO old; CREATE VIEW things AS SELECT id, 'z' AS v, n FROM old",)),
        ((), ("CREATE TABLE child (LIKE things)", "INSERT INTO child VALUES (1, 'c', 1)",
              "ALTER TABLE child INHERIT things")),
    ], 4),
    ids=["tables swapped", "column replaced", "label renamed", "label renamed deep inside", "filled again",
         "type changed", "rewritten", "replaced by a view", "inherited"],
)  # fmt: skip
def test_what_no_row_shows_falls_to_the_digests(
    postgres: Database, before: Sequence[str], after: Sequence[str]
) -> None:
    """Other rows under the same name, or the same rows read differently."""
    create(postgres)
    postgres.run(*before, "CHECKPOINT")
    known = observe(postgres)
    assert known is not None
    assert len(vouched(postgres, known)[0]) == 7
    postgres.run(*after)
    assert vouched(postgres, known)[0] == set()


@pytest.mark.parametrize(
    "declare",
    some_long(["CREATE UNLOGGED TABLE things (id int)",
     "CREATE TABLE things (id int) PARTITION BY RANGE (id)",
     "CREATE VIEW things AS SELECT 1 AS id",
     "CREATE TABLE things (id int); CREATE TABLE child () INHERITS (things)",
     "CREATE TABLE things (id int, r regclass)",
     "CREATE TABLE things (id int, r regrole[])",
     "CREATE TABLE things (id int, a aclitem)",
     "CREATE EXTENSION hstore; CREATE TABLE things (id int, h hstore)",
     "CREATE DOMAIN d AS regtype; CREATE TYPE c AS (a d); CREATE TABLE things (id int, c c)"], 4),
)  # fmt: skip
def test_what_xmin_cannot_speak_for_gets_no_mark(
    postgres: Database, declare: str
) -> None:
    """Its blocks are digested each time."""
    postgres.run(declare)
    assert observe(postgres) is None


def test_row_level_security_gets_no_mark(postgres: Database) -> None:
    """Even where the role may bypass it."""
    create(postgres)
    postgres.run(
        "ALTER TABLE things ENABLE ROW LEVEL SECURITY",
        f"ALTER ROLE {postgres.reader.user} BYPASSRLS",
    )
    assert observe(postgres) is None


def test_functions_that_a_role_may_not_call_mean_no_mark(postgres: Database) -> None:
    """The view goes on at the same instant."""
    create(postgres)
    postgres.run("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    assert observe(postgres) is None
    assert len(digests(postgres)) == 1


def test_transactions_that_were_open_are_not_vouched_for(postgres: Database) -> None:
    """Nor their subtransactions, whose ids are lower than later ones that had ended."""
    create(postgres)
    with postgres.connect(autocommit=False) as long:
        long.execute("SAVEPOINT a")
        long.execute("UPDATE things SET v = 'late' WHERE id = 1")
        long.execute("RELEASE a")
        long.execute("SAVEPOINT b")
        long.execute("DELETE FROM things WHERE id = 20")
        long.execute("INSERT INTO things VALUES (20, 'late', 1)")
        postgres.run("UPDATE things SET v = 'z' WHERE id = 99")
        known = observe(postgres)
        assert known is not None
        assert 6 not in vouched(postgres, known)[0], "later than the open transaction"
        long.commit()
    assert vouched(postgres, known)[0] == {2, 3, 4, 5}


def test_a_copy_of_a_database_is_another_one(postgres: Database) -> None:
    """Created from a template, it has the same relations and the same ids."""
    create(postgres)
    known = observe(postgres)
    assert known is not None
    twin = replace(postgres, name=f"{postgres.name} twin")
    postgres.owner.run(f'CREATE DATABASE "{twin.name}" TEMPLATE "{postgres.name}"')
    try:
        postgres.run("UPDATE things SET v = 'only here' WHERE id = 1")
        now = observe(postgres)
        assert now is not None
        assert vouched(twin, now)[0] == set()
    finally:
        postgres.owner.run(f'DROP DATABASE "{twin.name}"')


def test_a_mark_of_another_history_does_not_hold() -> None:
    """Neither an earlier position of the log, nor ids that went around."""
    now = Mark(xmin=1000, xmax=1010, lsn=500, guards="g")
    assert now.holds(now)
    assert Mark(900, 900, 400, "g").holds(now)
    assert not Mark(900, 900, 400, "other").holds(now)
    assert not Mark(900, 900, 501, "g").holds(now)
    assert not Mark(1001, 1001, 400, "g").holds(now)
    later = Mark(WRAPAROUND + 10, WRAPAROUND + 900, 600, "g")
    assert not Mark(900, 900, 400, "g").holds(later)
    assert Mark(901, 901, 400, "g").holds(later)
    assert not Mark(2**32 + 2, 2**32 + 2, 0, "g").holds(
        Mark(2**32 + 9, 2**32 + 9, 0, "g")
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[1,2,3]", '["a",1,2,"g"]'])
def test_a_mark_of_another_version_is_none(text: str) -> None:
    """A stored text may be of any kind."""
    assert Mark.decode(text) is None


def test_a_mark_is_stored_as_a_text() -> None:
    """And read as it was."""
    mark = Mark(2**40, 2**40 + 5, 2**50, "g")
    assert Mark.decode(mark.encode()) == mark


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """Lost commits need a crash between a commit and its write to the log."""
    with private_server(
        "synchronous_commit=off", "wal_writer_delay=10s", "restart_after_crash=on"
    ) as server:
        yield server


@pytest.mark.parametrize("victim", some_long(["server", "backend"]))
def test_a_crash_that_loses_commits_is_noticed(own_server: Server, victim: str) -> None:
    """Rows that were seen are gone, and their ids go to others."""
    with fresh_database(own_server.root) as database:
        create(database)
        database.run("CHECKPOINT")
        database.run("UPDATE things SET v = 'lost' WHERE id < 50")
        known = observe(database)
        assert known is not None
        assert len(vouched(database, known)[0]) == 7
        if victim == "server":
            own_server.stop(signal.SIGKILL)
            own_server.start()
        else:
            with closing(database.connect()) as doomed:
                pid = doomed.info.backend_pid
                os.kill(pid, signal.SIGKILL)
            _wait_for(own_server)
        database.run("UPDATE things SET v = 'other' WHERE id < 50")
        assert vouched(database, known)[0] == set()


def _wait_for(server: Server) -> None:
    for _ in range(600):
        with suppress(psycopg.OperationalError), server.root.connect():
            return
    raise AssertionError("the server does not come back")


# Each of the rare ones ends what the marks before it can vouch for.
COMMON = (
    "insert", "update", "delete", "reinsert", "rollback", "savepoints", "vacuum", "freeze", "lock", "open",
    "close", "move",
)  # fmt: skip
RARE = ("vacuum full", "truncate", "swap", "column", "label", "rewrite")
OPERATIONS = (*COMMON * 3, *RARE, *("observe",) * 15)


class History:
    """A table that is changed at random, and all views of it so far.

    It has *scale* times 100 rows; an operation changes *scale* ranges of up to 9 rows.
    """

    def __init__(self, database: Database, scale: int = 1) -> None:
        self.database = database
        self.scale = scale
        self.main = database.connect()
        self.other = database.connect(autocommit=False)
        self.marks: list[KnownBlocks] = []
        self.vouched = 0
        self.changed = 0
        self.labels = 0
        self.main.execute(
            "CREATE TYPE mood AS ENUM ('a0', 'b0'); CREATE TABLE things (id int, v text, m mood);"
            f"INSERT INTO things SELECT i, 'x', 'a0' FROM generate_series(1, {scale * 100}) i"
        )

    def close(self) -> None:
        """Close both connections."""
        self.main.close()
        self.other.close()

    def step(self, operation: str, dice: random.Random) -> None:
        """Do one operation, unless a lock is taken."""
        self.main.execute("SET lock_timeout = '10ms'")
        with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            self._change(operation, dice)

    def check(self) -> None:
        """Compare what is vouched for with the digests, and take a mark."""
        for known in self.marks[-4:]:
            same, changed = assert_nothing_is_wrongly_vouched_for(self.database, known)
            self.vouched += same
            self.changed += changed
        if (known_now := observe(self.database)) is not None:
            self.marks.append(known_now)

    def _change(self, operation: str, dice: random.Random) -> None:
        lows = [dice.randrange(1, 100 * self.scale + 10) for _ in range(self.scale)]
        # Elements of an array are found by a hash, however many there are.
        ids = [low + more for low in lows for more in range(dice.randrange(1, 10))]
        some = f"id = ANY('{{{','.join(map(str, ids))}}}')"
        word = f"w{dice.randrange(10**6)}"
        inserted = ",".join(f"({low}, '{word}')" for low in lows)
        insert = f"INSERT INTO things (id, v) VALUES {inserted}"
        match operation:
            case "insert":
                self.main.execute(insert.encode())
            case "update":
                self.main.execute(
                    f"UPDATE things SET v = '{word}' WHERE {some}".encode()
                )
            case "delete":
                self.main.execute(f"DELETE FROM things WHERE {some}".encode())
            case "move":
                self.main.execute(
                    f"UPDATE things SET id = id + 7 WHERE {some}".encode()
                )
            case "reinsert":
                self.main.execute(
                    f"WITH gone AS (DELETE FROM things WHERE {some} RETURNING id) "
                    f"INSERT INTO things (id, v) SELECT id, '{word}' FROM gone".encode()
                )
            case "rollback":
                self.main.execute(
                    f"BEGIN; UPDATE things SET v = 'r' WHERE {some}; {insert}; ROLLBACK".encode()
                )
            case "savepoints":
                self.main.execute(
                    f"BEGIN; SAVEPOINT a; UPDATE things SET v = '{word}' WHERE {some}; "
                    f"SAVEPOINT b; {insert}; ROLLBACK TO b; SAVEPOINT c; {insert}; "
                    "RELEASE a; COMMIT".encode()
                )
            case "vacuum" | "vacuum full" | "freeze":
                kind = {"vacuum": "", "vacuum full": "FULL", "freeze": "FREEZE"}[
                    operation
                ]
                self.main.execute(f"VACUUM {kind} things".encode())
            case "truncate":
                self.main.execute(
                    b"CREATE TEMP TABLE kept AS TABLE things; TRUNCATE things; "
                    b"INSERT INTO things SELECT * FROM kept; DROP TABLE kept"
                )
            case "swap":
                self.main.execute(
                    "BEGIN; CREATE TABLE IF NOT EXISTS twin AS SELECT id, 's' || v AS v, m "
                    "FROM things; ALTER TABLE things RENAME TO third; "
                    "ALTER TABLE twin RENAME TO things; ALTER TABLE third RENAME TO twin; COMMIT; "
                    f"GRANT SELECT ON things TO {self.database.reader.user}".encode()
                )
            case "column":
                self.main.execute(
                    f"BEGIN; ALTER TABLE things DROP v; ALTER TABLE things ADD v text DEFAULT '{word}'; COMMIT".encode()
                )
            case "label":
                self.main.execute(
                    f"ALTER TYPE mood RENAME VALUE 'a{self.labels}' TO 'a{self.labels + 1}'".encode()
                )
                self.labels += 1
            case "rewrite":
                self.main.execute(
                    b"ALTER TABLE things ALTER id TYPE bigint; ALTER TABLE things ALTER id TYPE int"
                )
            case "lock":
                self.main.execute(b"BEGIN; SELECT * FROM things FOR UPDATE; COMMIT")
            case "open":
                self.other.execute(b"SET LOCAL lock_timeout = '10ms'; SAVEPOINT o")
                self.other.execute(
                    f"UPDATE things SET v = '{word}' WHERE {some}; {insert}".encode()
                )
            case "close":
                (self.other.commit if dice.random() < 0.7 else self.other.rollback)()
            case _:
                self.check()


@settings(
    max_examples=examples(2, 50),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(
    operations=st.lists(st.sampled_from(OPERATIONS), min_size=20, max_size=60),
    seed=st.integers(0, 2**32),
)
def test_nothing_is_wrongly_vouched_for(
    postgres_login: Login, operations: list[str], seed: int
) -> None:
    """Whatever was done, in whatever order, with transactions open meanwhile."""
    with fresh_database(postgres_login) as database:
        run(database, operations, random.Random(seed))


def run(
    database: Database, operations: Iterable[str], dice: random.Random, scale: int = 1
) -> History:
    """Do *operations*, and check at the end."""
    with closing(History(database, scale)) as history:
        for operation in operations:
            try:
                history.step(operation, dice)
            except psycopg.Error:
                history.main.rollback()
                if history.other.info.transaction_status.name == "INERROR":
                    history.other.rollback()
        history.other.rollback()
        history.check()
    return history


# Ranges change a sixteenth of the blocks at a time, and most operations leave marks valid.
SPARSE_SCALE = 60 if THOROUGH else 20
SPARSE = (*COMMON * 4, *RARE, *("observe",) * 60)
BLOCKS = 100_000 if THOROUGH else 200
STEPS = by_effort(8, 20, 40)


@pytest.mark.long("test_nothing_is_wrongly_vouched_for")
def test_nothing_is_wrongly_vouched_for_among_many_blocks(
    postgres_login: Login,
) -> None:
    """100,000 of them in a thorough run, which prints how many had changed."""
    vouched_for = changed = seed = 0
    while vouched_for < BLOCKS:
        seed += 1
        dice = random.Random(seed)
        operations = dice.choices(SPARSE, k=STEPS)
        with fresh_database(postgres_login) as database:
            history = run(database, operations, dice, SPARSE_SCALE)
        vouched_for += history.vouched
        changed += history.changed
    figures = f"{seed} histories: {vouched_for} blocks vouched for, {changed} changed"
    print(figures)  # noqa: T201 - what a thorough run is for
    assert changed > BLOCKS // 10
