"""Replace stored digests of an earlier format, without fetching the rows.

In one view, the database digests its rows in both formats. Where the earlier digest
equals the stored one, the stored rows are those of the database, and the other digest is
theirs, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from readmodel.source.blocking import Block
from readmodel.source.protocol import RenewingView, View
from readmodel.sync.reuse import ReusablePart, ReusableTable
from readmodel.sync.table_spec import TableSpec

NO_DIGEST: Final = -1
"""Differs from every digest: these are sums."""


def renew_digests(
    view: View, spec: TableSpec, stored: ReusableTable
) -> tuple[ReusableTable, Sequence[Block] | None]:
    """Return *stored* with digests of the present format, and the database's blocks.

    These are None if no digest is of an earlier format. A block that has changed gets a
    digest that differs from the database's.
    """
    is_earlier = any(part.is_earlier for part in stored.parts)
    if not is_earlier or not isinstance(view, RenewingView):
        return stored, None
    booleans = {name for part in stored.parts for name in part.booleans}
    renewed = view.renewed_blocks(spec.table, spec.columns, spec.blocking, booleans)
    parts = tuple(
        _renew(part, renewed) if part.is_earlier else part for part in stored.parts
    )
    return replace(stored, parts=parts), list(renewed.values())


def _renew(part: ReusablePart, renewed: Mapping[Block, Block]) -> ReusablePart:
    blocks = (
        renewed.get(block, replace(block, digest=NO_DIGEST)) for block in part.blocks
    )
    return replace(part, blocks=tuple(blocks))
