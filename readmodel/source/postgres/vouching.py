"""Which blocks cannot have changed since an earlier view, without reading their values.

Let a view have seen N rows of a block, and let X be the lowest transaction id that was
in progress then. A row that is visible now and whose xmin is below X was visible then:
its transaction had ended, and what has not deleted it now had not then. So the rows
with an xmin below X are a subset of the N rows. If there are N of them they are all of
them, in the same versions; if the block has no other rows, it is unchanged.

That holds for one history of one table whose rows are written as they are stored. The
guards are all that could break it; a mark with other guards vouches for nothing, and
the digests decide. Nothing here is needed for exactness.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from readmodel.source.blocking import Block, KnownBlocks
from readmodel.source.postgres import sql
from readmodel.source.postgres.faults import TextRow

type Query = Callable[[str], list[TextRow]]

# Transaction ids are compared modulo 2 ** 32, so half of it is the largest distance.
WRAPAROUND = 2**31
# Ids below this one are not those of transactions.
FIRST_XID = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """What a view leaves behind, so that a later one can vouch for its blocks.

    `xmin` is the lowest transaction id in progress, `xmax` the next one to be given
    out, `lsn` the position in the log, and `guards` a hash over all that must be equal.
    """

    xmin: int
    xmax: int
    lsn: int
    guards: str

    def encode(self) -> str:
        """As a text to store."""
        return json.dumps([self.xmin, self.xmax, self.lsn, self.guards])

    @classmethod
    def decode(cls, text: str) -> Self | None:
        """Parse *text*; None for one of another source or version."""
        with suppress(TypeError, ValueError):
            xmin, xmax, lsn, guards = json.loads(text)
            return cls(int(xmin), int(xmax), int(lsn), str(guards))
        return None

    def holds(self, now: "Mark") -> bool:
        """Whether this mark is of the same history as *now*, and not too long ago."""
        return (
            self.guards == now.guards
            and self.lsn <= now.lsn
            and self.xmin <= now.xmin
            and self.xmin % 2**32 >= FIRST_XID
            and now.xmax - self.xmin < WRAPAROUND
        )


def mark_of(table: str, query: Query) -> Mark | None:
    """The mark of *table* at this instant; None where it cannot be vouched for.

    Raises what *query* raises, such as for a function that this role may not call.
    """
    found = query(_GUARDS.format(table=sql.regclass(table)))
    if not found:
        return None
    ((xmin, xmax, lsn, vouchable, *guards),) = found
    if vouchable != "t" or not xmin or not xmax or not lsn or None in guards:
        return None
    hashed = hashlib.sha256(json.dumps(guards).encode()).hexdigest()
    return Mark(int(xmin), int(xmax), int(lsn), hashed)


def usable(now: Mark | None, known: Sequence[KnownBlocks]) -> tuple[list[Block], int]:
    """The blocks of marks that hold, and the lowest xmin of these marks."""
    blocks: list[Block] = []
    lowest = 0
    for group in known:
        mark = Mark.decode(group.mark) if group.mark is not None else None
        if now is not None and mark is not None and mark.holds(now):
            blocks += group.blocks
            lowest = min(lowest or mark.xmin, mark.xmin)
    return blocks, lowest


def unchanged(
    blocks: Collection[Block], ages: Sequence[TextRow]
) -> tuple[list[Block], list[int | None]]:
    """The blocks that are vouched for, and the numbers of those to be digested.

    *ages* lists number and rows of each block there is now, and whether the xmin of all
    of them is old ("t" or "f").
    """
    known = {block.number: block for block in blocks}
    same: list[Block] = []
    doubtful: list[int | None] = []
    for text, rows, all_old in ages:
        number = None if text is None else int(text)
        block = known.get(number)
        if block is not None and str(block.rows) == rows and all_old == "t":
            same.append(block)
        else:
            doubtful.append(number)
    return same, doubtful


# Each line of the WHERE clause, and each column after the first four, is a guard:
# - inheritance and partitions: what is attached brings rows with an old xmin along
# - unlogged tables are emptied by a crash; row-level security hides rows
# - a virtual column has other values as soon as its expression has
# - types whose text depends on more than their bytes: names of objects, and types with
#   functions of their own. Labels of enums and the currency of money are compared
# - the database, since one that was created as a copy has the same relations
# - the relation, its file and its columns by number: tables swapped by renaming, rewritten
#   ones, and columns dropped and added under the same name
# - system, timeline and start: a restored or promoted server gives ids out again; the
#   statistics are reset also where a crash took place without a restart of the server
# On a standby nothing is vouched for.
_GUARDS = """
WITH RECURSIVE attributes AS (
    SELECT * FROM pg_attribute
    WHERE attrelid = {table} AND attnum > 0 AND NOT attisdropped
), used (type) AS (
    SELECT atttypid FROM attributes
  UNION
    SELECT inner_type FROM used JOIN pg_type t ON t.oid = used.type
    CROSS JOIN LATERAL (
        SELECT t.typelem WHERE t.typelem <> 0
        UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0
        UNION ALL SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid
        UNION ALL SELECT rngtypid FROM pg_range WHERE rngmultitypid = t.oid
        UNION ALL SELECT atttypid FROM pg_attribute
            WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped
    ) AS inside (inner_type)
), types AS (
    SELECT t.* FROM used JOIN pg_type t ON t.oid = used.type
)
SELECT pg_snapshot_xmin(pg_current_snapshot()), pg_snapshot_xmax(pg_current_snapshot()),
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() - '0/0' END,
    (SELECT bool_and(typtype IN ('e', 'd', 'c', 'r', 'm')
        OR typoutput = 'array_out'::regproc
        OR typtype = 'b' AND oid < 16384
            AND typname NOT LIKE 'reg%' AND typname <> 'aclitem') FROM types)
    AND NOT EXISTS (SELECT FROM attributes WHERE attgenerated = 'v'),
    (SELECT oid FROM pg_database WHERE datname = current_database()),
    c.oid, c.relfilenode, c.relnamespace,
    (SELECT string_agg(concat_ws(' ', attnum, atttypid, atttypmod, attgenerated), ','
        ORDER BY attnum) FROM attributes),
    (SELECT string_agg(concat_ws(' ', oid, typtype, typoutput::oid, typrelid, typtypmod),
        ',' ORDER BY oid) FROM types),
    coalesce((SELECT string_agg(concat_ws(' ', e.oid, quote_literal(enumlabel)), ','
        ORDER BY e.oid) FROM pg_enum e JOIN types ON types.oid = enumtypid), ''),
    current_setting('lc_monetary'),
    (SELECT system_identifier FROM pg_control_system()),
    (SELECT timeline_id FROM pg_control_checkpoint()),
    pg_postmaster_start_time(),
    (SELECT stats_reset FROM pg_stat_wal)
FROM pg_class c JOIN pg_am ON pg_am.oid = relam
WHERE c.oid = {table} AND relkind = 'r' AND relpersistence = 'p' AND amname = 'heap'
    AND NOT relhassubclass AND NOT relrowsecurity
"""
