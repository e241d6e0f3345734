"""SIGTERM while SQLite is busy with one statement."""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.readmodel.source.sqlite.test_source import ENDLESS
from tests.support.programs import ROOT, environ

GONE_SECONDS = 10


def test_sigterm_ends_an_endless_statement(tmp_path: Path) -> None:
    """Python handles signals between its own instructions, of which there are none then."""
    source = tmp_path / "source.db"
    with closing(sqlite3.connect(source)) as database:
        database.executescript(ENDLESS)
    settings = {
        "SOURCE_URL": f"sqlite:///{source}",
        "DATA_DIR": str(tmp_path / "data"),
        "TABLES": "things:id",
        "LOG_FORMAT": "text",
    }
    process = subprocess.Popen(
        [sys.executable, "update_readmodel.py"],
        cwd=ROOT,
        env=environ(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert "Reading 1 table" in first
    while not list((tmp_path / "data").rglob(".staged-*")):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)  # The statement begins then, and nothing else shows that.
    process.send_signal(signal.SIGTERM)
    try:
        rest, _ = process.communicate(timeout=GONE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, rest
    assert "Stopped by SIGTERM" in rest
    assert not list((tmp_path / "data").rglob(".staged-*"))
