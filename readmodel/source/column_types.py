"""Column types as declared: parsed text, and the dtypes of integers and decimals."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class DeclaredType:
    """A parsed type: `decimal(4,2) unsigned` has the arguments (4, 2).

    `arguments` has only numbers: the members of an ENUM are left out.
    """

    name: str
    arguments: tuple[int, ...] = ()
    unsigned: bool = False

    @classmethod
    def parse(cls, text: str) -> "DeclaredType":
        """Parse a type as MySQL's catalog or an SQLite declaration spells it."""
        name, _, rest = text.lower().partition("(")
        # Comments tell how values are stored: `blob /*M!100301 COMPRESSED*/`.
        name = name.partition("/*")[0]
        inner, _, after = rest.rpartition(")")
        words = name.split()
        own_words = [word for word in words if word not in _ATTRIBUTES]
        listed = inner.replace(" ", "").split(",")
        arguments = [int(item) for item in listed if item.isdigit()]
        unsigned = "unsigned" in words + after.split()
        return cls(" ".join(own_words), tuple(arguments), unsigned)


_ATTRIBUTES = {"unsigned", "signed", "zerofill"}

_BITS = {
    "tinyint": 8,
    "smallint": 16,
    "mediumint": 32,
    "int": 32,
    "integer": 32,
    "bigint": 64,
}
_BOOLEANS = {"bool", "boolean"}
INTEGER_TYPES = _BITS.keys() | _BOOLEANS

_BY_BITS: Mapping[tuple[int, bool], pl.DataType] = {
    (8, False): pl.Int8(),
    (16, False): pl.Int16(),
    (32, False): pl.Int32(),
    (64, False): pl.Int64(),
    (8, True): pl.UInt8(),
    (16, True): pl.UInt16(),
    (32, True): pl.UInt32(),
    (64, True): pl.UInt64(),
}
# Polars has 38 decimal digits, MySQL 65: wider decimals stay exact as text.
WIDEST_DECIMAL = 38


def integer_dtype(declared: DeclaredType) -> pl.DataType:
    """The dtype of one of INTEGER_TYPES; the display width, as in INT(1), is ignored."""
    if declared.name in _BOOLEANS:
        return pl.Boolean()
    bits = _BITS[declared.name]
    return _BY_BITS[bits, declared.unsigned]


def bit_dtype(declared: DeclaredType) -> pl.DataType:
    """The smallest unsigned dtype for a BIT; without an argument it is one bit long."""
    length = declared.arguments[0] if declared.arguments else 1
    return _BY_BITS[next(bits for bits in (8, 16, 32, 64) if bits >= length), True]


def decimal_dtype(declared: DeclaredType) -> pl.DataType:
    """The exact dtype of a DECIMAL, by default (10,0); String beyond 38 digits."""
    precision, *further = declared.arguments or (10,)
    scale = further[0] if further else 0
    return pl.Decimal(precision, scale) if precision <= WIDEST_DECIMAL else pl.String()
