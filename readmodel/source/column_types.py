"""Declared column types, as MySQL writes them and SQLite repeats them."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Declared:
    """`decimal(4,2) unsigned` as its base, its numbers in brackets, its words."""

    base: str
    numbers: tuple[int, ...] = ()
    unsigned: bool = False

    @classmethod
    def parse(cls, text: str) -> "Declared":
        """Letters may be in any case; what an ENUM lists is left out."""
        base, _, rest = text.lower().partition("(")
        # How it is stored, as in `blob /*M!100301 COMPRESSED*/`: not what it holds.
        base = base.partition("/*")[0]
        inner, _, after = rest.rpartition(")")
        words = base.split()
        kept = [word for word in words if word not in _ATTRIBUTES]
        listed = inner.replace(" ", "").split(",")
        numbers = [int(number) for number in listed if number.isdigit()]
        unsigned = "unsigned" in words + after.split()
        return cls(" ".join(kept), tuple(numbers), unsigned)


_ATTRIBUTES = {"unsigned", "signed", "zerofill"}

_WIDTHS = {
    "tinyint": 8,
    "smallint": 16,
    "mediumint": 32,
    "int": 32,
    "integer": 32,
    "bigint": 64,
}
_BY_WIDTH: dict[tuple[int, bool], pl.DataType] = {
    (8, False): pl.Int8(),
    (16, False): pl.Int16(),
    (32, False): pl.Int32(),
    (64, False): pl.Int64(),
    (8, True): pl.UInt8(),
    (16, True): pl.UInt16(),
    (32, True): pl.UInt32(),
    (64, True): pl.UInt64(),
}
# Polars holds 38 decimal digits, MySQL 65: what is wider stays exact as text.
WIDEST_DECIMAL = 38


def integer(declared: Declared) -> pl.DataType | None:
    """The dtype of an integer type, by its width and sign."""
    if declared.base in ("bool", "boolean"):
        return pl.Boolean()
    width = _WIDTHS.get(declared.base)
    if width is None:
        return None
    if width == 8 and declared.numbers == (1,) and not declared.unsigned:
        return pl.Boolean()
    return _BY_WIDTH[width, declared.unsigned]


def bits(declared: Declared) -> pl.DataType:
    """The smallest unsigned dtype for a BIT of some length."""
    length = declared.numbers[0] if declared.numbers else 1
    return _BY_WIDTH[next(w for w in (8, 16, 32, 64) if w >= length), True]


def decimal(declared: Declared) -> pl.DataType:
    """Exact, as declared; MySQL's default is (10,0)."""
    precision, scale = (*declared.numbers, 10, 0)[:2] if declared.numbers else (10, 0)
    if len(declared.numbers) == 1:
        scale = 0
    return pl.Decimal(precision, scale) if precision <= WIDEST_DECIMAL else pl.String()
