"""An index beside each part of the stored events: which of some ids it may have.

A drain asks for a thousand ids, of which hardly any is stored. Reading the hashes of all
stored ids for that takes most of its time. The index is a file of

    _MAGIC, the number of `bits`, the number of rows
    2^bits bytes, the filter: two bits in each of two bytes for each hash
    2^(bits - _BLOCK_BITS) + 1 numbers: where each block begins in the last part, and the end
    the 32 bits of each hash that follow its block, in order

The first `bits` of a hash are its bucket. Bucket and last `bits` of a hash are its bytes in the
filter, and the 6 bits beside these are the bits, which are not all set for 99 of 100 other
hashes. Numbers have 32 bits. The filter is read whole, some two bytes a row: a mapped file
would be a page fault for every few hashes, which takes longer. A block is 2^_BLOCK_BITS
buckets. That a hash is taken for a stored one happens once in four billion times, and then
the rows decide.

Nothing depends on an index being there: a part without one is read instead. It is a side
file, see `side_files`.
"""

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import batched, compress
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl

from readmodel.store.event_tables import EVENT_SCHEMA, EVENTS

COLUMN: Final = "id_hash"

_MAGIC: Final = 0x31584449
_HEADER: Final = 12
"""Bytes."""

_BYTES: Final = 4
"""Of a number."""

_LOW: Final = 2**32 - 1
_LEAST_BITS: Final = 13
"""The same for all small parts: where hashes are is worked out once for them."""

_MOST_BITS: Final = 24

_BLOCK_BITS: Final = 7
"""Blocks of so many bits of buckets: of some hundred rows, which are read at once."""

_IS_ZERO: Final = bytes(number == 0 for number in range(256))

_MANY_ROWS: Final = 65_536
"""Rows from which on a filter is made by columns."""

_SCANNED_ROWS_PER_ID: Final = 8
"""Rows that are read in the time in which one id is looked up."""

_LEAST_IDS: Final = 5_000
"""Are looked up in the time in which a file is opened and read."""


type _Bytes = Sequence[tuple[pl.Series, ...]]
"""Pairs of places and masks."""


def version() -> str:
    """The version of the format."""
    return "2"


def applies_to(table: str, columns: Collection[str]) -> bool:
    """True if *table* has events."""
    return table == EVENTS and set(EVENT_SCHEMA) <= set(columns)


def encode(rows: pl.LazyFrame, _table: str) -> bytes:
    """The index of the part with *rows*."""
    hashes = rows.select(pl.col(COLUMN).cast(pl.Int64, strict=False)).collect()
    ordered = hashes[COLUMN].drop_nulls().reinterpret(signed=False).sort()
    bits = min(max(_LEAST_BITS, len(ordered).bit_length()), _MOST_BITS)
    starts, kept, *bytes_of = _columns(ordered, bits)
    make = _filter_by_columns if len(ordered) >= _MANY_ROWS else _filter
    found = make([*batched(bytes_of, 2)], 2**bits)
    header = array("I", (_MAGIC, bits, len(ordered)))
    numbers = (array("I", starts.to_list()), array("I", kept.to_list()))
    return b"".join((header, found, *numbers))


def _filter(bytes_of: _Bytes, size: int) -> bytes:
    """The *size* bytes of the filter, in which the masks are set at their places."""
    found = bytearray(size)
    for places, masks in bytes_of:
        for place, mask in zip(places.to_list(), masks.to_list(), strict=True):
            found[place] |= mask
    return bytes(found)


def _filter_by_columns(bytes_of: _Bytes, size: int) -> bytes:
    """The same, in a third of the time for many rows, and far more for few."""
    nothing = pl.zeros(size, dtype=pl.UInt8, eager=True)
    found = nothing
    for places, masks in bytes_of:
        for bit in range(8):
            chosen = places.filter(masks & (1 << bit) != 0)
            found = found | nothing.clone().scatter(chosen, 1 << bit)
    return bytes(found.to_list())


