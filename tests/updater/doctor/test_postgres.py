"""A real PostgreSQL: rights, kind of server, time-outs and clock."""

from contextlib import closing
from pathlib import Path

import pytest

from testbed import schema
from testbed.postgres import Database
from testbed.schema import POSTGRES
from tests.support.doctor import checks_of


@pytest.fixture
def settings(postgres: Database, data_dir: Path) -> dict[str, str]:
    """Settings of an updater with a complete database."""
    with closing(postgres.connect()) as connection:
        for table in schema.TABLES:
            connection.execute(schema.ddl(table, POSTGRES).encode())
    return postgres.environ() | {"DATA_DIR": str(data_dir)}


def test_a_reader_with_select_passes(settings: dict[str, str]) -> None:
    """The server's version is shown, and for how long the snapshot was open."""
    checks = checks_of(settings, code=0)
    assert checks["tables"] == "✓ all 6 are there, with the columns needed"
    assert checks["rights"] == "✓ SELECT only"
    assert checks["server"].startswith("✓ PostgreSQL 1")
    assert checks["server"].endswith(", a primary")
    assert checks["clock"].startswith("✓ 0.")
    assert checks["snapshot"].startswith("✓ was open for ")
    assert not {"timeout", "standby"} & set(checks)


def test_rights_to_write_and_a_short_time_out_are_warnings(
    settings: dict[str, str], postgres: Database
) -> None:
    """A sync works, so the exit code stays 0."""
    reader = postgres.reader.user
    postgres.run(
        f"GRANT INSERT ON fpp_votes TO {reader}",
        f"ALTER ROLE {reader} SET statement_timeout = '30s'",
    )
    checks = checks_of(settings, code=0)
    assert f"! {reader} may do more than read fpp_votes: grant it" in checks["rights"]
    assert checks["timeout"].startswith("! statement_timeout is 30s")


def test_each_table_that_a_sync_would_miss_is_named(
    settings: dict[str, str], postgres: Database
) -> None:
    """With what to do; the other checks go on."""
    reader = postgres.reader.user
    postgres.run(
        f"REVOKE SELECT ON fpp_votes FROM {reader}",
        "ALTER TABLE fpp_rooms ALTER name TYPE int USING 1",
    )
    checks = checks_of(settings | {"SYNC_TABLES": "sales.orders:id"}, code=1)
    assert checks["tables"].startswith(f"✗ {reader} may not read fpp_votes")
    assert checks["server"].startswith("✓")
