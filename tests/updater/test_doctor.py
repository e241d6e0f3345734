"""doctor: one line per check, exit code 1 if a sync would fail; with a real MariaDB."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from testbed import schema
from testbed.mariadb import Database
from tests.support.programs import run_updater
from tests.support.servers import StubServer, closed_port
from updater.doctor import _beyond_reading

pytestmark = pytest.mark.external


def checks_of(settings: dict[str, str], code: int) -> dict[str, str]:
    """Return doctor's line per check; the last one if a check has several."""
    done = run_updater(settings, "doctor")
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return {name: f"{mark} {text}" for mark, name, text in lines}


@pytest.fixture
def mysql(database: Database, data_dir: Path) -> dict[str, str]:
    """Settings of an updater with a complete database."""
    with closing(database.connect()) as connection:
        schema.create_mysql(connection)
    return database.environ() | {"DATA_DIR": str(data_dir)}


def test_scripts_get_one_object(mysql: dict[str, str]) -> None:
    """The same checks in the same order; the exit code is the same, too."""
    good = run_updater(mysql, "doctor", "--json")
    assert good.returncode == 0, good.stdout + good.stderr
    found = json.loads(good.stdout)
    assert found["passed"]
    assert {each["outcome"] for each in found["checks"]} <= {"passed", "warning"}
    lines = run_updater(mysql, "doctor").stdout.splitlines()
    assert [each["name"] for each in found["checks"]] == [
        line.split(maxsplit=2)[1] for line in lines
    ]
    bad = run_updater(mysql | {"DB_NAME": "not_there"}, "doctor", "--json")
    assert bad.returncode == 1
    found = json.loads(bad.stdout)
    failed = [each for each in found["checks"] if each["outcome"] == "failed"]
    assert not found["passed"]
    assert "not_there" in failed[0]["text"]


def test_a_good_installation_passes_every_check(
    mysql: dict[str, str], kuma: StubServer, sentry: StubServer
) -> None:
    """Nothing is pushed to the monitors; only their front pages are requested."""
    monitors = {
        "UPTIMEKUMA_PUSH_URL": f"{kuma.url}/api/push/t0ken?status=up",
        "SENTRY_DSN": f"http://key@127.0.0.1:{sentry.port}/7",
        "SENTRY_ENVIRONMENT": "production",
    }
    checks = checks_of(mysql | monitors, code=0)
    assert set(checks) == {
        "settings",
        "database",
        "tables",
        "rights",
        "views",
        "clock",
        "locks",
        "DATA_DIR",
        "space",
        "UptimeKuma",
        "Sentry",
    }
    assert {line[0] for line in checks.values()} == {"✓"}
    assert checks["rights"] == "✓ SELECT only"
    for request in kuma.requests + sentry.requests:
        assert (request.path, request.query) == ("/", [])


def test_rights_beyond_reading_are_a_warning(
    mysql: dict[str, str], database: Database
) -> None:
    """A sync works, so the exit code stays 0."""
    owner = {"DB_USERNAME": database.owner.user, "DB_PASSWORD": database.owner.password}
    checks = checks_of(mysql | owner, code=0)
    assert checks["rights"].startswith("! the user may do more than read")


def test_a_missing_table_and_a_missing_column_fail(
    mysql: dict[str, str], database: Database
) -> None:
    """The lines name them."""
    database.run("DROP TABLE fpp_votes")
    assert "fpp_votes is missing" in checks_of(mysql, code=1)["tables"]
    database.run(
        "ALTER TABLE fpp_rooms DROP COLUMN name", "CREATE TABLE fpp_votes (id INT)"
    )
    done = run_updater(mysql, "doctor")
    assert done.returncode == 1
    assert "fpp_rooms has no column name" in done.stdout
    assert "fpp_votes has no column" in done.stdout


def test_an_unreachable_database_fails_and_the_rest_is_checked(
    mysql: dict[str, str],
) -> None:
    """Each line says what to do."""
    port = str(closed_port())
    checks = checks_of(mysql | {"DB_PORT": port}, code=1)
    assert checks["database"].startswith(f"✗ No database answers at 127.0.0.1:{port}")
    assert checks["DATA_DIR"].startswith("✓")


def test_missing_settings_fail(data_dir: Path) -> None:
    """The line names them."""
    checks = checks_of({"DATA_DIR": str(data_dir)}, code=1)
    assert "DB_HOST, DB_USERNAME, DB_PASSWORD missing" in checks["database"]


def test_a_data_dir_that_is_not_writable_fails(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """Here it is a file, not a folder."""
    (tmp_path / "file").touch()
    checks = checks_of(settings | {"DATA_DIR": str(tmp_path / "file")}, code=1)
    assert checks["DATA_DIR"].startswith("✗")


def test_dead_monitors_are_warnings(settings: dict[str, str]) -> None:
    """A sync works without them."""
    dead = f"127.0.0.1:{closed_port()}"
    monitors = {
        "UPTIMEKUMA_PUSH_URL": f"http://{dead}/api/push/t0ken",
        "SENTRY_DSN": f"http://key@{dead}/7",
        "SENTRY_ENVIRONMENT": "production",
    }
    checks = checks_of(settings | monitors, code=0)
    assert checks["UptimeKuma"] == "! no connection: check UPTIMEKUMA_PUSH_URL"
    assert checks["Sentry"] == "! no connection: check SENTRY_DSN"


def test_a_malformed_push_url_fails(settings: dict[str, str]) -> None:
    """The updater does not start with it."""
    checks = checks_of(settings | {"UPTIMEKUMA_PUSH_URL": "kuma"}, code=1)
    assert checks["UptimeKuma"].startswith("✗ UPTIMEKUMA_PUSH_URL is malformed")


def test_a_malformed_setting_is_one_line(settings: dict[str, str]) -> None:
    """It is reported before any check."""
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
def test_rights_beyond_reading_are_found_in_grants(grant: str, more: set[str]) -> None:
    """In the forms of MySQL and of MariaDB."""
    assert _beyond_reading(grant) == more


def test_columns_that_may_not_be_read_are_a_warning(
    mysql: dict[str, str], database: Database
) -> None:
    """The catalog does not list them, so only their table can be named."""
    user = f"{database.reader.user}@'%'"
    database.run(
        "CREATE TABLE things (id int, secret int)",
        f"REVOKE SELECT ON `{database.name}`.* FROM {user}",
        f"GRANT SELECT (id) ON things TO {user}",
    )
    for table in schema.TABLES:
        database.run(f"GRANT SELECT ON {table} TO {user}")
    checks = checks_of(mysql | {"SYNC_TABLES": "things:id"}, code=0)
    assert checks["columns"].startswith("! only some columns of things may be read")
    done = run_updater(mysql | {"SYNC_TABLES": "things:id"})
    assert "columns without the SELECT right are left out" in done.stderr + done.stdout


def test_how_long_a_sync_locks_tables_is_told(mysql: dict[str, str]) -> None:
    """By the longest run in the log, once there is one."""
    assert "the first sync takes the longest" in checks_of(mysql, code=0)["locks"]
    assert run_updater(mysql).returncode == 0
    assert "the longest run in the log" in checks_of(mysql, code=0)["locks"]
