"""A database that is not there, not the right one, or not as a sync needs it."""

from pathlib import Path
from typing import Any

import pytest

from config import Settings
from readmodel.source.connect import source_from_settings
from testbed import schema
from testbed.mariadb import Database
from tests.support.doctor import checks_of
from tests.support.programs import run_updater
from tests.support.servers import closed_port
from updater.doctor.database import _encryption


@pytest.mark.external
def test_an_unreachable_database_fails_and_the_rest_is_checked(
    mysql: dict[str, str],
) -> None:
    """Each line says what to do."""
    port = str(closed_port())
    checks = checks_of(mysql | {"DB_PORT": port}, code=1)
    assert checks["database"].startswith(f"✗ No database answers at 127.0.0.1:{port}")
    assert checks["DATA_DIR"].startswith("✓")


@pytest.mark.external
def test_missing_settings_fail(data_dir: Path) -> None:
    """The line names them."""
    checks = checks_of({"DATA_DIR": str(data_dir)}, code=1)
    assert "DB_HOST, DB_USERNAME, DB_PASSWORD missing" in checks["database"]


@pytest.mark.external
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


@pytest.mark.external
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


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ({"db_host": "10.0.0.5"}, "10.0.0.5:3306"),
        ({"db_host": "db", "db_port": 3307}, "db:3307"),
        ({"db_host": "db", "db_ssl_ca": __file__}, None),
        ({"db_host": "127.0.0.1"}, None),
        ({"db_host": "[::1]"}, None),
        ({"db_host": "localhost"}, None),
        ({"db_host": "/run/mysqld/mysqld.sock"}, None),
        ({"source_url": "mysql://u:p@db/d"}, "db:3306"),
        ({"source_url": "postgresql://u:p@db/d"}, "db:5432"),
        ({"source_url": "postgresql://u:p@db/d?sslmode=require"}, "db:5432"),
        ({"source_url": "postgresql://u:p@db/d?sslmode=verify-full"}, None),
        ({"source_url": "postgresql://u:p@db/d?sslmode=verify-ca"}, None),
        ({"source_url": "postgresql://u:p@db/d", "db_ssl_ca": __file__}, None),
        ({"source_url": "postgresql://u:p@localhost/d"}, None),
        ({"source_url": "postgresql://u:p@localhost/d?hostaddr=10.0.0.5"}, "localhost"),
        ({"source_url": "sqlite:///x.db"}, None),
        ({"tables": "none"}, None),
    ],
)
def test_a_remote_database_that_nothing_proves_is_a_warning(
    values: dict[str, Any], warned: str | None
) -> None:
    """Whoever answers in its place would get what is sent."""
    needed = {"db_username": "u", "db_password": "p"}
    settings = Settings.model_validate(needed | values)
    lines = [str(line) for line in _encryption(source_from_settings(settings))]
    assert len(lines) == (warned is not None)
    for line in lines:
        assert line.startswith("! encryption")
        assert f"nothing proves that {warned}" in line
        assert "set DB_SSL_CA" in line
