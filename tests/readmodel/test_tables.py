"""Which dtypes a column that the statistics need may have."""

import polars as pl
import pytest

from readmodel.tables import ColumnKind


@pytest.mark.parametrize(
    ("kind", "fitting", "others"),
    [
        (
            ColumnKind.INTEGER,
            [pl.Int8(), pl.UInt64()],
            [pl.Float64(), pl.Decimal(4, 2), pl.String(), pl.Boolean()],
        ),
        (
            ColumnKind.NUMBER,
            [pl.Int8(), pl.Float64(), pl.Decimal(4, 2)],
            [pl.Boolean(), pl.String()],
        ),
        (
            ColumnKind.TEXT,
            [pl.String(), pl.Categorical(), pl.Enum(["a"])],
            [pl.Binary(), pl.Int8()],
        ),
        (
            ColumnKind.INSTANT,
            [pl.Datetime("us", "UTC"), pl.Datetime("ms")],
            [pl.Date(), pl.Int64()],
        ),
    ],
)
def test_a_kind_fits_its_dtypes_and_no_others(
    kind: ColumnKind, fitting: list[pl.DataType], others: list[pl.DataType]
) -> None:
    """The source decides the exact dtype."""
    assert [dtype for dtype in fitting + others if kind.fits(dtype)] == fitting
