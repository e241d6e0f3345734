"""A server that freezes: it keeps its connections and sends nothing more.

A real server is stopped with SIGSTOP when the client sends a chosen word. Only the
client's own time limits can end such a run.
"""

import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from readmodel.store.snapshot import current
from testbed.mariadb import Database, MariadbServer, fresh_database, private_server
from tests.support.effort import some_long
from tests.support.exactness import assert_exact, create, mirror_all
from tests.support.programs import freeze, run_updater

pytestmark = pytest.mark.external

INTERVAL_SECONDS = "4"  # the read timeout is half of it


class FreezingProxy:
    """A proxy that freezes *server* when a client sends *word*.

    The server's answer to *word* is cut after *answered* bytes; 0 means no answer. With
    an empty word the server freezes before the first connection.
    """

    def __init__(self, server: MariadbServer, word: bytes, answered: int = 0) -> None:
        self._server = server
        self._word = word
        self._answered = answered
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.froze = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Accept connections in a thread; let the server go on after the block."""
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            if not self._word:
                self._freeze()
            yield
        finally:
            self._listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            self._listening.close()
            self._server.process.send_signal(signal.SIGCONT)

    def _freeze(self) -> None:
        freeze(self._server.process.pid)
        self.froze = True

    def _serve(self) -> None:
        """Serve one client at a time: an updater has one connection at a time."""
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            login = self._server.root
            with client, socket.create_connection((login.host, login.port)) as server:
                self._relay(client, server)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        word_sent = False
        while True:
            ready, _, _ = select.select([client, server], [], [])
            for end in ready:
                data = end.recv(65536)
                if not data:
                    return
                if end is client:
                    word_sent = word_sent or self._word in data
                    if word_sent and not self._answered and not self.froze:
                        self._freeze()
                    server.sendall(data)
                elif word_sent and not self.froze:
                    self._freeze()
                    client.sendall(data[: self._answered])
                elif not self.froze:
                    client.sendall(data)


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    """A server without TLS, so that the proxy can read what the client sends."""
    with private_server("--skip-ssl") as running:
        yield running


@pytest.fixture
def database(server: MariadbServer) -> Iterator[Database]:
    """An empty database of that server."""
    with fresh_database(server.root) as fresh:
        yield fresh


CONNECT = "accepted the connection, but sent nothing for 2 s"
QUERY = "has not answered for 2 s"


@pytest.mark.parametrize(
    ("word", "answered", "message"),
    some_long(
        [
            pytest.param(b"", 0, CONNECT, id="before the greeting"),
            pytest.param(b"reader_", 0, CONNECT, id="at the login"),
            pytest.param(b"START TRANSACTION", 0, QUERY, id="at the transaction"),
            pytest.param(b"SUM(CRC32(", 0, QUERY, id="at a digest"),
            pytest.param(b"SEPARATOR ''),''", 999, QUERY, id="amid the rows"),
        ],
        2,
    ),
)
def test_a_frozen_server_ends_the_run_with_an_error(
    server: MariadbServer,
    database: Database,
    tmp_path: Path,
    word: bytes,
    answered: int,
    message: str,
) -> None:
    """Each attempt logs one line, the snapshot stays, and the next sync is exact."""
    create(database, 11)
    mirror_all(database, tmp_path)
    before = current(tmp_path)
    votes = before.scan("fpp_votes").collect()
    database.run("UPDATE fpp_votes SET duration = duration + 1")
    proxy = FreezingProxy(server, word, answered)
    settings = {
        **database.environ(),
        "DB_PORT": str(proxy.port),
        "DATA_DIR": str(tmp_path),
        "SYNC_INTERVAL_SECONDS": INTERVAL_SECONDS,
        "LOG_FORMAT": "text",
    }
    with proxy.running():
        done = run_updater(settings)
    assert proxy.froze
    assert (done.returncode, done.stdout) == (1, "")
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert message in lines[0]
    *retries, failure = lines
    assert all(" WARNING " in line and "; trying again" in line for line in retries)
    assert " ERROR " in failure
    assert "check whether the server is frozen" in failure
    assert database.reader.password not in done.stderr
    assert current(tmp_path) == before
    assert current(tmp_path).scan("fpp_votes").collect().equals(votes)
    assert not list((tmp_path / "snapshots").glob(".*"))
    wait_until_no_one_is_connected(database)
    mirror_all(database, tmp_path)
    assert_exact(database, tmp_path)


def wait_until_no_one_is_connected(database: Database) -> None:
    """Wait for the server to notice, once it goes on, that the updater has left."""
    deadline = time.monotonic() + 30
    with database.connect() as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s",
                (database.reader.user,),
            )
            ((sessions,),) = cursor.fetchall()
            if not sessions:
                return
            assert time.monotonic() < deadline, "a connection is still open"
            time.sleep(0.05)
