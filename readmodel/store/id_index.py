"""An index beside each part of the stored events: which of some ids it may have.

A drain asks for a thousand ids, of which hardly any is stored. Reading the hashes of all
stored ids for that takes most of its time. The index is a file of unsigned integers of 32
bits, which is mapped into memory:

    _MAGIC, the number of `bits`, the number of rows
    2^bits words: a bit for each hash in the bucket
    2^bits + 1 numbers: where each bucket begins in the last part, and the end
    the 32 bits of each hash that follow its bucket, in order

The first `bits` of a hash are its bucket, the next 5 the bit of the bucket's word: it is not
set for nine of ten other hashes. That a hash is taken for a stored one happens once in four
billion times, and then the rows decide.

Nothing depends on an index being there: a part without one is read instead. It is a side
file, see `side_files`.
"""

import mmap
import os
from array import array
from collections.abc import Collection, Iterable, Sequence
from itertools import compress
from operator import and_, itemgetter
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.store.event_tables import EVENT_SCHEMA, EVENTS

COLUMN: Final = "id_hash"

_MAGIC: Final = 0x31584449
_HEADER: Final = 3
_LOW: Final = 2**32 - 1
_MOST_BITS: Final = 24

_SCANNED_ROWS_PER_ID: Final = 8
"""Rows that are read in the time in which one id is looked up."""

_LEAST_IDS: Final = 5_000
"""Are looked up in the time in which a file is opened and read."""


def version() -> str:
    """The version of the format."""
    return "1"


def applies_to(table: str, columns: Collection[str]) -> bool:
    """True if *table* has events."""
    return table == EVENTS and set(EVENT_SCHEMA) <= set(columns)


def encode(rows: pl.LazyFrame, _table: str) -> bytes:
    """The index of the part with *rows*."""
    hashes = rows.select(pl.col(COLUMN).cast(pl.Int64, strict=False)).collect()
    ordered = hashes[COLUMN].drop_nulls().reinterpret(signed=False).sort()
    bits = min(max(1, len(ordered).bit_length() - 2), _MOST_BITS)
    # One query: a series at a time would take as long for a small part as all of it.
    columns = pl.select(
        column.cast(pl.UInt64).implode() for column in _columns(pl.lit(ordered), bits)
    )
    content = array("I", (_MAGIC, bits, len(ordered)))
    for column in columns:
        content.extend(array("I", column.explode().to_list()))
    return content.tobytes()


def _columns(hashes: pl.Expr, bits: int) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """The words, the beginnings of the buckets and the kept bits of *hashes*, in order.

    A word is the sum of its bits: a difference of the sums up to the buckets' beginnings.
    """
    buckets = pl.int_range(2**bits + 1, dtype=pl.UInt64)
    starts = (hashes // 2 ** (64 - bits)).search_sorted(buckets, side="left")
    numbers = hashes // 2 ** (59 - bits)
    is_new = numbers.ne_missing(numbers.shift())
    of_two = pl.lit(pl.Series([1 << bit for bit in range(32)], dtype=pl.UInt64))
    masks = of_two.gather(numbers % 32) * is_new
    sums = pl.lit(0, pl.UInt64).append(masks.cum_sum())
    words = sums.gather(starts).diff(null_behavior="drop")
    kept = hashes // 2 ** (32 - bits) % 2**32
    return words.alias("words"), starts.alias("starts"), kept.alias("kept")


class IdIndex:
    """The opened index of a part with `rows` rows."""

    def __init__(self, content: "memoryview[int]") -> None:
        """Raises ValueError if it is not an index."""
        magic, self._bits, self.rows = content[:_HEADER]
        if magic != _MAGIC or not 0 < self._bits <= _MOST_BITS:
            raise ValueError("this is not an index of ids")
        starts = _HEADER + 2**self._bits
        kept = starts + 2**self._bits + 1
        if len(content) != kept + self.rows:
            raise ValueError("the index of ids is not whole")
        self._words = content[_HEADER:starts]
        self._starts = content[starts:kept]
        self._kept = content[kept:]

    @classmethod
    def open(cls, file: str) -> "IdIndex | None":
        """Map *file* into memory; None if it is missing, or is not an index."""
        try:
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
            return cls(memoryview(mapped).cast("I"))
        except (OSError, ValueError, TypeError):
            return None
        finally:
            os.close(handle)

    def is_worth_using(self, count: int) -> bool:
        """True if looking up *count* ids is quicker than reading the part."""
        return count <= _LEAST_IDS + self.rows // _SCANNED_ROWS_PER_ID

    def may_have(self, places: "HashPlaces") -> list[int]:
        """Those of the hashes at *places*, unsigned, that a row of the part may have."""
        buckets, masks = places.of(self._bits)
        found = map(and_, _items(self._words, buckets), masks)
        return [
            each
            for each, bucket in compress(
                zip(places.hashes, buckets, strict=True), found
            )
            if self._has_kept(each, bucket)
        ]

    def _has_kept(self, each: int, bucket: int) -> bool:
        rest = self._kept[self._starts[bucket] : self._starts[bucket + 1]]
        return (each >> (32 - self._bits) & _LOW) in rest


class HashPlaces:
    """Hashes to look up, and where they are in the indexes of parts of any size."""

    def __init__(self, hashes: Sequence[int]) -> None:
        """*hashes* are unsigned."""
        self.hashes = hashes
        self._known: dict[int, tuple[list[int], list[int]]] = {}

    def of(self, bits: int) -> tuple[list[int], list[int]]:
        """The bucket of each hash, of 2^*bits*, and the mask of its bit there."""
        found = self._known.get(bits)
        if found is None:
            found = (
                [each >> (64 - bits) for each in self.hashes],
                [1 << (each >> (59 - bits) & 31) for each in self.hashes],
            )
            self._known[bits] = found
        return found


def _items(content: "memoryview[int]", places: Sequence[int]) -> Sequence[int]:
    """The items at *places*, in a quarter of the time of one by one."""
    if len(places) < 2:  # for which an itemgetter returns no tuple
        return [content[place] for place in places]
    found: tuple[int, ...] = itemgetter(*places)(content)
    return found


def look_up(
    parts: Iterable[tuple[Path, str]], id_hashes: pl.Series
) -> tuple[list[tuple[Path, pl.Series]], list[Path]]:
    """The parts that may have one of *id_hashes* (Int64), with the hashes they may have.

    *parts* are the files and the paths of their indexes. The second list are the parts to
    read: those without an index, or too small for it.
    """
    places = HashPlaces(id_hashes.reinterpret(signed=False).to_list())
    found: list[tuple[Path, pl.Series]] = []
    to_read: list[Path] = []
    for part, file in parts:
        index = IdIndex.open(file)
        if index is None or not index.is_worth_using(len(places.hashes)):
            to_read.append(part)
        elif hits := index.may_have(places):
            signed = pl.Series(COLUMN, hits, pl.UInt64).reinterpret(signed=True)
            found.append((part, signed))
    return found, to_read
