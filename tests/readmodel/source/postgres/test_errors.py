"""Each fault as one line that says what to do, and retried only where it may pass."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import polars as pl
import pytest

from readmodel.source.blocking import choose_blocking
from readmodel.source.postgres.source import PostgresSource
from readmodel.source.protocol import PassingFault, Unreachable
from readmodel.tables import Table
from testbed.postgres import Database, Login, fresh_database, private_server
from tests.readmodel.source.postgres.reading import (
    THINGS,
    at_work_on,
    read,
    read_from,
    source_of,
)
from tests.support.effort import some_long
from util.errors import SourceError


def fault_of(
    source: PostgresSource, tables: Sequence[Table] = (THINGS,)
) -> SourceError:
    """The error of a complete reading."""
    with pytest.raises(SourceError) as told, source.view(tables) as view:  # noqa: PT012 - each step may raise
        for table in tables:
            read_from(view, table)
    assert "\n" not in str(told.value)
    return told.value


@pytest.fixture
def things(postgres: Database) -> Database:
    """A database with a table of three rows."""
    postgres.run(
        "CREATE TABLE things (id int, name text)",
        "INSERT INTO things SELECT i, 'x' FROM generate_series(1, 3) i",
    )
    return postgres


def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_that_is_not_there_is_unreachable() -> None:
    """By its port, or by its name."""
    port = unused_port()
    fault = fault_of(PostgresSource("127.0.0.1", port, "u", "p", "d"))
    assert type(fault) is Unreachable
    assert f"No database answers at 127.0.0.1:{port}: check SOURCE_URL" in str(fault)
    fault = fault_of(PostgresSource("nowhere.invalid", 5432, "u", "p", "d"))
    assert type(fault) is Unreachable
    assert "No database answers at nowhere.invalid:5432" in str(fault)


def test_a_server_that_accepts_and_stays_silent_is_given_up() -> None:
    """Within the time for a connection."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        source = PostgresSource("127.0.0.1", port, "u", "p", "d", read_seconds=2)
        fault = fault_of(source)
    assert type(fault) is Unreachable
    assert f"No database answers in time at 127.0.0.1:{port}" in str(fault)


def test_a_login_that_is_refused_is_final_and_shows_the_servers_words(
    things: Database,
) -> None:
    """A wrong password, user or database; the password never shows."""
    login = things.reader
    for user, password, database, words in (
        (login.user, "wrong-secret", things.name, "password authentication failed"),
        ("nobody", "wrong-secret", things.name, "password authentication failed"),
        (login.user, login.password, "nowhere", 'database "nowhere" does not exist'),
    ):
        fault = fault_of(
            PostgresSource(login.host, login.port, user, password, database)
        )
        assert isinstance(fault, Unreachable), "passing only where one has answered"
        assert f"{login.host}:{login.port} refused {user}: {words}" in str(fault)
        assert "pg_hba.conf" in str(fault)
        assert password not in str(fault)


def test_a_server_that_is_full_or_starting_is_tried_again(things: Database) -> None:
    """As one that will let somebody in."""
    reader = things.reader.user
    things.run(f"ALTER ROLE {reader} CONNECTION LIMIT 0")
    fault = fault_of(source_of(things))
    assert type(fault) is PassingFault
    assert "lets nobody in now: too many connections for role" in str(fault)


