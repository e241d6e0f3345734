"""Names of dtypes: every dtype that a mirror can have survives its name."""

import polars as pl
import pytest

from readmodel.dtypes import INSTANT, dtype_name, parse_dtype


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Binary(),
        pl.Boolean(),
        pl.Date(),
        INSTANT,
        pl.Decimal(38, 10),
        pl.Duration("us"),
        pl.Float32(),
        pl.Float64(),
        pl.Int8(),
        pl.Int64(),
        pl.UInt16(),
        pl.UInt64(),
        pl.String(),
    ],
)
def test_a_dtype_survives_its_name(dtype: pl.DataType) -> None:
    """snapshot.json records the exact dtype."""
    assert parse_dtype(dtype_name(dtype)) == dtype


def test_an_unknown_name_is_refused() -> None:
    """With the name in the error."""
    with pytest.raises(ValueError, match="unknown dtype 'Object'"):
        parse_dtype("Object")


def test_a_dtype_that_no_source_yields_has_no_name() -> None:
    """Timestamps in another time zone than UTC, for example."""
    with pytest.raises(KeyError):
        dtype_name(pl.Datetime("us", "Europe/Berlin"))
