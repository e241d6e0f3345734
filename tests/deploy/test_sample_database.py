"""The sample for trying the containers out, in a real MariaDB."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from demo.database import COLUMNS
from testbed.mariadb import Database
from tests.support.programs import ROOT, environ, run_updater


def fill(database: Database, **more: str) -> "subprocess.CompletedProcess[str]":
    """Fill *database* as the owner that the compose file names."""
    owner = {"DB_USERNAME": database.owner.user, "DB_PASSWORD": database.owner.password}
    return subprocess.run(
        [sys.executable, "-m", "deploy.sample_database"],
        cwd=ROOT,
        env=environ(database.environ() | owner | more),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_fills_what_the_updater_then_mirrors(
    database: Database, tmp_path: Path
) -> None:
    """All six tables, about 130,000 rows."""
    assert fill(database).returncode == 0
    settings = database.environ() | {"DATA_DIR": str(tmp_path), "LOG_FORMAT": "text"}
    done = run_updater(settings)
    assert done.returncode == 0, done.stderr
    assert all(table in done.stderr for table in COLUMNS)
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM fpp_estimations")
        assert cursor.fetchone()[0] > 40_000


def test_it_never_touches_a_database_in_use(database: Database) -> None:
    """One table of the six is enough to leave everything alone."""
    database.run("CREATE TABLE fpp_rooms (id INT)")
    done = fill(database)
    assert done.returncode == 0
    assert "nothing was changed" in done.stdout
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        assert cursor.fetchall() == [("fpp_rooms",)]


def test_a_database_that_is_not_there_is_one_line(database: Database) -> None:
    """Without a traceback, since people see it in the container's log."""
    done = fill(database, DB_NAME="nowhere")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
