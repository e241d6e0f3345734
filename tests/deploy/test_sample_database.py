"""deploy.sample_database: fills a real MariaDB for a trial of the containers."""

import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from demo.sample import sample
from demo.schema import COLUMNS
from deploy import sample_database
from testbed.mariadb import Database
from tests.support import preloaded
from tests.support.programs import ROOT, environ, run_updater

pytestmark = pytest.mark.external


def owner_of(database: Database) -> dict[str, str]:
    """The settings with which its owner logs in."""
    owner = database.owner
    return {"DB_USERNAME": owner.user, "DB_PASSWORD": owner.password}


def fill(database: Database, **overrides: str) -> "subprocess.CompletedProcess[str]":
    """Fill *database* as its owner, as compose.yaml does."""
    return preloaded.run(
        ["-m", "deploy.sample_database"],
        timeout=120,
        cwd=ROOT,
        env=environ(database.environ() | owner_of(database) | overrides),
    )


def test_the_updater_mirrors_a_small_sample(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it mirrors the whole one, which takes seconds."""
    part = lambda now: sample(now, 0.01)  # noqa: E731
    monkeypatch.setattr(sample_database, "sample", part)
    for name, value in (database.environ() | owner_of(database)).items():
        monkeypatch.setenv(name, value)
    assert sample_database.main() == 0
    settings = database.environ() | {"DATA_DIR": str(tmp_path), "LOG_FORMAT": "text"}
    done = run_updater(settings)
    assert done.returncode == 0, done.stderr
    assert all(table in done.stderr for table in COLUMNS)


@pytest.mark.long("test_the_updater_mirrors_a_small_sample")
def test_the_updater_mirrors_the_filled_database(
    database: Database, tmp_path: Path
) -> None:
    """The sample has all six tables and about 130,000 rows."""
    assert fill(database).returncode == 0
    settings = database.environ() | {"DATA_DIR": str(tmp_path), "LOG_FORMAT": "text"}
    done = run_updater(settings)
    assert done.returncode == 0, done.stderr
    assert all(table in done.stderr for table in COLUMNS)
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM fpp_estimations")
        assert cursor.fetchone()[0] > 40_000


def test_a_database_in_use_stays_unchanged(database: Database) -> None:
    """A single one of the six tables suffices."""
    database.run("CREATE TABLE fpp_rooms (id INT)")
    done = fill(database)
    assert done.returncode == 0
    assert "nothing was changed" in done.stdout
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        assert cursor.fetchall() == [("fpp_rooms",)]


def test_a_missing_database_is_reported_in_one_line(database: Database) -> None:
    """The container's log shows no traceback."""
    done = fill(database, DB_NAME="nowhere")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
