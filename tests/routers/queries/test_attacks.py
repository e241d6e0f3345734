"""Attacks on `POST /query` against the installed DuckDB.

What the gate refuses never starts a process, so it is tested without any.
"""

import asyncio
import json
import re
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Self

import duckdb
import pytest

from routers.queries.exchange import MAX_RESULT_BYTES
from routers.worker import client
from sqlfiles.functions import ALLOWED, is_reviewed
from sqlfiles.query_gate import check_query
from sqlfiles.tree import SqlFault
from tests.routers.queries.conftest import MEMORY_MB, SECRET, Target
from tests.support.attacks import ENDLESS, HARMLESS, HUNGRY, NESTED, REFUSED
from tests.support.effort import fewer, some_long

TABLES = ("rounds", "scores", "fpp_votes")
COMMAND = (sys.executable, "-m", "tests.routers.queries.jobs_without_gate")


class Peak(threading.Thread):
    """The largest resident memory of any child of a process, in kB."""

    def __init__(self, parent: int) -> None:
        super().__init__()
        self.kilobytes = 0
        self._parent = parent
        self._done = threading.Event()

    def __enter__(self) -> Self:
        """Start to look."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._done.set()
        self.join()

    def run(self) -> None:
        """Look every few milliseconds."""
        children = Path(f"/proc/{self._parent}/task/{self._parent}/children")
        while not self._done.wait(0.01):
            for child in children.read_text(encoding="ascii").split():
                self.kilobytes = max(self.kilobytes, _peak_of(child))


def _peak_of(process: str) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) if found else 0


def require_nothing_leaks(target: Target, text: str) -> None:
    """Fail if an answer has the secret, or the path of a file of the server."""
    assert SECRET not in text
    for part in (str(target.folder), "/snapshots/", ".parquet", "site-packages"):
        assert part not in text
    assert "Traceback" not in text


def is_refused(sql: str) -> bool:
    """True if the gate refuses *sql*."""
    try:
        check_query(sql, TABLES)
    except SqlFault:
        return True
    return False


def test_every_function_of_duckdb_was_reviewed() -> None:
    """A new version may bring functions; somebody must decide about each of them."""
    connection = duckdb.connect()
    connection.execute("SELECT function_name FROM duckdb_functions()")
    names = {str(name).lower() for (name,) in connection.fetchall()}
    assert sorted(name for name in names if not is_reviewed(name)) == []
    gone = ALLOWED - names
    assert gone == {"!", "->", "current_timestamp", "localtimestamp"}  # of the grammar


@pytest.mark.parametrize("kind", REFUSED)
def test_the_gate_refuses(kind: str) -> None:
    """Statements other than one SELECT of known tables and reviewed functions."""
    places = dict.fromkeys(("secret", "new", "folder", "part"), "/tmp/x/data.parquet")
    for statement in REFUSED[kind]:
        assert is_refused(statement.format(**places)), statement


@pytest.mark.parametrize("statement", some_long(HARMLESS + NESTED, 8))
def test_odd_statements_are_answered(target: Target, statement: str) -> None:
    """With rows or an error, at most 16 MB, and without a path of ours."""
    got = target.query(statement.format(**target.places), timeout_ms=1000)
    assert got.status_code in (200, 400, 504)
    assert len(got.content) < 1.1 * MAX_RESULT_BYTES
    require_nothing_leaks(target, got.text)


def test_endless_statements_are_killed_at_the_deadline(target: Target) -> None:
    """Whatever the engine is busy with."""
    for statement in fewer(ENDLESS, 2):
        got = target.query(statement, timeout_ms=600)
        assert got.status_code == 504, statement
        assert got.json() == {
            "detail": "The query was stopped. It took longer than 0.6 seconds."
        }
    # The helper has killed each before the next one was forked.
    children = Path(f"/proc/{target.helper}/task/{target.helper}/children")
    assert len(children.read_text(encoding="ascii").split()) <= 1


def test_hungry_statements_stay_below_the_limit(target: Target) -> None:
    """They fail or are killed, and never take more memory than the setting says."""
    with Peak(target.helper) as peak:
        for statement in fewer(HUNGRY, 2):
            got = target.query(statement, timeout_ms=1000)
            assert got.status_code in (400, 504), statement
            require_nothing_leaks(target, got.text)
            assert target.client.get("/health").status_code == 200
    base_kilobytes = 90_000  # the engines themselves, shared with the helper
    assert 0 < peak.kilobytes < MEMORY_MB * 1024 + base_kilobytes


def test_refused_statements_change_and_show_nothing(target: Target) -> None:
    """One of each kind, through the whole API."""
    before = target.files()
    for statements in REFUSED.values():
        got = target.query(statements[0].format(**target.places))
        assert got.status_code == 400
        require_nothing_leaks(target, got.text)
    assert target.files() == before


def test_the_process_of_a_query_could_do_no_harm(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the gate: only the files of the snapshot can be read, nothing else."""
    monkeypatch.setattr(client, "COMMAND", COMMAND)
    before = target.files()
    worker = client.Worker()
    arguments = {
        "folder": Path(target.places["folder"]),
        "part": Path(target.places["part"]),
        "secret": Path(target.places["secret"]),
    }
    try:
        reply = asyncio.run(
            worker.run_confined("escape", arguments, timedelta(minutes=1), 100_000)
        )
    finally:
        worker.close()
    outcomes = json.loads(b"".join(reply))
    assert outcomes.pop("read a part") == "done"
    assert outcomes.pop("query a part") == "done"
    assert outcomes
    assert "done" not in outcomes.values(), outcomes
    assert target.files() == before
