"""From settings to a source and to the tables."""

from pathlib import Path

import pytest

from config import load
from readmodel.source.connect import source_of, tables_of
from readmodel.source.mysql.source import MysqlSource
from readmodel.source.protocol import Source
from readmodel.source.sqlite import SqliteSource
from readmodel.tables import TABLES, Table
from util.errors import SettingsError

PARTS = {"DB_HOST": "h", "DB_USERNAME": "u", "DB_PASSWORD": "p"}


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        (PARTS, MysqlSource("h", 3306, "u", "p", "free-planning-poker")),
        (PARTS | {"DB_PORT": "1", "DB_NAME": "d"}, MysqlSource("h", 1, "u", "p", "d")),
        ({"SOURCE_URL": "mysql://u:p%40s@h:7/d%20b"}, MysqlSource("h", 7, "u", "p@s", "d b")),
        ({"SOURCE_URL": "mariadb://u@h/d"}, MysqlSource("h", 3306, "u", "", "d")),
        ({"SOURCE_URL": "sqlite:///a/b.db"}, SqliteSource(Path("a/b.db"))),
        ({"SOURCE_URL": "sqlite:////a/b%20c.db"}, SqliteSource(Path("/a/b c.db"))),
    ],
)  # fmt: skip
def test_settings_name_a_source(settings: dict[str, str], source: Source) -> None:
    """By parts or by URL; a URL wins."""
    assert source_of(load(settings)) == source
    assert source_of(load(PARTS | settings)) == source


@pytest.mark.parametrize("interval", ["2", "60", "600", "86400"])
def test_a_frozen_server_is_given_up_within_the_interval(interval: str) -> None:
    """And after five minutes at most."""
    source = source_of(load(PARTS | {"SYNC_INTERVAL_SECONDS": interval}))
    assert isinstance(source, MysqlSource)
    assert source.read_seconds == min(300, int(interval) // 2)
    assert source.connect_seconds == min(10, int(interval) // 2)


def test_further_tables_are_mirrored_beside_the_statistics_own() -> None:
    """Each with its sync column; a table of ours keeps what is said of it here."""
    found = tables_of(load({"SYNC_TABLES": "orders:id, customers : created_at,"}))
    assert found[:2] == [Table("orders", "id"), Table("customers", "created_at")]
    assert found[2:] == list(TABLES.values())
    assert tables_of(load({"SYNC_TABLES": "fpp_votes:voted_at"})) == [
        TABLES["fpp_votes"],
        *(table for name, table in TABLES.items() if name != "fpp_votes"),
    ]


@pytest.mark.parametrize(
    "given", ["orders", "orders:", ":id", "../x:id", " ,orders:id"]
)
def test_a_malformed_list_of_tables_is_named(given: str) -> None:
    """With an example of what it should be."""
    with pytest.raises(SettingsError, match="SYNC_TABLES is malformed: .*orders:id,"):
        tables_of(load({"SYNC_TABLES": given}))


def test_an_authority_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Before anything is connected."""
    with pytest.raises(SettingsError, match="DB_SSL_CA names .*, which is no file"):
        source_of(load(PARTS | {"DB_SSL_CA": str(tmp_path / "ca.pem")}))
