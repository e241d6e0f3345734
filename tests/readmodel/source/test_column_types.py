"""Declared types are parsed as catalogs write them, and have exact dtypes."""

import polars as pl
import pytest

from readmodel.source.column_types import (
    INTEGER_TYPES,
    DeclaredType,
    bit_dtype,
    decimal_dtype,
    integer_dtype,
)


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("tinyint(1)", pl.Int8),
        ("TINYINT(1) UNSIGNED", pl.UInt8),
        ("tinyint", pl.Int8),
        ("tinyint(4)", pl.Int8),
        ("boolean", pl.Boolean),
        ("smallint(5) unsigned zerofill", pl.UInt16),
        ("mediumint(9)", pl.Int32),
        ("mediumint unsigned", pl.UInt32),
        ("INTEGER", pl.Int32),
        ("bigint(20) unsigned", pl.UInt64),
    ],
)
def test_an_integer_type_has_its_exact_width_and_sign(
    text: str, dtype: pl.DataType
) -> None:
    """The display width, as in TINYINT(1), limits no value."""
    declared = DeclaredType.parse(text)
    assert declared.name in INTEGER_TYPES
    assert integer_dtype(declared) == dtype


@pytest.mark.parametrize("text", ["UNSIGNED BIG INT", "varchar(20)", "point"])
def test_other_types_are_not_integers(text: str) -> None:
    """Even if their name contains INT."""
    assert DeclaredType.parse(text).name not in INTEGER_TYPES


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
    """With more digits than Polars supports it is text."""
    assert decimal_dtype(DeclaredType.parse(text)) == dtype


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("bit", pl.UInt8),
        ("bit(8)", pl.UInt8),
        ("bit(9)", pl.UInt16),
        ("bit(64)", pl.UInt64),
    ],
)
def test_a_bit_type_has_the_smallest_sufficient_integer(
    text: str, dtype: pl.DataType
) -> None:
    """BIT without an argument is one bit long."""
    assert bit_dtype(DeclaredType.parse(text)) == dtype


def test_members_of_an_enum_are_not_parsed_as_attributes_or_arguments() -> None:
    """Even if they contain brackets and the word unsigned."""
    declared = DeclaredType.parse("enum('a) unsigned','b(')")
    assert (declared.name, declared.unsigned) == ("enum", False)


def test_comments_on_storage_are_ignored() -> None:
    """MariaDB adds them to the types in its catalog."""
    for comment in ("/* mariadb-5.3 */", "/* 5.5 binary format */"):
        timestamp, time = f"timestamp {comment}", f"time(2) {comment}"
        assert DeclaredType.parse(timestamp) == DeclaredType("timestamp")
        assert DeclaredType.parse(time) == DeclaredType("time", (2,))
    blob = DeclaredType.parse("blob /*M!100301 COMPRESSED*/")
    assert blob == DeclaredType("blob")
