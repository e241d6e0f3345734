"""Declared types, as catalogues write them."""

import polars as pl
import pytest

from readmodel.source.column_types import Declared, bits, decimal, integer


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("tinyint(1)", pl.Boolean),
        ("TINYINT(1) UNSIGNED", pl.UInt8),
        ("tinyint", pl.Int8),
        ("tinyint(4)", pl.Int8),
        ("boolean", pl.Boolean),
        ("smallint(5) unsigned zerofill", pl.UInt16),
        ("mediumint(9)", pl.Int32),
        ("mediumint unsigned", pl.UInt32),
        ("INTEGER", pl.Int32),
        ("bigint(20) unsigned", pl.UInt64),
        ("UNSIGNED BIG INT", None),
        ("varchar(20)", None),
        ("point", None),
    ],
)
def test_an_integer_type_has_its_exact_width_and_sign(
    text: str, dtype: pl.DataType | None
) -> None:
    """TINYINT(1) is MySQL's BOOLEAN; what is no integer has none."""
    assert integer(Declared.parse(text)) == dtype


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("decimal(4,2)", pl.Decimal(4, 2)),
        ("DECIMAL(20, 6) UNSIGNED", pl.Decimal(20, 6)),
        ("decimal(5)", pl.Decimal(5, 0)),
        ("decimal", pl.Decimal(10, 0)),
        ("decimal(38,30)", pl.Decimal(38, 30)),
        ("decimal(39,0)", pl.String),
    ],
)
def test_a_decimal_is_exact(text: str, dtype: pl.DataType) -> None:
    """Beyond what Polars holds it stays exact as text."""
    assert decimal(Declared.parse(text)) == dtype


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("bit", pl.UInt8),
        ("bit(8)", pl.UInt8),
        ("bit(9)", pl.UInt16),
        ("bit(64)", pl.UInt64),
    ],
)
def test_bits_have_the_smallest_integer_that_holds_them(
    text: str, dtype: pl.DataType
) -> None:
    """BIT alone is one bit."""
    assert bits(Declared.parse(text)) == dtype


def test_what_an_enum_lists_is_not_taken_for_words_or_numbers() -> None:
    """Even where it lists brackets and the word unsigned."""
    kind = Declared.parse("enum('a) unsigned','b(')")
    assert (kind.base, kind.unsigned) == ("enum", False)


def test_how_it_is_stored_is_no_part_of_a_type() -> None:
    """Servers say it in comments."""
    for comment in ("/* mariadb-5.3 */", "/* 5.5 binary format */"):
        assert Declared.parse(f"timestamp {comment}") == Declared("timestamp")
        assert Declared.parse(f"time(2) {comment}") == Declared("time", (2,))
    assert Declared.parse("blob /*M!100301 COMPRESSED*/") == Declared("blob")