def test_a_server_that_is_no_postgresql_is_refused() -> None:
    """Whatever it says."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            client, _ = listening.accept()
            with client, suppress(OSError):
                client.recv(99)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        port = listening.getsockname()[1]
        fault = fault_of(PostgresSource("127.0.0.1", port, "u", "p", "d"))
        thread.join()
    assert f"127.0.0.1:{port}" in str(fault)


@pytest.mark.parametrize("name", ["nothing", "nowhere.things"])
def test_a_missing_table_is_named(postgres: Database, name: str) -> None:
    """With how tables of other schemas are written."""
    fault = fault_of(source_of(postgres), [Table(name, "id")])
    assert type(fault) is SourceError
    assert f"Table {name} is missing in {postgres.name}" in str(fault)
    assert "is written schema.table" in str(fault)


def test_a_table_that_may_not_be_read_is_named_with_its_grant(things: Database) -> None:
    """Also where only some columns are granted, or the schema is not."""
    reader = things.reader.user
    grant = (
        f"{reader} may not read {{}} in {things.name} on {things.reader.host}:"
        f"{things.reader.port}: GRANT USAGE ON SCHEMA {{}} TO {reader}; "
        f"GRANT SELECT ON {{}} TO {reader} (all columns)"
    )
    things.run(f"REVOKE SELECT ON things FROM {reader}")
    fault = fault_of(source_of(things))
    assert (type(fault), str(fault)) == (
        SourceError,
        grant.format("things", "public", "things"),
    )
    things.run(f"GRANT SELECT (id) ON things TO {reader}")
    assert str(fault_of(source_of(things))) == grant.format(
        "things", "public", "things"
    )
    things.run("CREATE SCHEMA closed", "CREATE TABLE closed.t (id int)")
    fault = fault_of(source_of(things), [Table("closed.t", "id")])
    assert str(fault) == grant.format("closed.t", "closed", "closed.t")


def test_one_table_that_cannot_be_read_does_not_hide_the_others(
    things: Database,
) -> None:
    """Its fault is raised where it is read."""
    lost = Table("lost", "id")
    with source_of(things).view([lost, THINGS]) as view:
        assert read_from(view).frame.height == 3
        with pytest.raises(SourceError, match="Table lost is missing"):
            view.columns(lost)
        assert read_from(view).frame.height == 3


@pytest.mark.parametrize(
    "value",
    [
        "1 / (i - 30000)",
        "CASE i WHEN 30000 THEN repeat('9', 400) ELSE '1' END::numeric(500)",
    ],
)
def test_a_row_that_fails_leaves_the_view_at_its_instant(
    things: Database, value: str
) -> None:
    """Amid the digests or the rows; the other tables can still be read."""
    failing = Table("failing", "id")
    things.run(
        f"CREATE VIEW failing AS SELECT i AS id, {value} AS v FROM generate_series(1, 50000) i"
    )
    with source_of(things).view([failing, THINGS]) as view:
        before = read_from(view)
        things.run("INSERT INTO things VALUES (4, 'later')")
        for _ in range(2):
            with suppress(SourceError):
                read_from(view, failing)
            assert read_from(view).frame.equals(before.frame)
        assert read_from(view).frame.height == 3


def test_a_value_that_does_not_fit_leaves_the_view_at_its_instant(
    things: Database,
) -> None:
    """The rows that were on their way are not taken for those of the next table."""
    things.run(
        "CREATE TABLE other AS SELECT i AS id, 'text' AS v FROM generate_series(1, 200000) i",
        "ANALYZE other",
    )
    other = Table("other", "id")
    with source_of(things).view([other, THINGS]) as view:
        columns = [*view.columns(other)]
        columns[1] = replace(columns[1], dtype=pl.Int64(), wire_dtype=pl.Int64())
        cut = choose_blocking(other, columns)
        blocks = view.blocks(other, columns, cut)
        with pytest.raises(SourceError, match="other cannot be read"):
            list(view.rows(other, columns, cut, blocks))
        assert read_from(view).frame.height == 3


@pytest.mark.parametrize("through_a_view", [False, True])
def test_rows_that_a_policy_hides_are_an_error(
    things: Database, through_a_view: bool
) -> None:
    """By default PostgreSQL leaves them out in silence."""
    things.run(
        "ALTER TABLE things ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY few ON things USING (id = 1)",
        "CREATE VIEW seen WITH (security_invoker) AS SELECT * FROM things",
    )
    table = Table("seen", "id") if through_a_view else THINGS
    fault = fault_of(source_of(things), [table])
    assert type(fault) is SourceError
    assert f"Row-level security hides rows of {table.name} from" in str(fault)
    things.run(f"ALTER ROLE {things.reader.user} BYPASSRLS")
    assert read(things, table).frame.height == 3


@pytest.mark.parametrize(
    "declare",
    some_long(
        [
            "CREATE MATERIALIZED VIEW other AS SELECT 1 AS id",
            (
                "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; "
                "CREATE FOREIGN TABLE other (id int) SERVER files OPTIONS (filename '/dev/null')"
            ),
            "CREATE SEQUENCE other",
            "CREATE TABLE t (id int); CREATE INDEX other ON t (id)",
        ]
    ),
)
def test_what_cannot_be_locked_is_refused(postgres: Database, declare: str) -> None:
    """It could change between two statements."""
    postgres.run(declare)
    fault = fault_of(source_of(postgres), [Table("other", "id")])
    assert type(fault) is SourceError
    assert "other is a materialized view, a foreign table or no table at all" in str(
        fault
    )


def test_bytes_without_an_encoding_are_an_error(postgres_login: Login) -> None:
    """A database in SQL_ASCII takes any bytes for text."""
    with fresh_database(postgres_login, "SQL_ASCII") as database:
        with database.connect(client_encoding="SQL_ASCII") as connection:
            connection.execute("CREATE TABLE things (id int, v text)")
            connection.execute("INSERT INTO things VALUES (1, E'\\xe9')")
        fault = fault_of(source_of(database))
    assert type(fault) is SourceError
    assert "things holds text that is not UTF-8" in str(fault)
    assert "SQL_ASCII" in str(fault)


def test_other_encodings_are_converted(postgres_login: Login) -> None:
    """By the server."""
    with fresh_database(postgres_login, "LATIN1") as database:
        database.run(
            "CREATE TABLE things (id int, v text)",
            "INSERT INTO things VALUES (1, 'né')",
        )
        assert read(database).frame["v"].to_list() == ["né"]


def test_a_statement_timeout_of_the_server_is_named(things: Database) -> None:
    """It is left as it is, for it may be meant."""
    things.run(
        "INSERT INTO things SELECT i, repeat('x', 99) FROM generate_series(1, 200000) i",
        f"ALTER ROLE {things.reader.user} SET statement_timeout = '20ms'",
    )
    fault = fault_of(source_of(things))
    assert type(fault) is PassingFault
    assert "ended a query (canceling statement due to statement timeout)" in str(fault)
    assert f"ALTER ROLE {things.reader.user} SET statement_timeout = '10min'" in str(
        fault
    )


def terminated(database: Database, function: str) -> None:
    """Call *function* on the reader's sessions."""
    database.query(
        f"SELECT {function}(pid) FROM pg_stat_activity "
        f"WHERE usename = '{database.reader.user}'"
    )


