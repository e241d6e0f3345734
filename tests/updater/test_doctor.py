"""doctor: one line per check, exit 1 for what would stop a sync; a real MariaDB."""

from contextlib import closing
from pathlib import Path

import pytest

from testbed import schema
from testbed.mariadb import Database
from tests.support.programs import run_updater
from tests.support.servers import StubServer, closed_port
from updater.doctor import _beyond_reading


def found(settings: dict[str, str], code: int) -> dict[str, str]:
    """What doctor says per check; the last line of a check counts."""
    done = run_updater(settings, "doctor")
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return {name: f"{mark} {text}" for mark, name, text in lines}


@pytest.fixture
def mysql(database: Database, data_dir: Path) -> dict[str, str]:
    """An updater of a database that has all it needs."""
    with closing(database.connect()) as connection:
        schema.create_mysql(connection)
    return database.environ() | {"DATA_DIR": str(data_dir)}


def test_a_good_installation_passes_every_check(
    mysql: dict[str, str], kuma: StubServer, sentry: StubServer
) -> None:
    """And neither monitor is told anything."""
    given = {
        "UPTIMEKUMA_PUSH_URL": f"{kuma.url}/api/push/t0ken?status=up",
        "SENTRY_DSN": f"http://key@127.0.0.1:{sentry.port}/7",
        "SENTRY_ENVIRONMENT": "production",
    }
    checks = found(mysql | given, code=0)
    assert set(checks) == {
        "settings",
        "database",
        "tables",
        "rights",
        "clock",
        "DATA_DIR",
        "space",
        "UptimeKuma",
        "Sentry",
    }
    assert {line[0] for line in checks.values()} == {"✓"}
    assert checks["rights"] == "✓ SELECT only"
    for request in kuma.requests + sentry.requests:
        assert (request.path, request.query) == ("/", [])


def test_more_rights_than_reading_are_a_warning(
    mysql: dict[str, str], database: Database
) -> None:
    """A sync works, so the exit code stays 0."""
    owner = {"DB_USERNAME": database.owner.user, "DB_PASSWORD": database.owner.password}
    checks = found(mysql | owner, code=0)
    assert checks["rights"].startswith("! the user may do more than read")


def test_a_missing_table_and_a_missing_column_stop_it(
    mysql: dict[str, str], database: Database
) -> None:
    """Both are named."""
    database.run("DROP TABLE fpp_votes")
    assert "fpp_votes is missing" in found(mysql, code=1)["tables"]
    database.run(
        "ALTER TABLE fpp_rooms DROP COLUMN name", "CREATE TABLE fpp_votes (id INT)"
    )
    done = run_updater(mysql, "doctor")
    assert done.returncode == 1
    assert "fpp_rooms has no column name" in done.stdout
    assert "fpp_votes has no column" in done.stdout


def test_a_database_that_is_not_there_stops_it_and_the_rest_is_checked(
    mysql: dict[str, str],
) -> None:
    """Each line says what to do."""
    port = str(closed_port())
    checks = found(mysql | {"DB_PORT": port}, code=1)
    assert checks["database"].startswith(f"✗ No database answers at 127.0.0.1:{port}")
    assert checks["DATA_DIR"].startswith("✓")


def test_missing_settings_stop_it(data_dir: Path) -> None:
    """They are named."""
    checks = found({"DATA_DIR": str(data_dir)}, code=1)
    assert "DB_HOST, DB_USERNAME, DB_PASSWORD missing" in checks["database"]


def test_a_data_dir_that_cannot_be_written_to_stops_it(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """Here a file stands where the folder should be."""
    (tmp_path / "file").touch()
    checks = found(settings | {"DATA_DIR": str(tmp_path / "file")}, code=1)
    assert checks["DATA_DIR"].startswith("✗")


def test_dead_monitors_are_warnings(settings: dict[str, str]) -> None:
    """A sync works without them."""
    dead = f"127.0.0.1:{closed_port()}"
    given = {
        "UPTIMEKUMA_PUSH_URL": f"http://{dead}/api/push/t0ken",
        "SENTRY_DSN": f"http://key@{dead}/7",
        "SENTRY_ENVIRONMENT": "production",
    }
    checks = found(settings | given, code=0)
    assert checks["UptimeKuma"] == "! no connection: check UPTIMEKUMA_PUSH_URL"
    assert checks["Sentry"] == "! no connection: check SENTRY_DSN"


def test_a_malformed_push_url_stops_it(settings: dict[str, str]) -> None:
    """The updater does not start with it."""
    checks = found(settings | {"UPTIMEKUMA_PUSH_URL": "kuma"}, code=1)
    assert checks["UptimeKuma"].startswith("✗ UPTIMEKUMA_PUSH_URL is malformed")


def test_a_malformed_setting_is_one_line(settings: dict[str, str]) -> None:
    """It is said before anything is checked."""
    done = run_updater(settings | {"DB_PORT": "x"}, "doctor")
    assert done.returncode == 1
    assert "DB_PORT is malformed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("grant", "more"),
    [
        ("GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*A'", set()),
        ("GRANT SELECT ON `d`.* TO `u`@`%`", set()),
        ("GRANT SELECT (`a`, `b`), SHOW VIEW ON `d`.`t` TO `u`@`%`", set()),
        ("GRANT SELECT, INSERT (`a`, `b`) ON `d`.`t` TO `u`@`%`", {"INSERT"}),
        ("GRANT ALL PRIVILEGES ON `d`.* TO `u`@`%`", {"ALL PRIVILEGES"}),
        ("GRANT SELECT ON `d`.* TO `u`@`%` WITH GRANT OPTION", {"GRANT OPTION"}),
        ("GRANT `reader`@`%` TO `u`@`%`", set()),
    ],
)
def test_grants_are_read_as_the_server_writes_them(grant: str, more: set[str]) -> None:
    """MySQL and MariaDB alike."""
    assert _beyond_reading(grant) == more
