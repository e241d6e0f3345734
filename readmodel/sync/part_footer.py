"""The note in a part's Parquet footer: its block layout and the digest of each block.

It travels with the file, so a part can be compared with the database by its file alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.source.blocking import Block, Blocking
from readmodel.store.damage import READ_ERRORS, VALUE_ERRORS

KEY: Final = "fpp-analytics"
"""The key of the note in the file's key-value metadata."""


@dataclass(frozen=True, slots=True)
class PartFooter:
    """A part's note: its blocks, ascending, and how they were cut.

    `layout` is the format of the digests, followed by `Blocking.signature`, which ends with the width of a block
    in ids or seconds.
    """

    layout: tuple[int | str, ...]
    block_width: int
    blocks: tuple[Block, ...]

    def matches(self, blocking: Blocking) -> bool:
        """True if its digests can be compared with those of *blocking* now."""
        return self.layout == (blocking.digest_format, *blocking.signature)

    def can_be_renewed(self, blocking: Blocking) -> bool:
        """True if its digests are in the earlier format that the source recognises."""
        return self.layout == (blocking.earlier_format, *blocking.signature)


def encode_footer(blocking: Blocking, blocks: Sequence[Block]) -> Mapping[str, str]:
    """Encode the note as key-value metadata for `write_parquet`.

    Block 3 of 16,384 ids with 2 rows and digest 99 becomes
    ``{"cut":[1,"id","NUMBER",16384],"blocks":[[3,2,99]]}``.
    """
    rows = [[block.number, block.rows, block.digest] for block in blocks]
    note = {"cut": [blocking.digest_format, *blocking.signature], "blocks": rows}
    return {KEY: json.dumps(note, separators=(",", ":"))}


def decode_footer(file: Path) -> PartFooter | None:
    """Decode the note of *file*; None without a readable file and a valid note."""
    if not file.is_file():  # reading a pipe would wait for ever
        return None
    try:
        note = json.loads(pl.read_parquet_metadata(file)[KEY])
        layout = tuple(note["cut"])
        blocks = tuple(_block(*block) for block in note["blocks"])
        return PartFooter(layout, _positive(layout[-1]), blocks)
    except (*READ_ERRORS, *VALUE_ERRORS, RecursionError):
        return None


def _block(number: int | None, rows: int, digest: int) -> Block:
    """A block of these figures. Raises TypeError for others than integers."""
    figures = (rows, digest) if number is None else (rows, digest, number)
    if any(type(figure) is not int for figure in figures):
        raise TypeError("a block consists of integers")
    return Block(number, _positive(rows), digest)


def _positive(figure: int) -> int:
    if int(figure) < 1:
        raise ValueError(f"{figure} is not positive")
    return int(figure)