def end_statements(database: Database, function: str, over: threading.Event) -> None:
    """Call *function* once a statement is at work, and again: it may have just ended."""
    at_work_on(database, "slow")
    terminated(database, function)
    while not over.wait(0.1):
        terminated(database, function)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("pg_terminate_backend", "terminating connection due to administrator command"),
        ("pg_cancel_backend", "canceling statement due to user request"),
    ],
)
def test_a_session_that_is_ended_is_a_passing_fault(
    things: Database, function: str, words: str
) -> None:
    """During a statement, amid rows, and between statements."""
    slow = Table("slow", "id")
    things.run(
        "CREATE VIEW slow AS SELECT i AS id, pg_sleep(0.01)::text AS v "
        "FROM generate_series(1, 5000) i"
    )
    with (  # noqa: PT012 - each step may raise
        pytest.raises(PassingFault, match=words),
        source_of(things).view([slow]) as view,
    ):
        over = threading.Event()
        thread = threading.Thread(target=end_statements, args=[things, function, over])
        thread.start()
        try:
            read_from(view, slow)
        finally:
            over.set()
            thread.join()


def test_a_session_that_is_ended_while_idle_is_a_passing_fault(
    things: Database,
) -> None:
    """The server's last words are shown."""
    with (  # noqa: PT012 - each step may raise
        pytest.raises(PassingFault, match="terminating connection due to admin"),
        source_of(things).view([THINGS]) as view,
    ):
        terminated(things, "pg_terminate_backend")
        time.sleep(0.3)
        view.columns(THINGS)


def test_an_idle_transaction_is_bounded_by_the_source_itself(things: Database) -> None:
    """A shorter time of the role's does not apply, and no session stays for ever."""
    things.run(
        f"ALTER ROLE {things.reader.user} SET idle_in_transaction_session_timeout = '1ms'"
    )
    with source_of(things).view([THINGS]) as view:
        assert view.execute("SHOW idle_in_transaction_session_timeout") == [("5min",)]
        assert read_from(view).frame.height == 3
    with (  # noqa: PT012 - each step may raise
        pytest.raises(PassingFault, match="ended the transaction for taking long"),
        source_of(things).view([THINGS]) as view,
    ):
        view.execute("SET LOCAL idle_in_transaction_session_timeout = '1ms'")
        time.sleep(0.3)
        view.columns(THINGS)


@pytest.mark.long("test_a_session_that_is_ended_is_a_passing_fault")
def test_a_shutdown_is_a_passing_fault() -> None:
    """The restarted server is read as before."""
    with private_server() as server, fresh_database(server.root) as database:
        database.run("CREATE TABLE things (id int)", "INSERT INTO things VALUES (1)")
        source = source_of(database)
        with (  # noqa: PT012 - each step may raise
            pytest.raises(PassingFault, match=r"administrator command|broke"),
            source.view([THINGS]) as view,
        ):
            server.stop()
            read_from(view)
        fault = fault_of(source)
        assert type(fault) is Unreachable
        server.start()
        assert read(database).frame.height == 1


@pytest.mark.long("test_a_row_that_fails_leaves_the_view_at_its_instant")
def test_a_row_that_is_too_large_for_text_is_named(things: Database) -> None:
    """Nothing in PostgreSQL can be more than 1 GB of text."""
    # In hexadecimal a byte is two characters.
    things.run(
        "CREATE VIEW large AS SELECT 1 AS id, repeat('x', 540000000)::bytea AS v"
    )
    fault = fault_of(source_of(things), [Table("large", "id")])
    assert "A row of large is larger than 1 GB as text" in str(fault)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    connection = "readmodel.source.postgres.connection"
    monkeypatch.delitem(sys.modules, connection, raising=False)
    fault = fault_of(PostgresSource("127.0.0.1", 1, "u", "p", "d"))
    assert str(fault) == (
        "A postgresql:// source needs psycopg, which is not installed: "
        "run uv sync --extra postgres"
    )


def test_the_driver_is_not_imported_before_it_is_used() -> None:
    """Another source costs neither its time nor its memory."""
    code = (
        "import sys, readmodel.source.postgres.source; "
        "sys.exit(any(name.startswith('psycopg') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_error_that_nobody_foresaw_shows_the_servers_words(things: Database) -> None:
    """A view that divides by zero, say."""
    things.run("CREATE VIEW broken AS SELECT 1 AS id, 1 / (id - id) AS v FROM things")
    fault = fault_of(source_of(things), [Table("broken", "id")])
    assert type(fault) is SourceError
    assert str(fault).endswith("failed at broken: division by zero")
