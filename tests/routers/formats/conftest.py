"""A table with every kind of value that a format might change."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import polars as pl
import pytest

from routers.formats.table import TableAnswer, TableColumn

BERLIN = "Europe/Berlin"
LONG = "🃏" * 40_000
"""80,000 UTF-16 units, and 40,000 characters."""

TEXTS = [
    "plain",
    "",
    "=1+1",
    "\uff1d1+1",
    "http://example.com/",
    "007",
    'a,b;"c"\nd\r\ne\tf',
    "  space  ",
    "é🃏東京\u2028",
    "\x01\x0b\x1f",
    "_x0041_",
    "<r>x & <b>y</b></r>",
    "<r><t>&lt;</t></r>",
    "NaN",
    "null",
    None,
]


@pytest.fixture(scope="session")
def awkward() -> pl.DataFrame:
    """Rows with extremes of every dtype, each column with a null.

    Two names would be patterns to Polars.
    """
    height = len(TEXTS)

    def column(values: Sequence[object], dtype: pl.DataType | None = None) -> pl.Series:
        filled = [*values, *([None] * (height - len(values)))]
        return pl.Series(filled, dtype=dtype, strict=dtype is None)

    instant = dt.datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=dt.UTC)
    return pl.DataFrame(
        {
            "text": pl.Series(TEXTS),
            "integer": column([2**53 + 1, -(2**63), 2**53, 0, -1], pl.Int64()),
            "huge": column([2**64 - 1, 0], pl.UInt64()),
            "decimal": column([Decimal("0.10"), Decimal("-99.99")], pl.Decimal(20, 2)),
            "number": column(
                [
                    *(0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0),
                    *map(float, ("nan", "inf", "-inf", "1")),
                ],
                pl.Float64(),
            ),
            "single": column([0.1, 16777216.0], pl.Float32()),
            "flag": column([True, False], pl.Boolean()),
            "day": column([dt.date(2026, 1, 1), dt.date(1900, 3, 1)], pl.Date()),
            "*": column([dt.date(1899, 12, 31)], pl.Date()),
            "instant": column([instant], pl.Datetime("us", "UTC")),
            "whole": column(
                [instant.replace(microsecond=123000)], pl.Datetime("us", "UTC")
            ),
            "local": column([instant], pl.Datetime("us", BERLIN)),
            "naive": column([instant.replace(tzinfo=None)], pl.Datetime("us")),
            "time": column([dt.time(1, 2, 3, 4)], pl.Time()),
            "length": column([dt.timedelta(hours=25, milliseconds=5)], pl.Duration()),
            "bytes": column([b"\x00\xff"], pl.Binary()),
            "category": column(["=x", "y"], pl.Categorical()),
            "list": column([[1, None], []], pl.List(pl.Int64())),
            "^.*$": column(
                [
                    {
                        "a": Decimal("1.50"),
                        "b": float("nan"),
                        "c": [instant],
                        "d": 'x"',
                    },
                    {"a": None, "b": 0.5, "c": None, "d": None},
                ],
                pl.Struct(
                    {
                        "a": pl.Decimal(10, 2),
                        "b": pl.Float64(),
                        "c": pl.List(pl.Datetime("us", "UTC")),
                        "d": pl.String(),
                    }
                ),
            ),
        }
    )


@pytest.fixture
def table(awkward: pl.DataFrame) -> TableAnswer:
    """`awkward` with definitions."""
    return TableAnswer(
        title="awkward",
        rows=awkward,
        columns=[
            TableColumn("integer", "Counts =things.", "things"),
            TableColumn("instant", "When it happened."),
        ],
        description="One row per awkward value.",
        zone=BERLIN,
        data_updated_at=dt.datetime(2026, 11, 21, 23, 10, tzinfo=dt.UTC),
    )
