"""Settings name the source and the tables."""

from pathlib import Path

import pytest

from config import load
from readmodel.source.connect import source_from_settings, tables_from_settings
from readmodel.source.mysql.source import MysqlSource
from readmodel.source.postgres.source import PostgresSource
from readmodel.source.protocol import Source
from readmodel.source.sqlite.source import SqliteSource
from readmodel.tables import TABLES, Table
from util.errors import SettingsError
from util.redaction import redact

PARTS = {"DB_HOST": "h", "DB_USERNAME": "u", "DB_PASSWORD": "p"}


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        (PARTS, MysqlSource("h", 3306, "u", "p", "free-planning-poker")),
        (PARTS | {"DB_PORT": "1", "DB_NAME": "d"}, MysqlSource("h", 1, "u", "p", "d")),
        ({"SOURCE_URL": "mysql://u:p%40s@h:7/d%20b"}, MysqlSource("h", 7, "u", "p@s", "d b")),
        ({"SOURCE_URL": "mariadb://u@h/d"}, MysqlSource("h", 3306, "u", "", "d")),
        ({"SOURCE_URL": "postgresql://u:p%2F%3F%23@h/d%20b"}, PostgresSource("h", 5432, "u", "p/?#", "d b")),
        ({"SOURCE_URL": "postgres://u@[::1]:7/d"}, PostgresSource("::1", 7, "u", "", "d")),
        ({"SOURCE_URL": "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=/a%20b"},
         PostgresSource("h", 5432, "u", "p", "d", {"sslmode": "verify-full", "sslrootcert": "/a b"})),
        ({"SOURCE_URL": "sqlite:///a/b.db"}, SqliteSource(Path("a/b.db"))),
        ({"SOURCE_URL": "sqlite:////a/b%20c.db"}, SqliteSource(Path("/a/b c.db"))),
    ],
)  # fmt: skip
def test_settings_name_a_source(settings: dict[str, str], source: Source) -> None:
    """By parts or by URL; the URL has precedence."""
    assert source_from_settings(load(settings)) == source
    assert source_from_settings(load(PARTS | settings)) == source


@pytest.mark.parametrize("interval", ["2", "60", "600", "86400"])
def test_the_read_timeout_is_half_the_sync_interval(interval: str) -> None:
    """It is at most five minutes, so a frozen server ends the run before the next."""
    source = source_from_settings(load(PARTS | {"SYNC_INTERVAL_SECONDS": interval}))
    assert isinstance(source, MysqlSource)
    assert source.read_seconds == min(300, int(interval) // 2)
    assert source.connect_seconds == min(10, int(interval) // 2)
    url = {"SOURCE_URL": "postgresql://u:p@h/d", "SYNC_INTERVAL_SECONDS": interval}
    other = source_from_settings(load(url))
    assert isinstance(other, PostgresSource)
    assert other.read_seconds == source.read_seconds
    assert other.connect_seconds == max(2, source.connect_seconds), "libpq's least"


def test_an_authority_is_trusted_alone_unless_the_url_says_otherwise(
    tmp_path: Path,
) -> None:
    """DB_SSL_CA means encryption, a certificate of that authority, and the host's name."""
    authority = tmp_path / "ca.pem"
    authority.touch()
    verified = {"sslmode": "verify-full", "sslrootcert": str(authority)}
    url = "postgresql://u:p@h/d"
    for parameters, options in (
        ("", verified),
        ("?sslmode=verify-ca", verified | {"sslmode": "verify-ca"}),
    ):
        settings = {"SOURCE_URL": url + parameters, "DB_SSL_CA": str(authority)}
        source = source_from_settings(load(settings))
        assert isinstance(source, PostgresSource)
        assert source.options == options


@pytest.mark.parametrize("parameter", ["options", "password", "dbname", "nonsense"])
def test_a_parameter_that_would_change_what_is_read_is_refused(parameter: str) -> None:
    """The message names it, and those that there are."""
    url = f"postgresql://u:p@h/d?{parameter}=hush"
    with pytest.raises(
        SettingsError, match=f"SOURCE_URL has the parameter {parameter}, .*sslmode"
    ) as told:
        source_from_settings(load({"SOURCE_URL": url}))
    assert "hush" not in str(told.value)


def test_a_missing_driver_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before a connection is opened."""
    monkeypatch.setattr("readmodel.source.connect.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="uv sync --extra postgres"):
        source_from_settings(load({"SOURCE_URL": "postgresql://u:p@h/d"}))


def test_further_tables_are_mirrored_with_those_of_the_statistics() -> None:
    """Each with its sync column."""
    found = tables_from_settings(
        load({"SYNC_TABLES": "orders:id, customers : created_at,"})
    )
    assert found[:2] == [Table("orders", "id"), Table("customers", "created_at")]
    assert found[2:] == list(TABLES.values())


@pytest.mark.parametrize(
    "value", ["orders", "orders:", ":id", "a:id:b", "a:id,,b:id", " ,orders:id"]
)
def test_a_malformed_list_of_tables_is_named(value: str) -> None:
    """The message contains an example."""
    with pytest.raises(SettingsError, match=r"SYNC_TABLES is malformed: .*orders:id,"):
        tables_from_settings(load({"SYNC_TABLES": value}))


def test_a_missing_certificate_authority_is_named(tmp_path: Path) -> None:
    """Before a connection is opened."""
    with pytest.raises(SettingsError, match=r"DB_SSL_CA names .*, which is not a file"):
        source_from_settings(load(PARTS | {"DB_SSL_CA": str(tmp_path / "ca.pem")}))


@pytest.mark.parametrize(
    ("character", "escape"), [("/", "%2F"), ("#", "%23"), ("?", "%3F")]
)
def test_a_password_that_is_not_encoded_is_explained(
    character: str, escape: str
) -> None:
    """The message shows no part of it."""
    url = f"mysql://user:pa{character}ss@host:3306/db"
    with pytest.raises(
        SettingsError, match=f"write {character} as {escape}".replace("?", r"\?", 1)
    ) as raised:
        source_from_settings(load({"SOURCE_URL": url}))
    assert "ss@" not in str(raised.value)
    source = source_from_settings(
        load({"SOURCE_URL": url.replace(f"pa{character}", f"pa{escape}")})
    )
    assert source == MysqlSource("host", 3306, "user", f"pa{character}ss", "db")


def test_the_forms_of_an_address_can_be_logged() -> None:
    """Nothing in them looks like a password, which would be hidden."""
    with pytest.raises(SettingsError) as caught:
        source_from_settings(load({"SOURCE_URL": "postgres://"}))
    message = str(caught.value)
    assert "postgresql://user@host:5432/database" in message
    assert redact(message) == message
