"""A server that freezes, and a stop request: neither keeps a run waiting."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

import pytest

from readmodel.source.postgres.source import PostgresSource
from readmodel.source.protocol import PassingFault
from readmodel.tables import Table
from testbed.postgres import Database
from tests.readmodel.source.postgres.reading import (
    assert_nobody_is_left,
    at_work_on,
    read_from,
    source_of,
)
from util.errors import Stopped

SLOW = Table("slow", "id")


@pytest.fixture
def slow(postgres: Database) -> Database:
    """A database with a relation whose every reading takes a minute."""
    postgres.run(
        "CREATE FUNCTION wait() RETURNS text LANGUAGE sql VOLATILE AS "
        "$$ SELECT repeat('x', 20000) || pg_sleep(0.06)::text $$",
        "CREATE VIEW slow AS SELECT i AS id, wait() AS v FROM generate_series(1, 1000) i",
    )
    return postgres


@contextmanager
def frozen_at(database: Database, word: str) -> Iterator[None]:
    """The process of the server stops when it works on a statement with *word*."""
    stopped: list[int] = []

    def freeze() -> None:
        stopped.append(at_work_on(database, word))
        time.sleep(0.2)
        os.kill(stopped[0], signal.SIGSTOP)

    with ThreadPoolExecutor() as pool:
        freezing = pool.submit(freeze)
        try:
            yield
        finally:
            freezing.result()
            os.kill(stopped[0], signal.SIGCONT)


@pytest.mark.parametrize("word", ["hashtextextended", "COPY"])
def test_a_frozen_server_is_given_up(
    slow: Database, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During a digest, which is silent by nature, and amid the rows."""
    if word == "COPY":
        monkeypatch.setattr(
            "readmodel.source.postgres.sql.digests", lambda *_: "SELECT 0, 1000, 0"
        )
    began = time.monotonic()
    with (
        frozen_at(slow, word),
        pytest.raises(PassingFault, match="has not answered for 2 s: check whether"),
        source_of(slow, read_seconds=2).view([SLOW]) as view,
    ):
        read_from(view, SLOW)
    assert time.monotonic() - began < 60
    assert_nobody_is_left(slow)


def raise_stopped(_: int, __: FrameType | None) -> None:
    """What the handler of a stop signal does."""
    raise Stopped("Stopped by SIGALRM")


@contextmanager
def stopped_when(condition: object) -> Iterator[None]:
    """A signal strikes this thread once the callable *condition* returns."""
    before = signal.signal(signal.SIGALRM, raise_stopped)
    assert callable(condition)

    def strike() -> None:
        condition()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("word", ["hashtextextended", "COPY"])
def test_a_stop_request_ends_a_statement_at_once(
    slow: Database, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for an error of the driver, and nothing is left running."""
    if word == "COPY":
        monkeypatch.setattr(
            "readmodel.source.postgres.sql.digests", lambda *_: "SELECT 0, 1000, 0"
        )
    began = time.monotonic()
    with (
        pytest.raises(Stopped),
        stopped_when(lambda: at_work_on(slow, word)),
        source_of(slow).view([SLOW]) as view,
    ):
        read_from(view, SLOW)
    assert time.monotonic() - began < 60
    assert_nobody_is_left(slow)


def test_a_stop_request_ends_a_login() -> None:
    """While a server accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = PostgresSource("127.0.0.1", silent.getsockname()[1], "u", "p", "d")
        began = time.monotonic()
        with (
            pytest.raises(Stopped),
            stopped_when(lambda: time.sleep(0.3)),
            source.view([SLOW]),
        ):
            pass
        assert time.monotonic() - began < 5
