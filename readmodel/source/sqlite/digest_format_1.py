"""Digests in format 1, which earlier versions stored, to recognise unchanged blocks.

The digest of a block was the sum of the digests of its packed rows, in the encoding of
the file. Once no stored part has this format, this module can go.
"""

from collections.abc import Sequence
from typing import Final

from readmodel.source.blocking import Block, Blocking
from readmodel.source.sqlite.packed import packed_row
from readmodel.source.sqlite.reading import Query
from readmodel.source.sqlite.sql import block_number, identifier
from readmodel.source.wire import Column
from readmodel.tables import Table

DIGEST_FORMAT: Final = 1


def earlier_blocks(
    query: Query, table: Table, columns: Sequence[Column], blocking: Blocking
) -> Sequence[Block]:
    """All blocks that have rows, sorted by number, with digests in format 1."""
    digested = query(
        f"SELECT {block_number(blocking)}, COUNT(*), "
        f"SUM(digest(CAST({packed_row(columns)} AS BLOB))) "
        f"FROM {identifier(table.name)} GROUP BY 1 ORDER BY 1"
    )
    return [Block(*row) for row in digested]
