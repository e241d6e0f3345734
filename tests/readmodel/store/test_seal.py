"""The checksum inside the logs."""

from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from readmodel.store.seal import MARK, require_intact, seal


def parquet(folder: Path) -> bytes:
    """A small Parquet file."""
    pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]}).write_parquet(folder / "f")
    return (folder / "f").read_bytes()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same with a seal."""
    return seal(parquet(tmp_path_factory.mktemp("seal")))


def test_a_sealed_file_is_parquet_for_any_reader(tmp_path: Path, sealed: bytes) -> None:
    """Nobody looks between the data and the footer."""
    (tmp_path / "sealed.parquet").write_bytes(sealed)
    rows = [(1, "x"), (2, None), (3, "z")]
    assert pl.read_parquet(tmp_path / "sealed.parquet").rows() == rows
    found = duckdb.execute(f"FROM '{tmp_path}/sealed.parquet'").fetchall()
    assert found == rows


def test_a_file_of_an_earlier_version_has_no_seal(tmp_path: Path) -> None:
    """It is read without one."""
    require_intact(parquet(tmp_path))
    require_intact(b"")


@given(st.data())
def test_a_flipped_bit_or_a_cut_is_noticed(sealed: bytes, data: st.DataObject) -> None:
    """Except in the mark itself, which says nothing about the rows."""
    require_intact(sealed)
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    if MARK in changed:
        with pytest.raises(ValueError, match="checksum"):
            require_intact(bytes(changed))
    cut = sealed[
        : data.draw(st.integers(sealed.index(MARK) + len(MARK), len(sealed) - 1))
    ]
    with pytest.raises(ValueError, match="checksum"):
        require_intact(cut)
