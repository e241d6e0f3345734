"""The start of the updater: what a sync from SQLite does not import."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.support.programs import ROOT

RUN = """
import gc, json, sys
import update_readmodel
code = update_readmodel.main([])
found = {"code": code, "collects": gc.isenabled(), "frozen": gc.get_freeze_count() > 0}
unwanted = {
    "mysql", "psycopg", "httpx", "click", "rich", "duckdb", "sqlfiles", "sentry_sdk", "fastapi",
    "confluent_kafka", "obstore", "distributed", "opentelemetry", "calculations",
    "readmodel.sync.verify", "updater.doctor", "updater.status", "updater.views",
}
found["imported"] = sorted(unwanted & sys.modules.keys())
import util.heartbeat
found["with a monitor"] = sorted({"httpx", "click", "pygments", "rich"} & sys.modules.keys())
print(json.dumps(found))
"""


def test_a_sync_imports_what_it_uses(tmp_path: Path) -> None:
    """No other driver, no command's modules, and no HTTP client without a monitor."""
    source = tmp_path / "source.db"
    with closing(sqlite3.connect(source)) as database, database:
        database.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, v TEXT)")
        database.execute("INSERT INTO things VALUES (1, 'a')")
    settings = {
        "SOURCE_URL": f"sqlite:///{source}",
        "DATA_DIR": str(tmp_path / "data"),
        "TABLES": "things:id",
        "VIEWS_DIR": str(tmp_path / "none"),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "code": 0,
        "collects": True,
        "frozen": True,
        "imported": [],
        "with a monitor": ["httpx"],
    }
