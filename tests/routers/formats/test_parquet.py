"""Parquet files, read back: the same rows and dtypes, with their definitions."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from routers.formats.parquet import read_context, write_parquet
from routers.formats.table import TableAnswer


@pytest.mark.parametrize("lazy", [False, True])
def test_a_file_has_the_same_rows_and_dtypes(
    awkward: pl.DataFrame, tmp_path: Path, lazy: bool
) -> None:
    """Nested values, NaN and time zones, too."""
    rows = awkward.lazy() if lazy else awkward
    file = tmp_path / "rows.parquet"
    write_parquet(TableAnswer("x", rows), file)
    assert_frame_equal(pl.read_parquet(file), awkward, check_exact=True)


def test_definitions_are_in_the_metadata(table: TableAnswer, tmp_path: Path) -> None:
    """As one JSON object, and per column for tools that show keys and values."""
    file = tmp_path / "rows.parquet"
    write_parquet(table, file)
    metadata = pl.read_parquet_metadata(file)
    assert metadata["integer.unit"] == "things"
    assert metadata["instant.meaning"] == "When it happened."
    assert read_context(file) == table.context()