def _columns(ordered: pl.Series, bits: int) -> Iterable[pl.Series]:
    """Where blocks begin, and of the hashes the kept bits, then both bytes and masks."""
    hashes, block_bits = pl.lit(ordered), bits - _BLOCK_BITS
    numbers = pl.int_range(2**block_bits + 1, dtype=pl.UInt64)
    of_two = pl.lit(pl.Series([1 << bit for bit in range(8)], dtype=pl.UInt8))
    columns = (
        _first_bits(hashes, block_bits).search_sorted(numbers, side="left"),
        _first_bits(hashes, block_bits + 32) % 2**32,
        _first_bits(hashes, bits),
        of_two.gather(_first_bits(hashes, bits + 3) % 8)
        | of_two.gather(_first_bits(hashes, bits + 6) % 8),
        hashes % 2**bits,
        of_two.gather(hashes // 2**bits % 8)
        | of_two.gather(hashes // 2 ** (bits + 3) % 8),
    )
    # One query: two would take twice the time for a small part.
    found = pl.select(
        column.implode().alias(str(number)) for number, column in enumerate(columns)
    )
    return (column[0] for column in found)


def _first_bits(hashes: pl.Expr, count: int) -> pl.Expr:
    return hashes // (1 << (64 - count))


class IdIndex:
    """The index of a part with `rows` rows, in an opened file."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises OSError, and ValueError if it is not an index."""
        self._file = file
        size = file.seek(0, os.SEEK_END)
        magic, self._bits, self.rows = self._numbers(0, 3)
        if magic != _MAGIC or not _LEAST_BITS <= self._bits <= _MOST_BITS:
            raise ValueError("this is not an index of ids")
        self._block_bits = self._bits - _BLOCK_BITS
        self._starts = _HEADER + 2**self._bits
        self._kept = self._starts + _BYTES * (2**self._block_bits + 1)
        if size != self._kept + _BYTES * self.rows:
            raise ValueError("the index of ids is not whole")

    def _read(self, place: int, count: int) -> bytes:
        """*count* bytes from *place* on."""
        self._file.seek(place)
        found = self._file.read(count)
        if len(found) != count:
            raise ValueError("the index of ids ends too early")
        return found

    def _numbers(self, place: int, count: int) -> "memoryview[int]":
        return memoryview(self._read(place, _BYTES * count)).cast("I")

    def is_worth_using(self, count: int) -> bool:
        """True if looking up *count* ids is quicker than reading the part."""
        return count <= _LEAST_IDS + self.rows // _SCANNED_ROWS_PER_ID

    def may_have(self, places: "HashPlaces") -> list[int]:
        """Those of the hashes at *places*, unsigned, that a row of the part may have.

        Raises OSError and ValueError.
        """
        bytes_of, masks = places.of(self._bits)
        count = len(places.hashes)
        content = self._read(_HEADER, 2**self._bits)
        # All at once, as one integer: 1,000 hashes take 50 µs, one by one 250.
        found = int.from_bytes(bytes_of(content))
        missing = found & masks ^ masks
        either = (missing >> 8 * count | missing) & (1 << 8 * count) - 1
        is_passed = either.to_bytes(count).translate(_IS_ZERO)
        starts = self._numbers(self._starts, 2**self._block_bits + 1)
        passed = compress(places.hashes, is_passed)
        return [each for each in passed if self._has_kept(each, starts)]

    def _has_kept(self, each: int, starts: "memoryview[int]") -> bool:
        block = each >> (64 - self._block_bits)
        start, end = starts[block], starts[block + 1]
        if not start <= end <= self.rows:
            raise ValueError("the index of ids is damaged")
        kept = self._numbers(self._kept + _BYTES * start, end - start)
        wanted = each >> (32 - self._block_bits) & _LOW
        place = bisect_left(kept, wanted)
        return place < len(kept) and kept[place] == wanted


type _BytesOf = Callable[[bytes], tuple[int, ...]]


class HashPlaces:
    """Hashes to look up, and where they are in the indexes of parts of any size."""

    def __init__(self, hashes: Sequence[int]) -> None:
        """*hashes* are unsigned, and at least one; in order they are found fastest."""
        self.hashes = hashes
        self._known: dict[int, tuple[_BytesOf, int]] = {}

    def of(self, bits: int) -> tuple[_BytesOf, int]:
        """What gets the first bytes of all hashes and then the second ones, and the masks.

        The masks are bytes of one integer, in the same order.
        """
        found = self._known.get(bits)
        if found is None:
            first = [each >> (64 - bits) for each in self.hashes]
            second = [each & (1 << bits) - 1 for each in self.hashes]
            masks = bytes(
                [
                    1 << (each >> low & 7) | 1 << (each >> low + 3 & 7)
                    for low in (58 - bits, bits)
                    for each in self.hashes
                ]
            )
            found = self._known[bits] = (
                itemgetter(*first, *second),
                int.from_bytes(masks),
            )
        return found


def look_up(
    parts: Iterable[tuple[Path, str]], id_hashes: pl.Series
) -> tuple[list[tuple[Path, pl.Series]], list[Path]]:
    """The parts that may have one of *id_hashes* (Int64), with the hashes they may have.

    *parts* are the files and the paths of their indexes. The second list are the parts to
    read: those without an index, or too small for it.
    """
    places = HashPlaces(id_hashes.reinterpret(signed=False).sort().to_list())
    found: list[tuple[Path, pl.Series]] = []
    to_read: list[Path] = []
    for part, file in parts:
        hits = _hits(file, places)
        if hits is None:
            to_read.append(part)
        elif hits:
            signed = pl.Series(COLUMN, hits, pl.UInt64).reinterpret(signed=True)
            found.append((part, signed))
    return found, to_read


def _hits(file: str, places: HashPlaces) -> list[int] | None:
    """The hashes that the part with the index *file* may have; None: read the part."""
    try:
        with open(file, "rb", buffering=0) as stream:  # noqa: PTH123 - once per part
            index = IdIndex(stream)
            if index.is_worth_using(len(places.hashes)):
                return index.may_have(places)
    except (OSError, ValueError):
        pass  # It is missing, or damaged.
    return None
