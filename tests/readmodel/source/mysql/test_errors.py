"""The driver's errors become one line that says what to do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mysql.connector.errors import NotSupportedError

from readmodel.source.mysql.errors import translate_errors
from readmodel.source.mysql.server import MysqlServer
from readmodel.source.protocol import PassingFault
from testbed.mariadb import Database
from tests.support.mysql import mirror, mysql_source
from util.errors import SourceError


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"password": "wrong"}, "denied access to reader_.*: check DB_USERNAME and DB_PASSWORD"),
        ({"user": "nobody"}, "denied access to nobody"),
        ({"database": "nowhere"}, "has no database nowhere .*: check DB_NAME"),
        ({"port": 1}, "No database answers at 127.0.0.1:1: check DB_HOST, DB_PORT"),
        ({"host": "nowhere.invalid"}, "No database answers at nowhere.invalid"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(
    database: Database, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    """The message is one line, and never contains the password."""
    wrong = replace(mysql_source(database), **changed)
    with pytest.raises(SourceError, match=message) as raised:
        mirror(wrong, tmp_path)
    assert "\n" not in str(raised.value)
    assert database.reader.password not in str(raised.value) + repr(wrong)


def test_an_unsupported_login_method_is_named() -> None:
    """There is no retry: the driver does not learn the method meanwhile."""
    server = MysqlServer("db.example", 3306, "ed", "secret", "fpp")
    error = NotSupportedError("Authentication plugin 'client_ed25519' is not supported")
    with (
        pytest.raises(
            SourceError,
            match=r"ed cannot log in to db.example:3306: .*ed25519.*caching_sha2_pas",
        ) as raised,
        translate_errors(server, login=True),
    ):
        raise error
    assert not isinstance(raised.value, PassingFault)


@pytest.mark.parametrize("change", ["DROP USER {user}", "DROP TABLE base"])
def test_a_view_that_does_not_work_is_named(
    database: Database, tmp_path: Path, change: str
) -> None:
    """At the login the same error number means a wrong password."""
    user = f"definer_{database.reader.user}@'%'"
    database.run(
        "CREATE TABLE base (id int)",
        f"CREATE USER {user}",
        f"GRANT SELECT ON `{database.name}`.* TO {user}",
        f"CREATE DEFINER={user} VIEW things AS SELECT * FROM base",
    )
    mirror(database, tmp_path)
    database.run(change.format(user=user))
    with pytest.raises(SourceError, match=r"things in .* view") as raised:
        mirror(database, tmp_path)
    assert "DB_PASSWORD" not in str(raised.value)
    database.run(f"DROP USER IF EXISTS {user}")


def test_a_socket_that_does_not_exist_is_named(
    database: Database, tmp_path: Path
) -> None:
    """DB_HOST may be the path of a socket."""
    missing = replace(mysql_source(database), host=str(tmp_path / "no.sock"))
    with pytest.raises(SourceError, match=r"No database answers at .*no.sock: "):
        mirror(missing, tmp_path)
