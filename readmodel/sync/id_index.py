"""An index beside each part of the stored events: which of some ids it may have.

A drain asks for a thousand ids, of which hardly any is stored. Reading the hashes of all
stored ids for that takes most of its time. The index is a file of unsigned integers of 32
bits, which is mapped into memory: `_MAGIC`, the number of `bits`, the number of rows; then
where each bucket begins, of 2^`bits`, and the end of the last one; then one integer per
row. The first `bits` of an id's hash are its bucket, the next 32 are kept, in order. So
another id is taken for a stored one once in four billion times, and the rows decide.

Nothing depends on an index being there: a part without one is read instead.
"""

import mmap
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import polars as pl

COLUMN: Final = "id_hash"

_MAGIC: Final = 0x31584449
_HEADER: Final = 3
_LOW: Final = 2**32 - 1
_MOST_BITS: Final = 24

_SCANNED_ROWS_PER_ID: Final = 20
"""Rows that are read in the time in which one id is looked up."""

_LEAST_IDS: Final = 3_000
"""Are looked up in the time in which a file is opened and read."""


def index_file(part: Path) -> Path:
    """The index of *part*.

    ``events.parquet/part-00000.parquet`` -> ``events.ids/part-00000.index``
    """
    return part.parent.with_suffix(".ids") / f"{part.stem}.index"


def applies_to(rows: pl.DataFrame) -> bool:
    """True if an index of *rows* can be written."""
    is_hashed = rows.schema.get(COLUMN) == pl.Int64
    return is_hashed and rows[COLUMN].null_count() == 0


def encode_index(id_hashes: pl.Series) -> bytes:
    """The content of the index of a part whose column `id_hash` (Int64) is *id_hashes*."""
    ordered = id_hashes.reinterpret(signed=False).sort()
    bits = min(max(1, len(ordered).bit_length()), _MOST_BITS)
    buckets = ordered // 2 ** (64 - bits)
    starts = buckets.search_sorted(
        pl.int_range(2**bits + 1, dtype=pl.UInt64, eager=True), side="left"
    )
    kept = ordered // 2 ** (32 - bits) % 2**32
    header = (_MAGIC, bits, len(ordered))
    return array("I", [*header, *starts.to_list(), *kept.to_list()]).tobytes()


class IdIndex:
    """The opened index of a part with `rows` rows."""

    def __init__(self, content: "memoryview[int]") -> None:
        """Raises ValueError if it is not an index."""
        magic, self._bits, self.rows = content[:_HEADER]
        if magic != _MAGIC or not 0 < self._bits <= _MOST_BITS:
            raise ValueError("this is not an index of ids")
        kept = _HEADER + 2**self._bits + 1
        if len(content) != kept + self.rows:
            raise ValueError("the index of ids is not whole")
        self._starts = content[_HEADER:kept]
        self._kept = content[kept:]

    @classmethod
    def open(cls, file: Path) -> "IdIndex | None":
        """Map *file* into memory; None if it is missing, or is not an index."""
        try:
            with file.open("rb") as stream:
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            return cls(memoryview(mapped).cast("I"))
        except (OSError, ValueError, TypeError):
            return None

    def is_worth_using(self, count: int) -> bool:
        """True if looking up *count* ids is quicker than reading the part."""
        return count <= _LEAST_IDS + self.rows // _SCANNED_ROWS_PER_ID

    def may_have(self, hashes: Iterable[int]) -> list[int]:
        """Those of *hashes*, unsigned, that a row of the part may have."""
        starts, kept = self._starts, self._kept
        to_bucket, to_kept = 64 - self._bits, 32 - self._bits
        return [
            each
            for each in hashes
            if (each >> to_kept & _LOW)
            in kept[starts[each >> to_bucket] : starts[(each >> to_bucket) + 1]]
        ]


def look_up(
    parts: Sequence[Path], id_hashes: pl.Series
) -> tuple[list[tuple[Path, pl.Series]], list[Path]]:
    """The *parts* that may have one of *id_hashes* (Int64), with the hashes they may have.

    The second list are the parts to read: those without an index, or too small for it.
    """
    hashes = id_hashes.reinterpret(signed=False).to_list()
    found: list[tuple[Path, pl.Series]] = []
    to_read: list[Path] = []
    for part in parts:
        index = IdIndex.open(index_file(part))
        if index is None or not index.is_worth_using(len(hashes)):
            to_read.append(part)
        elif hits := index.may_have(hashes):
            signed = pl.Series(COLUMN, hits, pl.UInt64).reinterpret(signed=True)
            found.append((part, signed))
    return found, to_read
