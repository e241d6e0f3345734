"""TABLES and SYNC_TABLES: which tables are mirrored, and what is refused."""

import csv
import io
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import load
from readmodel.source.connect import source_from_settings, tables_from_settings
from readmodel.source.no_database import NoDatabase
from readmodel.tables import TABLES, Table
from util.errors import SettingsError
from util.setting_values import TableKey, parse_tables

WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    min_size=1,
    max_size=20,
)
"""Names of tables and columns, of any character that a database may allow."""


def names(environ: Mapping[str, str]) -> list[str]:
    """The tables that the settings mirror, as ``name:key``."""
    return [
        f"{table.name}:{table.key}" for table in tables_from_settings(load(environ))
    ]


def test_tables_replaces_the_tables_of_the_statistics() -> None:
    """SYNC_TABLES adds to either."""
    chosen = {"TABLES": "players:id, rounds:started_at"}
    assert names(chosen) == ["players:id", "rounds:started_at"]
    assert names(chosen | {"SYNC_TABLES": "teams:id"})[0] == "teams:id"
    assert len(names({"SYNC_TABLES": "teams:id"})) == 1 + len(TABLES)


@pytest.mark.parametrize("none", ["none", " None "])
def test_none_mirrors_no_table_and_needs_no_database(none: str) -> None:
    """With SYNC_TABLES it mirrors those alone, and needs one. A table may be so called."""
    assert names({"TABLES": none}) == []
    assert source_from_settings(load({"TABLES": none})) == NoDatabase()
    assert names({"TABLES": none, "SYNC_TABLES": "teams:id"}) == ["teams:id"]
    with pytest.raises(SettingsError, match="DB_HOST"):
        source_from_settings(load({"TABLES": none, "SYNC_TABLES": "teams:id"}))
    assert names({"TABLES": "none:id"}) == ["none:id"]


def test_some_tables_of_the_statistics_need_no_columns() -> None:
    """Statistics are there with all of them only; then their columns are checked."""
    some = tables_from_settings(load({"TABLES": "fpp_votes:id"}))
    assert some == [Table("fpp_votes", "id")]
    every = ",".join(f"{table.name}:{table.key}" for table in TABLES.values())
    found = tables_from_settings(load({"TABLES": every, "SYNC_TABLES": "teams:id"}))
    assert found == [Table("teams", "id"), *TABLES.values()]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"TABLES": "a:id,b:id,a:k"}, "TABLES is malformed: a is named twice: a:id"),
        ({"SYNC_TABLES": "a:id,a:id"}, "SYNC_TABLES is malformed: a is named twice"),
        ({"TABLES": "a:id", "SYNC_TABLES": "a:k"}, "give a two sync columns, k and id"),
        ({"SYNC_TABLES": "fpp_votes:at"}, "fpp_votes:at, but that table's .* is id"),
        ({"TABLES": "fpp_users:id"}, "fpp_users:id, but that .* is created_at"),
        ({"TABLES": ","}, "TABLES is malformed: .*none mirrors no table"),
        ({"TABLES": "none,a:id"}, "TABLES is malformed: 'none' is not table:column"),
        ({"TABLES": "a:id,b:id:x"}, "TABLES is malformed: 'b:id:x' is not table:col"),
        ({"TABLES": "a:id,,b:id"}, "TABLES is malformed: '' is not table:column"),
        ({"TABLES": '"a"x:id'}, "TABLES is malformed: quotes do not match"),
        ({"TABLES": '"a,b:id'}, "TABLES is malformed: .*quote"),
        ({"TABLES": 'a"b:id'}, "TABLES is malformed: .*quote"),
        ({"TABLES": '"a\0b":id'}, "TABLES is malformed: .*without NUL"),
        ({"TABLES": f"{'a' * 201}:id"}, "TABLES is malformed: .*at most 200 bytes"),
        ({"TABLES": f"{'/' * 67}:id"}, "TABLES is malformed: .*count as 3"),
        ({"TABLES": "\udcff:id"}, "TABLES is malformed: .*UTF-8"),
    ],
)
def test_conflicts_are_refused_with_one_line(
    environ: Mapping[str, str], message: str
) -> None:
    """It names the setting and the table."""
    with pytest.raises(SettingsError, match=message) as raised:
        names(environ)
    assert "\n" not in str(raised.value)


def test_a_table_may_be_named_by_both_settings_with_one_sync_column() -> None:
    """It is mirrored once."""
    assert names({"TABLES": "a:id", "SYNC_TABLES": "a:id"}) == ["a:id"]
    assert len(names({"SYNC_TABLES": "fpp_votes:id"})) == len(TABLES)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ('"a,b":id', ("a,b", "id")),
        ('"x:y":"k,1"', ("x:y", "k,1")),
        (' "a""b" : id ,', ('a"b', "id")),
        (" a : b \n , \n", ("a", "b")),
        ('"a":"b,"', ("a", "b,")),
        ('"a"" : ""b":id', ('a" : "b', "id")),
        ("sales.orders:id", ("sales.orders", "id")),
        ("my table:my key", ("my table", "my key")),
        ('"../x":id', ("../x", "id")),
    ],
)
def test_names_are_quoted_as_in_csv(text: str, table: tuple[str, str]) -> None:
    """Blanks around commas and colons do not count."""
    assert parse_tables(text) == (table,)


@given(st.lists(st.tuples(WORDS, WORDS), unique_by=lambda table: table[0]))
def test_any_name_can_be_written(tables: list[tuple[str, str]]) -> None:
    """A CSV writer quotes both words; they are read as they were."""
    written = ",".join(f"{_quoted(name)}:{_quoted(key)}" for name, key in tables)
    assert parse_tables(written) == tuple(TableKey(*table) for table in tables)


def _quoted(word: str) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="").writerow([word])
    return text.getvalue()
