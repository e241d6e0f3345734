"""A table as declared: refused when the statistics would miss a column."""

from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from readmodel.source.blocking import KeyBounds, block_width
from readmodel.source.sqlite.source import SqliteSource
from readmodel.sync.table_spec import TableSpec, table_spec
from readmodel.tables import ColumnKind, Table
from util.errors import SourceError


@pytest.fixture
def source(tmp_path: Path) -> SqliteSource:
    """A database with one sparse table, `things`."""
    path = tmp_path / "source.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE things (id BIGINT, name TEXT, at DATETIME)")
        connection.execute(
            "INSERT INTO things VALUES (1, 'a', NULL), (1 << 40, 'b', NULL)"
        )
        connection.commit()
    return SqliteSource(path)


def spec_of(
    source: SqliteSource,
    key: str = "id",
    needs: dict[str, ColumnKind] | None = None,
    stored_width: int | None = None,
) -> TableSpec:
    """The specification of `things`."""
    with source.view() as view:
        return table_spec(view, Table("things", key, needs or {}), stored_width)


def test_columns_are_recorded_with_their_dtypes_in_order(source: SqliteSource) -> None:
    """As the manifest spells them."""
    spec = spec_of(source, needs={"name": ColumnKind.TEXT})
    assert spec.name == "things"
    assert list(spec.stored_columns.items()) == [
        ("id", "Int64"),
        ("name", "String"),
        ("at", "Datetime"),
    ]


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ({"more": ColumnKind.TEXT}, "things has no column more, which is needed"),
        ({"name": ColumnKind.NUMBER}, "things.name holds String, but must be a number"),
    ],
)
def test_a_needed_column_is_named_when_missing_or_unsuitable(
    source: SqliteSource, needs: dict[str, ColumnKind], reason: str
) -> None:
    """Before anything is fetched."""
    with pytest.raises(SourceError, match=reason):
        spec_of(source, needs=needs)


def test_sparse_ids_are_cut_wider_and_stay_cut_as_they_were() -> None:
    """The number of blocks follows the rows, and does not jump with estimates."""
    assert block_width(KeyBounds(1, 10_000_000, 10_000_000), None) == 16_384
    assert block_width(KeyBounds(1, 10_000_000, 2_000_000), None) == 16_384
    wide = block_width(KeyBounds(0, 2**63, 1_000_000), None)
    assert 2**63 // wide <= 4 * 1_000_000 // 16_384 + 256
    assert block_width(KeyBounds(0, 2**63, 300_000), wide) == wide
    assert block_width(KeyBounds(1, 10_000_000, 10_000_000), wide) == 16_384


def test_blocks_of_sparse_ids_are_wide_and_keep_their_stored_width(
    source: SqliteSource,
) -> None:
    """Another width would mean to fetch every row."""
    width = spec_of(source).blocking.width
    assert width > 16_384
    assert spec_of(source, stored_width=2 * width).blocking.width == 2 * width
    assert spec_of(source, "at", stored_width=5).blocking.width == 86_400
