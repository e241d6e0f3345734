"""The rights that a user of MySQL or MariaDB has, and how long a sync locks tables."""

import pytest

from testbed.mariadb import Database
from tests.support.doctor import checks_of
from tests.support.programs import run_updater
from updater.doctor.mysql import _beyond_reading


@pytest.mark.external
def test_rights_beyond_reading_are_a_warning(
    mysql: dict[str, str], database: Database
) -> None:
    """A sync works, so the exit code stays 0."""
    owner = {"DB_USERNAME": database.owner.user, "DB_PASSWORD": database.owner.password}
    checks = checks_of(mysql | owner, code=0)
    assert checks["rights"].startswith("! the user may do more than read")


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


@pytest.mark.external
def test_how_long_a_sync_locks_tables_is_told(mysql: dict[str, str]) -> None:
    """By the longest run in the log, once there is one."""
    assert "the first sync takes the longest" in checks_of(mysql, code=0)["locks"]
    assert run_updater(mysql).returncode == 0
    assert "the longest run in the log" in checks_of(mysql, code=0)["locks"]
