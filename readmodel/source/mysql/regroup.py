"""A table whose key is a time, read by ranges of its primary key and divided here.

Such a key often has no index, so a server that groups the rows by blocks sorts them first,
which takes it as long as reading them. Here the client sorts them. All rows are in memory
meanwhile, so this is for tables of a limited size.

The ranges begin where the first character of the primary key changes, which the server
finds in its index. That suits random ids, as UUIDs and Nano IDs are.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from typing import Final

import polars as pl

from readmodel.source.blocking import Block, group_by_rows
from readmodel.source.mysql import inline
from readmodel.source.mysql.columns import identifier
from readmodel.source.mysql.digests import Answer
from readmodel.source.mysql.scan import (
    BlockScan,
    Found,
    in_turns,
    reading_ahead,
    size_of,
)
from readmodel.source.protocol import ScannedBatch, Unscannable
from readmodel.source.wire import Batch, Column
from util.columns import column_named

FEWEST_RANGES: Final = 8
MOST_RANGES: Final = 256
MOST_BYTES: Final = 96 * 2**20
"""The lines of all rows are no longer than this; decoded, rows take about as much."""

BATCH_ROWS: Final = 131_072
"""So many rows are sorted and handed over at once, or those of a block."""

REPEATED: Final = 2
"""Texts that occur so often, in the mean, are stored once each."""

SAMPLE_ROWS: Final = 1_000
"""So many rows tell which texts these are."""

_BLOCK: Final = "block"
_NULLS: Final = "nulls"
_CHECKSUM: Final = "checksum"


def key_ranges(
    select: Callable[[str], Answer], table: str, key: Column
) -> Sequence[str]:
    """SQL conditions that divide the rows of *table*; none if they would not do it well.

    *key* is a text, and the primary key. Whatever its collation, each range begins above
    the beginning of the one before, so each row is in exactly one of them.
    """
    name = identifier(key.name)
    beginnings: list[str] = []
    condition = "TRUE"
    while len(beginnings) <= MOST_RANGES:
        found, _ = select(
            f"SELECT {name} FROM {identifier(table)}{inline.IN_ORDER} "
            f"WHERE {condition} ORDER BY {name} LIMIT 1"
        )
        if not found:
            break
        ((value,),) = found
        text = bytes(value)
        if not text.isascii():  # it may be no UTF-8, of which a literal must consist
            return ()
        beginnings.append(_literal(text))
        # Letters come last in some collations, and the tilde does in others.
        lowest = (_literal(text[:1] + last * len(text)) for last in (b"z", b"~"))
        condition = " AND ".join(
            f"{name} > {literal}" for literal in (beginnings[-1], *lowest)
        )
    if not FEWEST_RANGES <= len(beginnings) <= MOST_RANGES:
        return ()
    first, *others = beginnings[1:]
    between = zip(beginnings[1:], others, strict=False)
    return [
        f"{name} < {first}",
        *(f"{name} >= {low} AND {name} < {high}" for low, high in between),
        f"{name} >= {beginnings[-1]}",
    ]


def _literal(text: bytes) -> str:
    return f"_utf8mb4 X'{text.hex()}'"


def regrouped(
    scans: Sequence[BlockScan], ranges: Sequence[str]
) -> Generator[ScannedBatch]:
    """Yield all blocks, in order, with the digests of their lines, and their rows.

    Each of *scans*, of the same table on several connections, reads every n-th of
    *ranges*. Raises Unscannable, before anything is yielded, unless all lines are proven
    to be the rows, and all rows are small enough together.
    """
    results = [
        map(scan.read_where, islice(ranges, number, None, len(scans)))
        for number, scan in enumerate(scans)
    ]
    gathered = _Gathered(scans[0])
    for found in in_turns(reading_ahead(scans, results)):
        gathered.add(found)
    yield from gathered.in_blocks()


class _Gathered:
    """Rows of all blocks, until they are complete. *scan* decodes them."""

    def __init__(self, scan: BlockScan) -> None:
        self._scan = scan
        self._rows: list[pl.DataFrame] = []
        self._figures: list[pl.DataFrame] = []
        self._texts = pl.Schema()
        self._bytes = 0
        self._is_given_up = False

    def add(self, found: Found) -> None:
        """Decode the rows of *found*, unless others were not proven or too large."""
        if self._is_given_up:
            return  # The readers go on to their end: a statement cannot be left alone.
        batch = self._scan.proven(found)
        self._bytes += size_of(found)
        # A value that became null would be counted as one of the NULLs.
        if batch is None or batch.zero_dates or self._bytes > MOST_BYTES:
            self._is_given_up = True
            self._rows.clear()
            self._figures.clear()
            return
        if not self._texts and batch.frame.height >= SAMPLE_ROWS:
            self._texts = _repeated(batch.frame)
        self._rows.append(_cast(batch.frame, self._texts))
        self._figures.append(self._figures_of(batch.frame, found))

    def _figures_of(self, rows: pl.DataFrame, found: Found) -> pl.DataFrame:
        """Of each row its block's number, the NULLs in its texts, and its checksum."""
        digests = self._scan.digests
        checksums = [
            each for lines in found.blocks for each in inline.checksums(lines.text)
        ]
        nulls = (
            column_named(column.name).is_null()
            for column in digests.columns
            if inline.is_inline(column)
        )
        return rows.select(
            digests.blocking.block_number().alias(_BLOCK),
            pl.sum_horizontal(pl.lit(0), *nulls).cast(pl.UInt16).alias(_NULLS),
            pl.lit(pl.Series(checksums, dtype=pl.UInt32)).alias(_CHECKSUM),
        )

    def in_blocks(self) -> Iterator[ScannedBatch]:
        """Yield all rows, those of some blocks at a time. Raises Unscannable."""
        if self._is_given_up:
            raise Unscannable
        figures = pl.concat(self._figures, rechunk=True)
        self._figures.clear()
        blocks = _blocks(figures)
        order = (
            figures.select(_BLOCK)
            .with_row_index()
            .sort(_BLOCK, nulls_last=False)
            .drop_in_place("index")
        )
        del figures
        rows = pl.concat(_cast(some, self._texts) for some in self._rows)
        self._rows.clear()
        # One chunk of each column, and one column at a time in two copies.
        rows = pl.DataFrame([rows.drop_in_place(n).rechunk() for n in rows.columns])
        start = 0
        for some in group_by_rows(blocks, BATCH_ROWS):
            height = sum(block.rows for block in some)
            frame = rows[order.slice(start, height)]
            texts = frame.cast({pl.Categorical: pl.String})
            yield ScannedBatch(tuple(some), Batch(texts))
            start += height


def _cast(rows: pl.DataFrame, texts: pl.Schema) -> pl.DataFrame:
    return rows.cast(dict(texts))  # type: ignore[arg-type]


def _repeated(rows: pl.DataFrame) -> pl.Schema:
    """The columns of *rows* whose texts occur several times, to be stored once each."""
    return pl.Schema(
        (name, pl.Categorical(pl.Categories.random()))
        for name, dtype in rows.schema.items()
        if dtype == pl.String()
        and REPEATED * rows.get_column(name).n_unique() <= rows.height
    )


def _blocks(figures: pl.DataFrame) -> list[Block]:
    """The blocks of all rows, in order, from the *figures* of each row."""
    sums = (column_named(name).sum() for name in (_NULLS, _CHECKSUM))
    found = (
        figures.cast({_NULLS: pl.UInt64, _CHECKSUM: pl.UInt64})
        .group_by(_BLOCK)
        .agg(pl.len(), *sums)
        .sort(_BLOCK, nulls_last=False)
    )
    return [
        Block(number, rows, inline.digest(nulls, checksum))
        for number, rows, nulls, checksum in found.iter_rows()
    ]
